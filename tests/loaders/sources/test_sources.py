"""Where archives come from: sidecars, digests that are remembered, downloads that go on where they broke off."""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import loaders
from loaders import SourceProblem
from loaders.files.places import state
from loaders.sources import checks, digests, download
from loaders.sources import source as sources
from loaders.sources.folder import SourceFolder, default_folder
from loaders.sources.sidecar import SIDECAR
from loaders.sources.source import Archive, Expected, Source
from publish.sample.sidecar import write_sidecar
from tests.kit import archives, contract

CONTENT = bytes(range(256)) * 1000


def source(url: str | None = None, content: bytes = CONTENT) -> Source:
    return Source("a.tar", len(content), hashlib.sha256(content).hexdigest(), "the page", url)


# A server that has Range, or does not, and breaks off


@dataclass
class Server:
    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    stop_after: list[int] = field(default_factory=list)  # bytes sent before a request is broken off
    asked: list[str | None] = field(default_factory=list)
    pause: float = 0  # seconds before the content is sent
    url: str = ""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append(wanted)
            start = int(wanted.split("=")[1].split("-")[0]) if wanted and server.ranges else 0
            body = server.content[start:]
            self.send_response(206 if start and server.status == 200 else server.status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            time.sleep(server.pause)
            self.wfile.write(body[: server.stop_after.pop(0)] if server.stop_after else body)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}/a.tar"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def holds_only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def part() -> Path:
    """Return where the part of a download is kept that broke off."""
    place = default_folder() / "a.tar.part"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def test_a_download_is_verified_and_remembered(tmp_path: Path) -> None:
    with serving(Server()) as server:
        place = download.fetch(source(server.url), tmp_path / "new")
    assert place.read_bytes() == CONTENT
    assert holds_only(tmp_path / "new", "a.tar")
    assert digests.remembered_sha256(place, [*state(place)]) == source().sha256


