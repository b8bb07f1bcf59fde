"""One paper, one file; what they have in common is :class:`fdnn.models.network.Network`."""

from fdnn.models.aplus import APlus
from fdnn.models.bicubic import Bicubic
from fdnn.models.fdnn import FDNN
from fdnn.models.network import Network
from fdnn.models.scsr import ScSR

__all__ = ["FDNN", "APlus", "Bicubic", "Network", "ScSR"]
