"""The catalogue, and downloads from a hub on this machine."""

from __future__ import annotations

import hashlib
import resource
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from icd.backends.network import check_url, is_loopback
from icd.downloads import download
from icd.errors import ConfigurationError, ModelFilesError
from icd.models import CATALOGUE, HubFile, find, is_pulled, minilm_folder, models_folder, pull, resolve
from icd_memory.wheels import WheelFile

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """Redirects to its store, as hubs do, and serves ranges; can break off after some bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.break_after: int | None = None
        self.stated: str | None = SHA256
        self.elsewhere: str | None = None
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        if "/resolve/" in self.path:
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere or f"{self.server.url}/store")
            if self.server.stated:
                self.send_header("X-Linked-Etag", f'"{self.server.stated}"')
            self.end_headers()
        elif self.path == "/store":
            self._store()
        else:
            self.send_error(404)

    def _store(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        data = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: self.server.break_after])

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("ICD_MODELS_DIR", str(tmp_path / "models"))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


FILE = HubFile("someone/some-model", "m.gguf", SHA256)


def test_a_file_of_the_hub_is_fetched_with_progress(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    target = download(FILE.url, tmp_path / "new" / "m.gguf", SHA256, said.append)
    assert target.read_bytes() == CONTENT
    assert said[-1] == "m.gguf: 1 of 1 MB"
    assert [path.name for path in target.parent.iterdir()] == ["m.gguf"]


def test_an_interrupted_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "m.gguf"
    hub.break_after = 300_000
    with pytest.raises(ModelFilesError, match="goes on where it was"):
        download(FILE.url, target, SHA256)
    assert not target.exists()
    hub.break_after = None
    assert download(FILE.url, target, SHA256).read_bytes() == CONTENT
    assert hub.ranges[0] is None
    assert hub.ranges[1] is not None


def test_a_whole_part_is_only_checked(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "m.gguf.part").write_bytes(CONTENT)
    assert download(FILE.url, tmp_path / "m.gguf", SHA256).read_bytes() == CONTENT


def test_the_hubs_own_sha256_is_used_where_the_catalogue_has_none(hub: Hub, tmp_path: Path) -> None:
    assert download(FILE.url, tmp_path / "m.gguf").read_bytes() == CONTENT
    hub.stated = "0" * 64
    with pytest.raises(ModelFilesError, match="nothing was kept"):
        download(FILE.url, tmp_path / "other.gguf")
    hub.stated = None
    with pytest.raises(ModelFilesError, match="without a sha256"):
        download(FILE.url, tmp_path / "other.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_a_file_that_is_not_what_it_should_be_is_not_kept(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="nothing was kept"):
        download(FILE.url, tmp_path / "m.gguf", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_name_and_a_hub_that_is_away_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="404"):
        download(f"{hub.url}/nowhere", tmp_path / "m.gguf", SHA256)
    with pytest.raises(ModelFilesError, match="cannot be fetched"):
        download("http://127.0.0.1:9/file", tmp_path / "m.gguf", SHA256)


def test_a_redirection_to_another_machine_asks_the_switch(hub: Hub, tmp_path: Path) -> None:
    hub.elsewhere = "http://192.0.2.1/store"
    with pytest.raises(ConfigurationError, match="ICD_ALLOW_NETWORK"):
        download(FILE.url, tmp_path / "m.gguf", SHA256)


def test_a_full_disk_is_a_typed_error(hub: Hub, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(ModelFilesError, match="can't write"):
            download(FILE.url, tmp_path / "m.gguf", SHA256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_pull_fetches_once_and_resolve_finds_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "qwen2.5-1.5b"
    with pytest.raises(ModelFilesError, match=f"icd models pull {name}"):
        resolve(name)
    path = pull(name)
    assert path == resolve(name) == models_folder() / "qwen2.5-1.5b-instruct-q4_k_m.gguf"
    assert is_pulled(find(name))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert pull(name) == path


def test_terms_are_shown_before_anything_is_fetched(hub: Hub) -> None:
    with pytest.raises(ConfigurationError, match=r"ai\.google\.dev/gemma/terms.*--accept-terms"):
        pull("gemma3-270m")


@pytest.mark.parametrize("name", ["smollm2-135m", "minilm"])
def test_the_registry_is_behind_the_switch(hub: Hub, name: str) -> None:
    with pytest.raises(ConfigurationError, match="ICD_ALLOW_NETWORK"):
        pull(name)


def test_any_file_works_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF")
    assert resolve(str(path)) == path


def test_an_unknown_name_names_the_nearest(hub: Hub) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'smollm2-135m'"):
        resolve("smollm-135m")
    with pytest.raises(ConfigurationError, match="the embedder"):
        resolve("minilm")


def test_the_embedder_lies_beside_the_models(hub: Hub) -> None:
    assert minilm_folder().parent == models_folder()


def test_every_wheel_of_the_catalogue_is_pinned_and_checked() -> None:
    wheels = [model.source for model in CATALOGUE.values() if isinstance(model.source, WheelFile)]
    assert wheels
    for wheel in wheels:
        assert all("==" in requirement for requirement in wheel.requirements)
        assert len(wheel.sha256) == 64


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.2/v1", True),
        ("http://[::1]:8000", True),
        ("http://localhost.example/v1", False),
        ("http://10.0.0.1/v1", False),
        ("https://models.example", False),
        ("nothing", False),
    ],
)
def test_what_is_this_machine(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
    if not loopback:
        with pytest.raises(ConfigurationError):
            check_url(url)
