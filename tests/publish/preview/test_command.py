"""The command: what it is given, what it refuses in one line, and that it answers to this machine alone."""

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from publish import manifest
from tests.kit import building, making
from tests.kit.browsing import Previews, served

Refused = Callable[..., str]


@pytest.fixture
def refused(previews: Previews) -> Refused:
    """Run the command, which has to end with 1 and a line of its own, and return that."""

    def refused(*arguments: object, cwd: Path | None = None) -> str:
        done = previews.run(*arguments, cwd=cwd)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    return refused


def test_an_empty_folder_is_refused(tmp_path: Path, refused: Refused) -> None:
    assert "expected a dataset repository, or a folder of some; found no manifest.json" in refused(tmp_path)


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "README.md").write_text("# Photos\n")
    said = refused(tmp_path)
    assert f"{tmp_path}: expected a dataset repository" in said
    assert f"python -m publish --config all --sample --out {tmp_path}" in said


def test_without_a_folder_it_is_hub_and_says_so(tmp_path: Path, refused: Refused) -> None:
    assert refused(cwd=tmp_path).startswith("error: hub: expected a folder, or ORG/NAME on the Hub; it is neither.")


def test_a_manifest_that_cannot_be_read_is_named(built: Path, tmp_path: Path, refused: Refused) -> None:
    repository = making.part(built, tmp_path / "small")
    (repository / manifest.NAME).write_text("{")
    assert f"{repository}/manifest.json: expected a manifest of this project" in refused(repository)


