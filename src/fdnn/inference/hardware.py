"""What a device computes fast: the one place that decides precision and compilation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def device_of(accelerator: str) -> torch.device:
    """Return the kind of device that the Trainer's option ``accelerator`` stands for."""
    automatic = accelerator == "auto" and torch.cuda.is_available()
    return torch.device("cuda" if automatic or accelerator in {"gpu", "cuda"} else "cpu")


def half_precision(device: torch.device) -> torch.dtype | None:
    """Return the half-precision type that makes products faster on a device.

    bfloat16 on processors with AVX512_BF16, AMX or Arm's BF16, and on GPUs from compute capability
    8.0; float16 on GPUs from 7.0; ``None`` elsewhere. Emulated bfloat16 is slower than float32.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major == 7 else None
    flags = _processor_flags()
    names = ("avx512_bf16", "amx_bf16", "bf16")  # the last one is Arm's
    return torch.bfloat16 if any(flags.get(name) for name in names) else None


def _processor_flags() -> Mapping[str, Any]:
    if hasattr(torch.cpu, "get_capabilities"):
        flags: Mapping[str, Any] = torch.cpu.get_capabilities()
        return flags
    cpu: Any = torch.cpu  # before PyTorch 2.12
    return {
        "avx512_bf16": cpu._is_avx512_bf16_supported(),
        "amx_bf16": cpu._is_amx_tile_supported(),
    }


def training_precision(device: torch.device) -> str:
    """Return the Trainer's ``precision`` for a device: bf16-mixed, 16-mixed or 32-true."""
    names = {torch.bfloat16: "bf16-mixed", torch.float16: "16-mixed", None: "32-true"}
    return names[half_precision(device)]


def without_tf32(device: torch.device) -> None:
    """Let this process's convolutions on a GPU keep all digits of float32.

    NVIDIA's TF32 keeps 10 of 23 binary digits. In mixed precision this costs no time: only the
    bicubic base, which the details are added to, is computed in float32.
    """
    if device.type == "cuda":
        cudnn: Any = torch.backends.cudnn
        cudnn.conv.fp32_precision = "ieee"


#: Steps from which compiling pays: it takes 20 to 60 s and saves 0.1 to 0.3 s a step on two cores.
COMPILED_STEPS = 500


def compile_options(device: torch.device, one_batch: bool) -> dict[str, Any]:
    """Return the options of ``torch.compile`` for training.

    Args:
        device: Where training runs.
        one_batch: Whether a step has one batch on one process. CUDA graphs, which save the time
            to start each kernel, need that.
    """
    graphs = device.type == "cuda" and one_batch
    return {"dynamic": False} | ({"mode": "reduce-overhead"} if graphs else {})
