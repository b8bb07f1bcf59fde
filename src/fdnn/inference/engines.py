"""What runs a trained network: PyTorch as it is, compiled, or OpenVINO; in float32 or bfloat16.

Every engine is a network again, so that tiles, scores and files work alike.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.files.errors import UserError, first_line
from fdnn.inference.convolutional import ConvolutionalFDNN
from fdnn.models import FDNN, Network

Engine = Literal["eager", "compile", "openvino"]
Precision = Literal["fp32", "bf16"]

log = logging.getLogger(__name__)


class Engined(Network):
    """A network whose forward pass is somebody else's.

    Args:
        net: Gives scale, context and the device.
        run: Maps ``(n, 1, h, w)`` to ``(n, 1, scale * h, scale * w)``, float32.
    """

    def __init__(self, net: Network, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__(net.scale)
        self.net = net
        self.run = run
        self.train(net.training)

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return self.net.context

    def forward(self, lr: Tensor) -> Tensor:
        """See ``run``."""
        return self.run(lr)


def with_engine(net: Network, engine: Engine = "eager", precision: Precision = "fp32") -> Network:
    """Prepare a trained network for fast evaluation.

    Args:
        net: Any network of :mod:`fdnn.models`; its weights are taken as they are now.
        engine: ``eager`` runs PyTorch layer by layer and is ready at once. ``compile`` goes
            through ``torch.compile``: some seconds for the first images, then faster; needs a
            C++ compiler (:func:`compiler_works`). ``openvino`` is the fastest on Intel and AMD
            processors; FDNN only, needs the extra ``fdnn[openvino]``.
        precision: ``fp32``, or ``bf16`` for the products: faster where the processor has
            bfloat16 instructions, at a cost of a few thousandths of a dB.

    Raises:
        UserError: If the engine is not installed or cannot run this network.
    """
    if engine == "openvino":
        return Engined(net, _openvino(net, precision))
    if engine == "eager" and precision == "fp32":
        return net
    forward: Callable[[Tensor], Tensor] = net.forward
    if engine == "compile":
        forward = torch.compile(net.forward, dynamic=True)

    def run(lr: Tensor) -> Tensor:
        with torch.autocast(lr.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return forward(lr).float()

    return Engined(net, run)


def compiler_works(device: torch.device) -> bool:
    """Try to compile a trivial function; log one line if that fails."""
    try:
        torch.compile(lambda x: x * 2 + 1)(torch.ones(4, device=device))
    except Exception as error:  # any failure of a compiler means: do without it
        reason = first_line(error)
        log.warning("torch.compile does not work here, going on in eager mode (%s)", reason)
        return False
    return True


@functools.cache
def _core() -> Any:
    """Make OpenVINO's runtime, once for the life of the process.

    On processors with AMX each runtime installs a stack for signal handlers. Two that end in the
    order in which they began leave one whose memory is gone, and the next signal, such as Ctrl-C or
    the end of a child process, kills the process.
    """
    import openvino

    return openvino.Core()


def _openvino(net: Network, precision: Precision) -> Callable[[Tensor], Tensor]:
    try:
        import openvino
        from openvino import opset13 as ops
    except ImportError as error:
        raise UserError("openvino is not installed; pip install -e '.[openvino]'") from error
    if not isinstance(net, FDNN):
        raise UserError(f"openvino runs FDNN only, this is {type(net).__name__}")
    try:
        graph = ConvolutionalFDNN(net)
    except ValueError as error:
        raise UserError(f"openvino cannot run this network: {error}") from None

    def prepare(layers: nn.Sequential, precision: Precision) -> Any:
        # Built by hand: OpenVINO's own converter reports its use over the network.
        channels = next(m.in_channels for m in layers.modules() if isinstance(m, nn.Conv2d))
        lr = ops.parameter([-1, channels, -1, -1], np.float32)
        model = openvino.Model([_openvino_layers(layers, lr)], [lr], "fdnn")
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        return _core().compile_model(model, "CPU", settings)

    if precision == "bf16":
        _widen(graph)
    top = prepare(graph.top, precision)
    # Carries the brightness, which has more digits than bf16.
    residual = prepare(graph.residual, "fp32")

    def run(lr: Tensor) -> Tensor:
        image = lr.cpu().contiguous()
        split = _halves(image) if precision == "bf16" else image
        parts = top(split.numpy())[0], residual(image.numpy())[0]
        blocks = torch.from_numpy(parts[0]) + torch.from_numpy(parts[1])
        return F.pixel_shuffle(blocks, net.scale).to(lr.device)

    return run


def _halves(image: Tensor) -> Tensor:
    """Write an image as channels that bf16 holds: leading digits, those that follow, leading."""
    high = image.bfloat16().float()
    return torch.cat([high, image - high, high], dim=1)


def _widen(graph: ConvolutionalFDNN) -> None:
    """Make the first layer take :func:`_halves`, so that bf16 products keep brightness exact."""
    first = graph.top[0]
    assert isinstance(first, nn.Conv2d)
    high = first.weight.detach().bfloat16().float()
    wide = nn.Conv2d(3, first.out_channels, 1)
    wide.weight = nn.Parameter(torch.cat([high, high, first.weight.detach() - high], dim=1))
    wide.bias = first.bias
    graph.top[0] = wide


def _openvino_layers(layers: nn.Sequential, x: Any) -> Any:
    """Append the padding, convolution and ELU layers of ``layers`` to the node ``x``."""
    from openvino import opset13 as ops

    before = after = 0
    for layer in layers.modules():
        if isinstance(layer, nn.ZeroPad2d):
            before, after = int(layer.padding[0]), int(layer.padding[1])
        elif isinstance(layer, nn.Conv2d):
            kernel = layer.weight.detach().cpu().numpy()
            x = ops.convolution(x, kernel, [1, 1], [before] * 2, [after] * 2, [1, 1])
            assert layer.bias is not None
            x = ops.add(x, layer.bias.detach().cpu().numpy().reshape(1, -1, 1, 1))
            before = after = 0
        elif isinstance(layer, nn.ELU):
            x = ops.elu(x, 1.0)
    return x
