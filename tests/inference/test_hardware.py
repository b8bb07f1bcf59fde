from pathlib import Path

import pytest
import torch

from fdnn.inference import hardware
from fdnn.inference.hardware import (
    compile_options,
    device_of,
    half_precision,
    training_precision,
    without_tf32,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"avx2": True}, "32-true"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16-mixed"),
        ({"neon": True, "bf16": False}, "32-true"),
        ({"neon": True, "bf16": True}, "bf16-mixed"),
    ],
)
def test_processors(monkeypatch, flags, precision) -> None:
    monkeypatch.setattr(hardware, "_processor_flags", lambda: flags)
    assert training_precision(CPU) == precision


@pytest.mark.parametrize(
    ("capability", "half", "precision"),
    [
        ((9, 0), torch.bfloat16, "bf16-mixed"),
        ((8, 0), torch.bfloat16, "bf16-mixed"),
        ((7, 5), torch.float16, "16-mixed"),
        ((6, 1), None, "32-true"),
    ],
)
def test_gpus(monkeypatch, capability, half, precision) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert half_precision(GPU) == half
    assert training_precision(GPU) == precision


def test_this_processor() -> None:
    """Linux names the same instructions."""
    if not Path("/proc/cpuinfo").exists():
        pytest.skip("no /proc/cpuinfo")
    words = set(Path("/proc/cpuinfo").read_text().split())
    expected = bool(words & {"avx512_bf16", "amx_bf16", "bf16"})
    assert (half_precision(CPU) == torch.bfloat16) == expected


def test_a_pytorch_that_does_not_list_the_instructions(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for supported in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)  # noqa: B023
        assert (half_precision(CPU) == torch.bfloat16) == supported


def test_the_accelerator_decides_the_device(monkeypatch) -> None:
    for present in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        assert device_of("auto").type == ("cuda" if present else "cpu")
        assert device_of("cpu").type == "cpu"
        assert device_of("gpu").type == "cuda"


def test_cuda_graphs_are_for_gpus_and_whole_batches() -> None:
    assert compile_options(GPU, one_batch=True)["mode"] == "reduce-overhead"
    assert "mode" not in compile_options(GPU, one_batch=False)
    assert "mode" not in compile_options(CPU, one_batch=True)


def test_tf32_is_off_where_it_would_be_used() -> None:
    switch = torch.backends.cudnn.conv
    default = switch.fp32_precision
    try:
        switch.fp32_precision = "tf32"
        without_tf32(CPU)
        assert switch.fp32_precision == "tf32"
        without_tf32(GPU)
        assert switch.fp32_precision == "ieee"
    finally:
        switch.fp32_precision = default
