import errno
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fdnn.data.sets import PUBLISHED
from fdnn.files.errors import UserError
from fetch import Bounded, fetch, main, read_manifest

FILES = {f"{i}.png": bytes([i]) * 50_000 for i in range(6)}


class Server(ThreadingHTTPServer):
    """Serves FILES, and misbehaves for the names in ``faults``, so many times each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: dict[str, tuple[str, int]] = {}
        self.asked: list[str] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        self.server.asked.append(name)
        fault, left = self.server.faults.get(name, ("", 0))
        if left > 0:
            self.server.faults[name] = (fault, left - 1)
        else:
            fault = ""
        body = FILES[name]
        if fault == "missing":
            self.send_error(404)
            return
        if fault == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                for _ in range(100):
                    self.wfile.write(bytes(1 << 20))
                    self.server.sent += 1 << 20
            return
        if fault == "corrupt":
            body = b"x" * len(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: 20_000 if fault in {"breaks off", "stalls"} else None])
        if fault == "stalls":
            time.sleep(3)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def manifest(server: Server) -> dict:
    files = {name: [len(body), hashlib.sha256(body).hexdigest()] for name, body in FILES.items()}
    return {"Set": {"url": f"{server.url}/source/", "files": files}}


def present(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (root / "Set").iterdir()}


def test_fetches_everything_once(server, manifest, tmp_path) -> None:
    assert fetch(["Set"], tmp_path, manifest=manifest) == 6
    assert present(tmp_path) == FILES
    server.asked.clear()
    assert fetch(["Set"], tmp_path, manifest=manifest) == 0
    assert server.asked == []


def test_goes_on_and_replaces_what_is_damaged(server, manifest, tmp_path, capsys) -> None:
    fetch(["Set"], tmp_path, manifest=manifest)
    (tmp_path / "Set" / "2.png").write_bytes(b"damaged")
    (tmp_path / "Set" / "4.png").unlink()
    server.asked.clear()
    assert fetch(["Set"], tmp_path, manifest=manifest) == 2
    assert sorted(server.asked) == ["2.png", "4.png"]
    assert present(tmp_path) == FILES
    assert str(tmp_path / "Set" / "2.png") in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["breaks off", "corrupt", "stalls", "missing"])
def test_a_passing_fault_is_overcome(server, manifest, tmp_path, fault) -> None:
    server.faults["3.png"] = (fault, 1)
    assert fetch(["Set"], tmp_path, timeout=0.5, manifest=manifest) == 6
    assert present(tmp_path) == FILES


@pytest.mark.parametrize("fault", ["breaks off", "corrupt", "stalls", "missing"])
def test_a_lasting_fault_is_named_and_nothing_broken_stays(
    server, manifest, tmp_path, fault
) -> None:
    server.faults["3.png"] = (fault, 99)
    with pytest.raises(UserError, match=r"3\.png"):
        fetch(["Set"], tmp_path, timeout=0.5, manifest=manifest)
    for name, body in present(tmp_path).items():
        assert body == FILES[name]


def test_a_server_that_never_stops_cannot_fill_the_disk(server, manifest, tmp_path) -> None:
    server.faults["3.png"] = ("endless", 99)
    with pytest.raises(UserError, match=r"3\.png: more bytes come than the manifest says"):
        fetch(["Set"], tmp_path / "a", manifest=manifest)
    assert server.sent < 50 << 20
    large = tmp_path / "mirror" / "Set"
    large.mkdir(parents=True)
    for name, body in FILES.items():
        (large / name).write_bytes(body + b"x")
    with pytest.raises(UserError, match="more bytes come"):
        fetch(["Set"], tmp_path / "b", mirror=str(tmp_path / "mirror"), manifest=manifest)
    assert not [p for p in (tmp_path / "b").rglob("*") if p.is_file()]


def test_a_full_disk_is_called_so(server, manifest, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Bounded, "write", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(["Set"], tmp_path, manifest=manifest)


def test_a_mirror_without_the_file_is_named(manifest, tmp_path) -> None:
    with pytest.raises(UserError, match=r"cannot fetch .*/Set/\d.png \(FileNotFoundError\)"):
        fetch(["Set"], tmp_path / "a", mirror=str(tmp_path / "gone"), manifest=manifest)


def test_mirrors(server, manifest, tmp_path) -> None:
    fetch(["Set"], tmp_path / "a", mirror=f"{server.url}/mirror", manifest=manifest)
    assert present(tmp_path / "a") == FILES
    server.asked.clear()
    fetch(["Set"], tmp_path / "b", mirror=str(tmp_path / "a"), manifest=manifest)
    assert present(tmp_path / "b") == FILES
    assert server.asked == []


def test_no_network_is_one_line(tmp_path, capsys) -> None:
    # Nothing listens on port 9 of this machine.
    assert main(["Set5", "--root", str(tmp_path), "--mirror", "http://127.0.0.1:9"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: cannot fetch http://127.0.0.1:9/Set5/")
    assert "--mirror" in line


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--timeout", "0"]])
def test_numbers_out_of_range(options, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["Set5", *options])
    assert "--jobs must be at least 1 and --timeout above 0" in capsys.readouterr().err


def test_manifest_covers_the_published_sets(data) -> None:
    manifest = read_manifest()
    assert set(manifest) == set(PUBLISHED.values())
    for folder, entry in manifest.items():
        assert entry["url"].startswith("https://")
        for name, (size, digest) in entry["files"].items():
            file = data / folder / name
            if folder == "Urban100" and file.with_suffix(".webp").is_file():
                continue  # a lossless copy has the pixels, not the bytes
            body = file.read_bytes()
            assert (len(body), hashlib.sha256(body).hexdigest()) == (size, digest)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"Set": {}}',
        json.dumps({"Set": {"url": "u", "files": {"../evil": [1, "0" * 64]}}}),
        json.dumps({"..": {"url": "u", "files": {"x": [1, "0" * 64]}}}),
        json.dumps({"Set": {"url": "u", "files": {"x": [0, "short"]}}}),
        json.dumps({"Set": {"url": "u", "files": {"": [1, "0" * 64]}}}),
        json.dumps({"Set": {"url": "u", "files": {"a\\b": [1, "0" * 64]}}}),
        json.dumps({"Set": {"url": "u", "files": {"x": [1, ["0"] * 64]}}}),
        json.dumps({"Set": {"url": "u", "files": {"x": [float("nan"), "0" * 64]}}}),
        "[" * 100_000,
    ],
)
def test_damaged_manifest(tmp_path, content) -> None:
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(UserError, match="damaged manifest"):
        read_manifest(tmp_path / "m.json")
