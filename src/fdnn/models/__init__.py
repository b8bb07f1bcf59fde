"""One paper, one file; what they have in common is :class:`fdnn.models.network.Network`."""

from fdnn.models.baselines.aplus import APlus
from fdnn.models.baselines.bicubic import Bicubic
from fdnn.models.baselines.degree2 import DEGREE2
from fdnn.models.baselines.drcn import DRCN
from fdnn.models.baselines.escn import ESCN
from fdnn.models.baselines.espcn import ESPCN
from fdnn.models.baselines.fsrcnn import FSRCNN
from fdnn.models.baselines.mixed import Mixed
from fdnn.models.baselines.msdepc import MSDEPC
from fdnn.models.baselines.red30 import RED30
from fdnn.models.baselines.scsr import ScSR
from fdnn.models.baselines.sml import SML
from fdnn.models.baselines.srcnn import SRCNN
from fdnn.models.baselines.vdsr import VDSR
from fdnn.models.fdnn import FDNN
from fdnn.models.fdnn_deep import FDNNDeep
from fdnn.models.network import Network

__all__ = [
    "DEGREE2",
    "DRCN",
    "ESCN",
    "ESPCN",
    "FDNN",
    "FSRCNN",
    "MSDEPC",
    "RED30",
    "SML",
    "SRCNN",
    "VDSR",
    "APlus",
    "Bicubic",
    "FDNNDeep",
    "Mixed",
    "Network",
    "ScSR",
]