def test_a_port_in_use_is_refused(built: Path, refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(built, "--port", port)
    assert said == f"error: port {port} of 127.0.0.1: Address already in use. Name another with --port.\n"


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_refused(port: str, tmp_path: Path, previews: Previews) -> None:
    done = previews.run(tmp_path, "--port", port)
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_without_gradio_it_says_what_to_install(built: Path) -> None:
    without = "import sys; sys.modules['gradio'] = None"
    code = f"{without}; from publish.preview.__main__ import main; sys.exit(main(sys.argv[1:]))"
    done = building.run(sys.executable, "-c", code, built)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: gradio is not installed: install the extra `preview` (pip install -e '.[preview]').\n"


def fetch(
    address: str, path: str = "", host: str | None = None, data: bytes | None = None, **more: str
) -> tuple[int, dict[str, str], str]:
    headers = {name.replace("_", "-"): value for name, value in more.items()} | ({"Host": host} if host else {})
    request = urllib.request.Request(address + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def test_the_page_asks_nobody_else(address: str) -> None:
    """Not even if something in it wanted to: the browser is told so with every answer."""
    for path in ("", "config", "theme.css", "nothing-of-this-name"):
        headers = fetch(address, path)[1]
        policy = {name.lower(): value for name, value in headers.items()}["content-security-policy"]
        assert policy.startswith("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:;"), path


def test_another_name_for_this_machine_is_not_answered(address: str) -> None:
    """A page from elsewhere whose name is made to lead here reads nothing."""
    assert fetch(address, host="evil.example")[0] == 400
    assert fetch(address, host=f"localhost:{urlsplit(address).port}")[0] == 200


ASKED = b'{"data": [], "fn_index": 0, "session_hash": "x"}'
OTHERS: dict[str, dict[str, str]] = {
    "another website": {"Origin": "https://example.org"},
    "another port": {"Origin": "http://127.0.0.1:9"},
    "no origin to tell": {"Origin": "null"},
    "a website's picture": {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "image"},
    "another port's script": {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "script"},
    "a website's form": {"Origin": "https://example.org", "Content_Type": "multipart/form-data; boundary=x"},
}


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.keeps("V3")
def test_another_page_is_not_answered(who: str, address: str) -> None:
    for path, data in (("", None), ("config", None), ("gradio_api/run/predict", ASKED), ("gradio_api/upload", b"x")):
        assert fetch(address, path, data=data, **OTHERS[who])[0] == 403, path


@pytest.mark.keeps("V3")
def test_who_does_not_know_the_secret_is_told_where_it_is(address: str) -> None:
    """Another user of the machine sees the port, and nothing behind it."""
    root = f"http://{urlsplit(address).netloc}/"
    for path in ("", "config", "gradio_api/info", "assets/x.js", "x" * 32 + "/config", "%2e%2e/config", "//config"):
        status, _, said = fetch(root, path)
        assert (status, "the address that `python -m publish.preview` printed" in said) == (403, True), path
    assert fetch(root, "gradio_api/run/predict", data=ASKED)[0] == 403
    assert fetch(root, "favicon.ico")[0] == 204


@pytest.mark.keeps("V3")
def test_nothing_is_uploaded(address: str) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhello\r\n--x--\r\n'
    for path in ("gradio_api/upload", "gradio_api/upload?upload_id=1", "upload", "gradio_api/component_server"):
        said = fetch(address, path, data=body, Content_Type="multipart/form-data; boundary=x")
        assert (said[0], said[2]) == (403, "The preview takes no files and serves none.\n"), path
    assert fetch(address, "gradio_api/run/predict", data=b"x" * 100_000)[0] == 403


def test_no_file_of_the_machine_is_served(address: str, built: Path) -> None:
    for path in (built / "imagenet_resized" / "manifest.json", Path("/etc/passwd")):
        assert fetch(address, f"gradio_api/file={path}")[0] in (403, 404)


def test_analytics_are_off(address: str) -> None:
    config = json.loads(fetch(address, "config")[2])
    assert config["analytics_enabled"] is False


_WATCH = """
import os, socket, sys
for name in ("connect", "connect_ex"):
    def watched(self, address, call=getattr(socket.socket, name)):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            open(os.environ["ASKED"], "a").write(f"{address}\\n")
        return call(self, address)
    setattr(socket.socket, name, watched)
def resolved(host, *rest, call=socket.getaddrinfo, **more):
    if host not in (None, "127.0.0.1", "localhost"):
        open(os.environ["ASKED"], "a").write(f"{host}\\n")
    return call(host, *rest, **more)
socket.getaddrinfo = resolved
def opened(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".pyi"):
        open(os.environ["ASKED"] + "-stubs", "a").write(f"{arguments[0]}\\n")
sys.addaudithook(opened)
"""


@dataclass(frozen=True)
class Run:
    """A run of the command from its start to its end: its address, what was answered there, and what it left."""

    address: str
    answers: list[int]
    folders: list[int]
    asked: Path


@pytest.fixture(scope="module")
def run(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """From a folder with a `hub`, on a machine of many users, where it is seen whom it asks."""
    here = tmp_path_factory.mktemp("run")
    (here / "hub").symlink_to(built)
    (here / "gradio").write_text("another user's")
    (here / "sitecustomize.py").write_text(_WATCH)
    paths, asked = f"{here}{os.pathsep}{building.ROOT}", here / "asked"
    env = building.environment(PYTHONPATH=paths, ASKED=str(asked), TMPDIR=str(here))
    building.run(sys.executable, "-c", "import socket; socket.create_connection(('localhost.invalid', 9))", env=env)
    assert asked.read_text() == "localhost.invalid\n"  # it would be seen
    asked.unlink()
    with served(cwd=here, env=env) as address:
        answers = [fetch(address, path)[0] for path in ("", "config")]
        folders = [path.stat().st_mode & 0o777 for path in here.glob("preview-*")]
    return Run(address, answers, folders, asked)


def test_the_command_itself_asks_nobody(run: Run) -> None:
    """Neither Gradio nor another library calls home, from the import to the end."""
    assert not run.asked.exists()


def test_no_stubs_for_editors_are_written_at_its_start(run: Run) -> None:
    """Gradio does so when it is imported, and takes twice as long."""
    assert not run.asked.with_name("asked-stubs").exists()


def test_it_starts_from_any_folder(run: Run) -> None:
    assert run.answers == [200, 200]


@pytest.mark.keeps("V3")
def test_another_s_folder_for_temporary_files_is_not_used(run: Run) -> None:
    """On a machine of many users `gradio` may lie in the shared one already; what is ours is for its user alone."""
    assert run.folders == [0o700]


@pytest.mark.keeps("V3")
def test_each_run_has_a_secret_of_its_own(run: Run, address: str) -> None:
    secrets = [urlsplit(each).path.strip("/") for each in (address, run.address)]
    assert secrets[0] != secrets[1]
    assert all(len(secret) >= 32 for secret in secrets)
