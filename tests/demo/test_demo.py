import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from fdnn.data.sets import ImageSet
from fdnn.demo import limits
from fdnn.demo.__main__ import OFFERED, main
from fdnn.demo.handlers import compare, find_networks, for_screen, magnify
from fdnn.evaluation.score import score
from fdnn.files.errors import UserError
from fdnn.images.io import read_image, read_picture, write_image
from fdnn.images.metadata import Metadata
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import Bicubic
from fdnn.models.weights import load

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "checkpoints"


def test_networks_are_found_in_a_folder_and_alone():
    found = find_networks(WEIGHTS)
    assert {"fdnn_x2", "fdnn_x3", "fdnn_x4"} <= found.keys()
    assert all(name.endswith(f"_x{net.scale}") for name, net in found.items())
    assert list(find_networks(WEIGHTS / "fdnn_x3")) == ["fdnn_x3"]
    assert list(find_networks(WEIGHTS, OFFERED)) == ["fdnn_x2", "fdnn_x3", "fdnn_x4"]


@pytest.mark.parametrize(
    ("shape", "dtype"), [((9, 12, 3), np.uint8), ((9, 12, 4), np.uint16), ((9, 12), np.uint16)]
)
def test_the_download_is_what_the_pipeline_makes(tmp_path, random, shape, dtype):
    image = random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    write_image(tmp_path / "in.png", image, Metadata(dpi=(300.0, 300.0)))
    net = load(WEIGHTS / "fdnn_x2")
    made = magnify(tmp_path / "in.png", net, tmp_path / "out")
    assert made.result.name == "in_x2.png"
    pixels, about = read_picture(made.result)
    np.testing.assert_array_equal(pixels, upscale_pixels(net, image))
    assert about.dpi == pytest.approx((300, 300), abs=0.1)
    for shown in (read_image(made.before), read_image(made.after)):
        assert shown.dtype == np.uint8
        assert shown.shape == (18, 24, 3)[: image.ndim]


def test_transparent_pixels_are_shown_white():
    image = np.zeros((2, 2, 4), np.uint16)
    image[0, 0, 3] = 65535
    np.testing.assert_array_equal(for_screen(image)[..., 0], [[0, 255], [255, 255]])


def test_a_comparison_has_the_scores_of_the_protocol(tmp_path, photos):
    path = photos / "photo1.png"
    net = load(WEIGHTS / "fdnn_x3")
    made = compare(path, net, tmp_path)
    for scores, one in zip(made.scores, (Bicubic(3), net), strict=True):
        expected = score(one, ImageSet("one", (path,)))
        assert scores == pytest.approx((expected.psnr, expected.ssim), abs=1e-5)
    assert f"{made.scores[1][0]:.2f} / " in made.captions[1]
    hr = read_image(path)
    for file in made.images:
        assert read_image(file).shape == (hr.shape[0] - hr.shape[0] % 3, 96, 3)
    np.testing.assert_array_equal(read_image(made.images[2]), hr[: hr.shape[0] - hr.shape[0] % 3])


def test_other_files_are_refused_without_a_path(tmp_path, monkeypatch):
    net = Bicubic(3)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    cut = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    write_image(cut, noise)
    cut.write_bytes(cut.read_bytes()[:2000])
    script = tmp_path / "script.png"
    script.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    tiny = tmp_path / "tiny.png"
    write_image(tiny, noise[:9, :9])
    for path, do, says in (
        (text, magnify, "damaged, or not a PNG"),
        (script, magnify, "damaged, or not a PNG"),
        (cut, magnify, "cannot be read"),
        (cut, compare, "cannot be read"),
        (tiny, compare, "too small"),
    ):
        with pytest.raises(UserError, match=says) as error:
            do(path, net, tmp_path / "out")
        assert str(error.value).startswith(path.name)
        assert str(tmp_path) not in str(error.value)