@pytest.mark.keeps("S5", "S6")
@pytest.mark.parametrize("done", [1, 100_000, len(CONTENT) - 1])
def test_a_download_goes_on_where_it_broke_off(done: int, tmp_path: Path) -> None:
    part().write_bytes(CONTENT[:done])
    with serving(Server()) as server:
        assert download.fetch(source(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={done}-"]
    assert holds_only(tmp_path, "a.tar")


@pytest.mark.keeps("S6")
def test_two_that_download_into_one_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The second waits for the first, and takes what it made."""
    with serving(Server(pause=0.5)) as server, ThreadPoolExecutor(2) as both:
        places = list(both.map(download.fetch, [source(server.url)] * 2, [tmp_path] * 2))
    assert [place.read_bytes() for place in places] == [CONTENT, CONTENT]
    assert server.asked == [None]
    assert holds_only(tmp_path, "a.tar")
    assert f"{tmp_path / 'a.tar'}: another process downloads it" in capfd.readouterr().err


@pytest.mark.keeps("S5")
def test_a_server_without_range_sends_all_again(tmp_path: Path) -> None:
    part().write_bytes(CONTENT[:1000])
    with serving(Server(ranges=False)) as server:
        assert download.fetch(source(server.url), tmp_path).read_bytes() == CONTENT


@pytest.mark.keeps("S6")
def test_a_part_as_long_as_the_whole_is_not_taken_for_it(tmp_path: Path) -> None:
    part().write_bytes(bytes(len(CONTENT)))
    with serving(Server()) as server:
        assert download.fetch(source(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_part_that_is_whole_is_verified_and_not_asked_for_again(tmp_path: Path) -> None:
    """A run may be killed while it verifies."""
    part().write_bytes(CONTENT)
    with serving(Server()) as server:
        assert download.fetch(source(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == []
    assert holds_only(tmp_path, "a.tar")


@pytest.mark.keeps("S6")
def test_a_damaged_part_is_found_and_not_kept(tmp_path: Path) -> None:
    part().write_bytes(bytes(1000))
    with serving(Server()) as server, pytest.raises(SourceProblem, match=r"SHA-256 .* downloaded 256,000 with"):
        download.fetch(source(server.url), tmp_path)
    assert holds_only(tmp_path)


@pytest.mark.keeps("S5")
@pytest.mark.parametrize("content", [b"<html>moved</html>", CONTENT[:-1], CONTENT[:-1] + b"\0", b""])
def test_other_bytes_than_published_are_not_kept(content: bytes, tmp_path: Path) -> None:
    with serving(Server(content)) as server, pytest.raises(SourceProblem) as caught:
        download.fetch(source(server.url), tmp_path)
    assert "a.tar: expected 256,000 bytes with SHA-256" in str(caught.value)
    assert f"{len(content):,}" in str(caught.value)
    assert holds_only(tmp_path)


@pytest.mark.keeps("S5")
@pytest.mark.parametrize("size", [4096, len(CONTENT)])
def test_no_more_than_was_published_goes_to_disk(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    published = source(content=CONTENT[:size])
    with serving(Server(CONTENT + b"\0")) as server, pytest.raises(SourceProblem, match=r", more was sent\. The down"):
        download.fetch(replace(published, url=server.url), tmp_path)
    assert holds_only(tmp_path)
    assert not part().exists()


@pytest.mark.keeps("S5")
@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_server_that_does_not_have_it(status: int, tmp_path: Path) -> None:
    with serving(Server(status=status)) as server, pytest.raises(SourceProblem) as caught:
        download.fetch(source(server.url), tmp_path)
    for part in ("a.tar: expected to download it from", server.url, str(status), f"{tmp_path}/"):
        assert part in str(caught.value)
    assert not (tmp_path / "a.tar").exists()


@pytest.mark.keeps("S5")
def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between five attempts
    with pytest.raises(SourceProblem, match=r"a.tar: expected to download it from http://127.0.0.1:9/a.tar, but"):
        download.fetch(source("http://127.0.0.1:9/a.tar"), tmp_path)
    assert holds_only(tmp_path)


def test_a_download_onto_another_disk() -> None:
    """Where the cache lies on one disk and the archives on another, no file can be moved from one to the other."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other, serving(Server()) as server:
        if Path(other).stat().st_dev == part().parent.stat().st_dev:
            pytest.skip("there is one disk here")
        assert download.fetch(source(server.url), Path(other)).read_bytes() == CONTENT
        assert holds_only(Path(other), "a.tar")
    assert not part().exists()


@pytest.mark.keeps("S5")
def test_a_connection_that_breaks_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # of 10 MB; only whole chunks are kept
    with serving(Server(stop_after=[50_000])) as server:
        assert download.fetch(source(server.url), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=50000-"]
    assert holds_only(tmp_path, "a.tar")


def test_what_may_be_downloaded_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """V2 has an address: with nothing there, the archive is fetched, from the endpoint that is set."""
    from huggingface_hub import constants

    laid = archives.v2(tmp_path)
    content = (tmp_path / "imagenetv2-top-images.tar.gz").read_bytes()
    module: Any = loaders.load("imagenet_v2")
    published = module.SOURCES["topimages"]
    same = Source(published.name, len(content), hashlib.sha256(content).hexdigest(), published.page, published.url)
    monkeypatch.setitem(module.SOURCES, "topimages", same)
    with serving(Server(content)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url.removesuffix("/a.tar"))
        (plan,) = contract.plans("imagenet_v2", "topimages", tmp_path / "empty")
    contract.same(contract.read(plan), laid, "topimages", "test")


@pytest.mark.keeps("B8")
def test_a_folder_that_may_not_be_written_to_gets_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As labs' shared copies of ImageNet are: what is downloaded goes to the cache, and is found there again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path / "shared")  # root may write anywhere
    (tmp_path / "shared").mkdir()
    with serving(Server()) as server:
        wanted = source(server.url)
        place = download.fetch(wanted, tmp_path / "shared")
    assert holds_only(tmp_path / "shared")
    assert place == tmp_path / "cache" / "imagenet-variants" / "archives" / "a.tar"
    expected = Expected(len(CONTENT), source().sha256, "upstream")
    assert SourceFolder(tmp_path / "shared").find(wanted) == Archive.found(place, expected)
    assert SourceFolder(tmp_path / "shared").find(source()) is None  # a person fetches it, and knows where it is
    (tmp_path / "shared" / "a.tar").write_bytes(CONTENT)
    assert SourceFolder(tmp_path / "shared").find(wanted) == Archive.found(tmp_path / "shared" / "a.tar", expected)


# Digests


@pytest.mark.keeps("S1")
def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(CONTENT)
    assert digests.remembered_sha256(path) is None
    sha256 = digests.sha256_of(path)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    digests.remember_sha256(path, sha256)
    assert digests.remembered_sha256(path) == sha256
    os.utime(path, ns=(1, 1))
    assert digests.remembered_sha256(path) is None


@pytest.mark.keeps("S1")
def test_bytes_that_change_while_they_are_hashed_are_refused_and_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(3 << 20))
    archive = Archive.found(path, None)

    def written_to() -> bool:
        path.write_bytes(bytes(range(256)) * (3 << 12))
        return False

    with pytest.raises(SourceProblem, match=r"a.tar: was replaced or written to while it was read: .*3,145,728 bytes"):
        archive.sha256(written_to)
    for _ in range(2):
        assert Archive.found(path, None).sha256() == digests.sha256_of(path)


def test_another_file_of_the_same_content_is_not_known(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        (tmp_path / name).write_bytes(CONTENT)
        os.utime(tmp_path / name, ns=(1, 1))
    digests.remember_sha256(tmp_path / "a.tar", "0" * 64)
    assert digests.remembered_sha256(tmp_path / "b.tar") is None


@pytest.mark.parametrize("note", ["", "{", "[]", "null", "{}", '{"identity": 1}', '{"sha256": "x"}'])
def test_a_damaged_note_is_the_same_as_none(note: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(CONTENT)
    digests.remember_sha256(path, "0" * 64)
    digests._memory(path).write_text(note)
    assert digests.remembered_sha256(path) is None


@pytest.mark.keeps("S1")
def test_a_builder_hashes_an_archive_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives.resized(tmp_path, [8])
    write_sidecar(tmp_path, "sample", {"imagenet_resized/8x8": archives.SPLITS})
    hashed: list[Path] = []
    sha256_of = digests.sha256_of

    def counted(path: Path, stopped: Callable[[], bool]) -> str:
        hashed.append(path)
        return sha256_of(path, stopped)

    monkeypatch.setattr(sources, "sha256_of", counted)
    make = loaders.load("imagenet_resized").Builder  # type: ignore[attr-defined]
    for cache in ("one", "two"):
        made = make(config_name="8x8", data_dir=str(tmp_path), cache_dir=str(tmp_path / cache))
        made.download_and_prepare()
    assert sorted(hashed) == sorted(tmp_path.glob("*.zip"))


def test_a_digest_that_is_not_the_expected_one(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "a.tar", Expected(1, "a" * 64, "upstream"), ())
    with pytest.raises(SourceProblem, match=f"a.tar: expected SHA-256 {'a' * 64} .upstream's., found {'b' * 64}"):
        checks.check_digest(archive, "b" * 64, False)
    checks.check_digest(archive, "b" * 64, True)
    checks.check_digest(archive, "a" * 64, False)
    checks.check_digest(Archive(tmp_path / "a.tar", None, ()), "b" * 64, False)


# Sidecars


def test_a_sidecar_vouches_for_every_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(CONTENT)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/b").write_bytes(b"b")
    rows = {"imagenet_v2/topimages": {"test": 7}}
    write_sidecar(tmp_path, "regenerated", rows)
    write_sidecar(tmp_path, "regenerated", rows)  # never of itself
    folder = SourceFolder(tmp_path)
    found = folder.find(Source("a.tar", 5, "0" * 64, "the page"))
    assert found == Archive.found(tmp_path / "a.tar", Expected(len(CONTENT), source().sha256, "regenerated"))
    loose = folder.find_unregistered("folder/b")
    assert loose is not None
    assert (loose.origin, loose.expected and loose.expected.bytes) == ("regenerated", 1)
    above = SourceFolder(tmp_path.parent)  # the sidecar lies where the archives do
    assert [each.rows("imagenet_v2", "topimages", {"test": (found,)}) for each in (folder, above)] == [{"test": 7}] * 2
    assert folder.rows("imagenet_v2", "threshold-0.7", {"test": (found,)}) == {}
    assert folder.rows("imagenet_v2", "topimages", {}) == {}
    assert (folder.origin, SourceFolder(tmp_path / "folder").origin) == ("regenerated", "upstream")


def test_without_a_sidecar_upstream_is_expected(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    folder = SourceFolder(tmp_path)
    assert folder.find(source()) == Archive.found(
        tmp_path / "a.tar", Expected(len(CONTENT), source().sha256, "upstream")
    )
    assert folder.find_unregistered("a.tar") == Archive.found(tmp_path / "a.tar", None)
    assert folder.find_unregistered("b.tar") is None
    assert SourceFolder(tmp_path / "none").find(source()) is None


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", '"x"', "[" * 100_000, '{"files": []}', "\xff"),
        *('{"files": {"a.tar": {"bytes": 1}}}', '{"files": {"a.tar": {"bytes": "1", "sha256": "x"}}}'),
        *('{"rows": {"imagenet_v2/topimages": {"test": "7"}}}', '{"origin": 3}', '{"regenerated": {"8x8": {}}}'),
        '{"regenerated": {"8x8": {"key": "", "unreadable": {}, "files": ["a.tar"]}}}',
    ],
)
def test_a_sidecar_that_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    (tmp_path / SIDECAR).write_bytes(content.encode("latin-1"))
    with pytest.raises(SourceProblem) as caught:
        SourceFolder(tmp_path).find(source())
    assert str(tmp_path / SIDECAR) in str(caught.value)


@pytest.mark.keeps("S12")
@pytest.mark.parametrize("name", ["../a.tar", "/etc/passwd", "a/../../b", "C:a", "a\\b", "a\nb", ""])
def test_a_sidecar_does_not_lead_out_of_its_folder(name: str, tmp_path: Path) -> None:
    content = {"origin": "sample", "files": {name: {"bytes": 1, "sha256": "0" * 64}}}
    (tmp_path / SIDECAR).write_text(json.dumps(content))
    with pytest.raises(SourceProblem, match=SIDECAR):
        SourceFolder(tmp_path)


def test_the_sidecar_of_the_sample_tells_of_every_config(sample: Path) -> None:
    content = json.loads((sample / SIDECAR).read_text())
    names = [f"{n}/{c.name}" for n in loaders.names() for c in loaders.load(n).DATASET.configs]
    assert sorted(content["rows"]) == sorted(names)
    assert content["origin"] == "sample"
    assert sorted(content["files"]) == sorted(p.name for p in sample.iterdir() if p.name != SIDECAR)


# Shards
