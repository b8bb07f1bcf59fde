"""One paper, one file; what they have in common is :class:`fdnn.models.network.Network`."""

from fdnn.models.aplus import APlus
from fdnn.models.bicubic import Bicubic
from fdnn.models.degree2 import DEGREE2
from fdnn.models.drcn import DRCN
from fdnn.models.escn import ESCN
from fdnn.models.espcn import ESPCN
from fdnn.models.fdnn import FDNN
from fdnn.models.fdnn_deep import FDNNDeep
from fdnn.models.fdnn_plus import FDNNPlus
from fdnn.models.fsrcnn import FSRCNN
from fdnn.models.mixed import Mixed
from fdnn.models.msdepc import MSDEPC
from fdnn.models.network import Network
from fdnn.models.red30 import RED30
from fdnn.models.scsr import ScSR
from fdnn.models.sml import SML
from fdnn.models.srcnn import SRCNN
from fdnn.models.vdsr import VDSR

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
    "FDNNPlus",
    "Mixed",
    "Network",
    "ScSR",
]
