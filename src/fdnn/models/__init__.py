"""One paper, one file; what they have in common is :class:`fdnn.models.network.Network`."""

from fdnn.models.bicubic import Bicubic
from fdnn.models.fdnn import FDNN
from fdnn.models.fdnn_plus import FDNNPlus
from fdnn.models.network import Network

__all__ = ["FDNN", "Bicubic", "FDNNPlus", "Network"]