def test_limits(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    Image.new("L", (100, 50)).save(path)
    limits.check(path, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 44_999)
    limits.check(path)
    with pytest.raises(UserError, match="100x50 pixels, at x3 that is"):
        limits.check(path, 3)
    monkeypatch.setattr(limits, "MAX_PIXELS", 4_999)
    with pytest.raises(UserError, match="100x50 pixels; at most"):
        limits.check(path)
    monkeypatch.setattr(limits, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(UserError, match="MB; at most"):
        limits.check(path)


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--port", "99999"])
    assert "--port must be 1 to 65535, got 99999" in capsys.readouterr().err
    assert main(["--weights", str(tmp_path)]) == 1
    assert re.fullmatch(r"error: no weights in .*\n", capsys.readouterr().err)
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")  # restored afterwards
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["--weights", str(WEIGHTS)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the demo needs Gradio")
    assert "pip install" in error
    assert error.count("\n") == 1


def test_a_taken_port_is_one_line(capfd):
    need("gradio")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = subprocess.run(
            [sys.executable, "-m", "fdnn.demo", "--port", str(taken.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert run.returncode == 1
    assert re.fullmatch(r"error: cannot listen on 127.0.0.1:\d+; .*\n", run.stderr)


def test_the_core_does_not_import_the_page():
    code = (
        "import sys, fdnn.inference.tiles, fdnn.demo.handlers; "
        "sys.exit(any(m.split('.')[0] in ('gradio', 'fastapi') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


# ---- In a browser -------------------------------------------------------------------------------

# The command itself, with every connection that leaves this machine reported.
SERVE = """
import sys
def report(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        if args[1][0] not in ("127.0.0.1", "::1", "localhost"):
            print("OUTSIDE", args[1], flush=True)
    if event == "socket.getaddrinfo" and args[0] not in (None, "127.0.0.1", "::1", "localhost"):
        print("OUTSIDE", args[0], flush=True)
sys.addaudithook(report)
from fdnn.demo.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        reason = f"{package} is not installed (pip install -e '.[dev]')"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@dataclass
class Server:
    url: str
    lines: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> str:
    need("gradio")
    need("playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium in PATH (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def server(chromium, tmp_path_factory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    temporary = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "--port", str(port), "--weights", str(WEIGHTS)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    served = Server(f"http://127.0.0.1:{port}")
    ready = threading.Event()

    def listen() -> None:
        for line in process.stdout:
            served.lines.append(line)
            if line.startswith("open http"):
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        assert ready.wait(300)
        assert process.poll() is None, "".join(served.lines)
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert list(temporary.iterdir()) == [], "uploads outlived the server"
    assert not [line for line in served.lines if "OUTSIDE" in line or "Traceback" in line]


@pytest.fixture
def page(server, chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server.url)
        yield page
        browser.close()
    places = {urlsplit(url)[:2] for url in requests if not url.startswith(("data:", "blob:"))}
    assert places == {urlsplit(server.url)[:2]}


def choose(page, tab: str, name: str) -> None:
    page.locator(f"#{tab}-weights input").click()
    page.get_by_role("option", name=name, exact=True).click()


def test_upload_slide_zoom_and_download(page, photos, tmp_path):
    path = photos / "photo0.png"
    page.get_by_text("at most 20 MB").first.wait_for()
    choose(page, "magnify", "x3 FDNN")
    page.locator("#magnify-upload input[type=file]").set_input_files(path)
    after = page.locator("#magnify-slider img").nth(1)
    after.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#magnify-slider img')].length == 2 && "
        "[...document.querySelectorAll('#magnify-slider img')].every("
        "i => i.naturalWidth == 288 && i.naturalHeight == 216)"
    )
    assert re.search(r"288 x 216.*\d s", page.locator("#magnify-text").inner_text())

    with page.expect_download() as download:
        page.locator("#magnify-download").click()
    download.value.save_as(tmp_path / "got.png")
    assert download.value.suggested_filename == "photo0_x3.png"
    expected = upscale_pixels(load(WEIGHTS / "fdnn_x3"), read_image(path))
    np.testing.assert_array_equal(read_image(tmp_path / "got.png"), expected)

    def shown() -> str:
        return after.evaluate("image => image.style.clipPath")

    def scale() -> str:
        return after.evaluate("image => image.style.transform")

    before = shown()
    box = page.locator("#magnify-slider [data-testid=slider]").bounding_box()
    middle = page.locator("#magnify-slider .icon-wrap").bounding_box()
    x, y = middle["x"] + middle["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=5)
    page.mouse.up()
    assert shown() != before
    unzoomed = scale()
    page.mouse.move(x - 100, y)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(500)
    assert scale() != unzoomed


def test_an_invalid_file_is_explained_and_the_server_lives_on(page, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("not an image")
    upload = page.locator("#magnify-upload input[type=file]")
    results = page.locator("#magnify-slider img")
    upload.set_input_files(photos / "photo1.png")
    results.nth(1).wait_for()
    page.locator("#magnify-upload").get_by_label("Clear").click()
    upload.set_input_files(bad)
    page.get_by_text("bad.png is damaged, or not a PNG").wait_for()
    assert results.count() == 0
    assert page.locator("#magnify-download").is_disabled()
    page.locator("#magnify-upload").get_by_label("Clear").click()
    upload.set_input_files(photos / "photo0.png")
    results.nth(1).wait_for()


def test_comparison_of_an_example(page):
    page.get_by_role("tab", name="Compare").click()
    page.locator("#compare-upload input[type=file]").wait_for(state="attached")
    choose(page, "compare", "x3 FDNN")
    page.locator("#compare-examples button").nth(0).click()
    page.locator("#compare-image-2 img").wait_for()
    texts = [page.locator(f"#compare-image-{i}").inner_text() for i in range(3)]
    assert "bicubic" in texts[0]
    assert re.search(r"FDNN \d\d\.\d\d / 0\.\d{4}", texts[1])
    assert "original" in texts[2]
    text = page.locator("#compare-text").inner_text()
    assert "against bicubic" in text
    assert "fdnn_x3" in text
