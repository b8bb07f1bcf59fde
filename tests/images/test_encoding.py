"""A result in the format of its source loses no more than the source did."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin

from fdnn.images import io
from fdnn.images.io import read_picture, write_image

CHRM = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
#: By the specification of PNG: gamma 1, Rec. 2020 primaries, and Rec. 2100 PQ.
COLOUR = {b"gAMA": struct.pack(">I", 100_000), b"cHRM": CHRM, b"cICP": bytes([9, 16, 0, 1])}


@pytest.fixture
def noise(random) -> np.ndarray:
    return random.integers(0, 256, (24, 32, 3), dtype=np.uint8)


def chunks(file: Path) -> dict[bytes, bytes]:
    data, found, at = file.read_bytes(), {}, 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            name + content
        )
        found.setdefault(name, content)
        at += 12 + length
    return found


def with_chunks(file: Path, more: dict[bytes, bytes]) -> None:
    data = file.read_bytes()
    new = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c))
           for n, c in more.items()]  # fmt: skip
    file.write_bytes(data[:33] + b"".join(new) + data[33:])


def again(source: Path) -> Path:
    target = source.with_stem("again")
    write_image(target, *read_picture(source))
    return target


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("more", [COLOUR, {b"sRGB": b"\1"}], ids=["HDR", "sRGB"])
def test_png_keeps_what_its_numbers_mean(tmp_path, noise, deep, more) -> None:
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), noise.astype(np.uint16) * 257 if deep else noise)
    with_chunks(source, more)
    found = chunks(again(source))
    assert {name: found.get(name) for name in more} == more


def test_gray_png_of_16_bits_keeps_its_gamma(tmp_path, noise) -> None:
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), noise[..., 0].astype(np.uint16) * 257)
    with_chunks(source, {b"gAMA": COLOUR[b"gAMA"]})
    result = again(source)
    assert chunks(result)[b"gAMA"] == COLOUR[b"gAMA"]
    assert np.array_equal(cv2.imread(str(result), -1), cv2.imread(str(source), -1))


@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_webp_stays_lossless(tmp_path, random, alpha) -> None:
    image = random.integers(0, 256, (24, 32, 3 + alpha), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.webp", lossless=True, exact=True)
    assert np.array_equal(np.asarray(Image.open(again(tmp_path / "a.webp"))), image)


def test_lossy_webp_stays_lossy(tmp_path, noise) -> None:
    Image.fromarray(noise).save(tmp_path / "a.webp", quality=80)
    assert b"VP8L" not in again(tmp_path / "a.webp").read_bytes()[:64]


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("suffix", ["jpg", "jpeg"])
def test_jpeg_keeps_its_chroma_subsampling(tmp_path, noise, sampling, suffix) -> None:
    source = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(source, subsampling=sampling)
    with Image.open(again(source)) as image:
        assert JpegImagePlugin.get_sampling(image) == sampling


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_keeps_its_compression(tmp_path, noise, compression) -> None:
    Image.fromarray(noise).save(tmp_path / "a.tif", compression=compression)
    with Image.open(again(tmp_path / "a.tif")) as image:
        assert image.info["compression"] == compression
        assert np.array_equal(np.asarray(image), noise)


def test_compressed_tiff_of_16_bits_stays_compressed(tmp_path) -> None:
    flat = np.full((200, 200, 3), 999, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", flat, photometric="rgb", compression="zlib")
    result = again(tmp_path / "a.tif")
    assert result.stat().st_size < flat.nbytes / 10
    assert np.array_equal(tifffile.imread(result), flat)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_that_would_pass_4_gib_is_a_bigtiff(tmp_path, noise, monkeypatch, compression):
    monkeypatch.setattr(io, "BIG_TIFF", 100)
    Image.fromarray(noise).save(tmp_path / "a.tif", compression=compression)
    result = again(tmp_path / "a.tif")
    assert result.read_bytes()[:4] == b"II+\0"
    assert np.array_equal(tifffile.imread(result), noise)
