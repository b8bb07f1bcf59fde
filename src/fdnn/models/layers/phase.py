"""Phase congruency (Kovesi: Phase congruency detects corners and edges, DICTA 2003).

An edge is where the waves that make up an image are in phase, however strong they are. Pairs of
even and odd filters (log-Gabor, A e^(i phase) together) measure waves of several lengths in
several directions; in each direction

    PC = w max(sum_n A_n (cos d_n - |sin d_n|) - T, 0) / sum_n A_n

with d_n the deviation of a phase from the mean phase, T what noise may give, and w small where
one length alone is present. Edge strength is the larger eigenvalue of the directions' covariance.

Lengths, directions, bandwidth, cut-off and gain are those with which MSDEPC's published program
calls Kovesi's ``phasecong3``. Departures from the latter, which sees the whole image at every
pixel: its filters are cut to 17x17 pixels, and T is a constant (a choice that it offers), about
the median of what it estimates for the 91 images at x3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.layers.convolution import replicate

#: Pixels to each side that the filters keep.
REACH = 8

#: Side of the grid of frequencies from which they are made.
GRID = 64

#: Wave lengths of the filters in pixels, and their directions.
LENGTHS = (3.0, 4.5, 6.75)
DIRECTIONS = 6

#: Standard deviation of a filter over its frequency.
SPREAD = 0.10

#: Frequency, in cycles a pixel, from which on filters see nothing, and how sharply that begins.
CEILING, SHARPNESS = 0.45, 15

#: T above.
NOISE = 0.08

#: Where w is half its most, as a part of the present lengths, and how sharply it rises there.
CUT_OFF, GAIN = 0.1, 10.0

#: Keeps divisors and roots above zero.
EPSILON = 1e-4


def log_gabor() -> Tensor:
    """Make the filters.

    Returns:
        ``(2, directions, lengths, 17, 17)``, even and odd ones, each summing to 0.
    """
    frequency = torch.fft.fftfreq(GRID, dtype=torch.float64)
    y, x = frequency[:, None], frequency[None, :]
    radius, angle = torch.hypot(x, y), torch.atan2(-y, x)
    radius[0, 0] = 1  # its logarithm is asked for; the filters see nothing of the mean
    low_pass = 1 / (1 + (radius / CEILING) ** (2 * SHARPNESS))
    low_pass[0, 0] = 0
    filters = []
    for direction in range(DIRECTIONS):
        turned = angle - direction * math.pi / DIRECTIONS
        away = torch.atan2(turned.sin(), turned.cos()).abs()
        sector = (1 + (away * DIRECTIONS / 2).clamp(max=math.pi).cos()) / 2
        for length in LENGTHS:
            band = torch.exp(-((radius * length).log() ** 2) / (2 * math.log(SPREAD) ** 2))
            filters.append(torch.fft.fftshift(torch.fft.ifft2(band * sector * low_pass)))
    middle = slice(GRID // 2 - REACH, GRID // 2 + REACH + 1)
    pairs = torch.view_as_real(torch.stack(filters)[:, middle, middle]).permute(3, 0, 1, 2)
    pairs = pairs - pairs.mean(dim=(2, 3), keepdim=True)
    return pairs.reshape(2, DIRECTIONS, len(LENGTHS), *pairs.shape[2:])


class PhaseCongruency(nn.Module):
    """Edges of an image, alike in bright and dark, strong and weak places.

    It has no parameters and no entry in the state dict.
    """

    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.device("cpu"):  # also where a network is only outlined, on the meta device
            # A convolution looks at mirrored taps.
            filters = log_gabor().flip(-2, -1).flatten(0, 2)[:, None].float()
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to edge strength of the same size, from 0 to about 1."""
        with torch.autocast(image.device.type, enabled=False):
            waves = F.conv2d(replicate(image, REACH), self.filters)
            shape = (len(waves), 2, DIRECTIONS, len(LENGTHS), *waves.shape[2:])
            even, odd = waves.reshape(shape).unbind(1)
            amplitudes = _length(even, odd)
            total = amplitudes.sum(dim=2)
            # The mean phase as a unit vector; products with it are cosines and sines of d_n.
            mean_even, mean_odd = even.sum(dim=2, keepdim=True), odd.sum(dim=2, keepdim=True)
            mean = _length(mean_even, mean_odd)
            along = (even * mean_even + odd * mean_odd) / mean
            across = (even * mean_odd - odd * mean_even) / mean
            energy = F.relu((along - across.abs()).sum(dim=2) - NOISE)
            present = (total / amplitudes.amax(dim=2) - 1) / (len(LENGTHS) - 1)
            congruency = torch.sigmoid(GAIN * (present - CUT_OFF)) * energy / total
            angles = torch.arange(DIRECTIONS, device=image.device) * math.pi / DIRECTIONS
            x = congruency * angles.cos()[:, None, None]
            y = congruency * angles.sin()[:, None, None]
            xx, yy, xy = (
                (a * b).sum(dim=1, keepdim=True) * 2 / DIRECTIONS
                for a, b in ((x, x), (y, y), (x, y))
            )
            return (xx + yy + _length(2 * xy, xx - yy)) / 2


def _length(a: Tensor, b: Tensor) -> Tensor:
    """Length of the vector ``(a, b)``, with a slope at 0."""
    return (a.square() + b.square() + EPSILON**2).sqrt()
