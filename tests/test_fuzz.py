"""Readers meet what nobody thought of: a result or one clear line, nothing else.

``FUZZ=1000 pytest tests/test_fuzz.py`` tries so many inputs of each kind, new ones every time;
without it a few, the same each time. What was found is kept as an ``example``.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fdnn.cli.trainer import main
from fdnn.files.errors import ImageError, UserError
from fdnn.images.io import read_picture
from fetch import read_manifest

ROOT = Path(__file__).parents[1]
LONG = int(os.environ.get("FUZZ", "0"))


def fuzzed(examples: int):
    return settings(
        max_examples=LONG or examples,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def encoded() -> dict[str, bytes]:
    """Small files of every kind that is read."""
    random = np.random.default_rng(0)
    rgb = Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {}
    for kind, options in {
        "PNG": {"exif": exif, "dpi": (72, 72)},
        "JPEG": {"exif": exif},
        "GIF": {"save_all": True, "append_images": [rgb.rotate(180)]},
        "TIFF": {"compression": "tiff_lzw"},
        "WEBP": {"lossless": True},
        "BMP": {},
    }.items():
        rgb.save(target := io.BytesIO(), kind, **options)
        files[kind] = target.getvalue()
    rgb.convert("CMYK").save(target := io.BytesIO(), "JPEG")
    files["CMYK"] = target.getvalue()
    rgb.quantize(8).save(target := io.BytesIO(), "PNG", transparency=0)
    files["palette"] = target.getvalue()
    wide = random.integers(0, 65536, (9, 11, 3), dtype=np.uint16)
    tifffile.imwrite(target := io.BytesIO(), wide, photometric="rgb")
    files["TIFF16"] = target.getvalue()
    import cv2

    files["PNG16"] = cv2.imencode(".png", wide)[1].tobytes()
    return files


FILES = encoded()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with some bytes changed, taken out, put in, or cut off."""
    data = bytearray(FILES[draw(st.sampled_from(sorted(FILES)))])
    for _ in range(draw(st.integers(1, 6))):
        # Headers, where lies do most, are met as often as all the rest.
        end = draw(st.sampled_from([64, len(data)]))
        at = draw(st.integers(0, max(0, min(end, len(data)) - 1)))
        how = draw(st.sampled_from(["change", "number", "delete", "insert", "cut"]))
        if how == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif how == "number":
            data[at : at + 4] = draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"]))
        elif how == "delete":
            del data[at : at + draw(st.integers(1, 16))]
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        else:
            del data[at:]
    return bytes(data)


@fuzzed(150)
@given(content=damaged() | st.binary(max_size=64))
def test_images(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed-image"
    file.write_bytes(content)
    try:
        pixels, _ = read_picture(file, max_pixels=1 << 20)
    except ImageError as error:
        assert str(file) in str(error)
        assert "\n" not in str(error)
    else:
        assert pixels.dtype in (np.uint8, np.uint16)
        assert pixels.size <= 4 << 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
digests = st.just("0" * 64) | json_values
names = (
    st.sampled_from(["x.png", "", ".", "..", "../x", "/x", "a/b", "a\\b", "a\0", "C:"]) | st.text()
)
entries = st.fixed_dictionaries(
    {
        "url": st.just("https://x/") | json_values,
        "files": st.dictionaries(names, st.tuples(st.just(1) | json_values, digests), max_size=2)
        | json_values,
    }
)
manifests = (st.dictionaries(names, entries | json_values, max_size=2) | json_values).map(
    lambda value: json.dumps(value).encode()
)


@fuzzed(200)
@given(content=manifests | st.binary(max_size=64))
@example(content=b"[" * 100_000)
@example(content=json.dumps({"S": {"url": "u", "files": {"": [1, "0" * 64]}}}).encode())
@example(content=json.dumps({"S": {"url": "u", "files": {"x": [1.5, "0" * 64]}}}).encode())
def test_manifests(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.json"
    file.write_bytes(content)
    try:
        manifest = read_manifest(file)
    except UserError as error:
        assert "damaged manifest" in str(error)
        return
    for folder, entry in manifest.items():
        for name, (size, digest) in entry["files"].items():
            assert Path("root", folder, name).resolve().parent.parent == Path("root").resolve()
            assert (type(size), len(digest)) == (int, 64)


def leaves(tree: object, path: tuple = ()) -> list[tuple]:
    if isinstance(tree, dict):
        return [
            path,
            *(leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))),
        ]
    if isinstance(tree, list):
        return [path, *(leaf for i, value in enumerate(tree) for leaf in leaves(value, (*path, i)))]
    return [path]


SHIPPED = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text())
PLACES = [path for path in leaves(SHIPPED) if path]
configs = st.tuples(st.sampled_from(PLACES), json_values)


@fuzzed(12)
@given(change=configs)
def test_configs(change, tmp_path_factory, capsys) -> None:
    path, value = change
    tree = json.loads(json.dumps(SHIPPED))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert_parsed_or_one_line(yaml.safe_dump(tree).encode(), tmp_path_factory, capsys)


@fuzzed(8)
@given(content=st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
@example(content=b"[" * 100_000)
@example(content=b"a: &a [*a]")
@example(content=b"\x80")
@example(
    content=b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b"*a%d, " % (i - 1) * 9 if i else b"0") for i in range(9)
    )
)
@example(content=b"!!python/object/apply:os.system [exit 3]")
def test_files_that_are_no_config(content, tmp_path_factory, capsys) -> None:
    assert_parsed_or_one_line(content, tmp_path_factory, capsys)


def assert_parsed_or_one_line(content: bytes, tmp_path_factory, capsys) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    try:
        status = main(["fit", "--config", str(file), "--print_config"])
    except SystemExit as end:
        status = end.code
    printed = capsys.readouterr()
    if status:
        assert printed.err.startswith("error: ")
        assert printed.err.strip().count("\n") == 0, printed.err
