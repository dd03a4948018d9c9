"""The test Hub, seen by the clients it is for: huggingface_hub in this process, datasets and hf_xet in subprocesses."""

import hashlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_session
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.lfs import post_lfs_batch_info

from tests.kit.hub import Fault, Hub, HubError, Request, running
from tests.kit.hub.revisions import regular_file, tree_oids

# huggingface_hub 2.4 hands its uploads to httpx2 in a way that httpx2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN, REPO = "hf_alice", "lab/set"
SHARD = bytes(range(256)) * 512


@pytest.fixture(autouse=True)
def lfs_uploads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(page_size=3, multipart_size=100_000) as hub:
        hub.add_user(TOKEN, "alice", orgs={"lab": "write"})
        hub.add_repo(REPO, "alice")
        yield hub


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=TOKEN)


def add(files: dict[str, bytes]) -> list[CommitOperationAdd | CommitOperationDelete]:
    return [CommitOperationAdd(path, data) for path, data in files.items()]


def publish(api: HfApi, files: dict[str, bytes], **options: Any) -> str:
    options = {"repo_type": "dataset", **options}
    return str(api.create_commit(REPO, add(files), commit_message="Publish", **options).oid)


def log(hub: Hub) -> list[tuple[str, str, int | None]]:
    return [(r.method, r.path, r.status) for r in hub.requests]


def status_of(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    return int(error.value.response.status_code)


def run_client(hub: Hub, home: Path, code: str, xet: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    env = hub.client_env(home, TOKEN, xet) | {"USE_TORCH": "0"}  # which `datasets` imports where it is there
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(client: subprocess.Popen[str]) -> str:
    output, _ = client.communicate(timeout=60)
    assert client.returncode == 0, output
    return output


class TestAccounts:
    def test_whoami_tells_orgs_and_the_role_of_the_token(self, hub: Hub, api: HfApi) -> None:
        hub.add_user("hf_fine", "bob", {"lab": "read"}, "fineGrained", {"lab/set": ["discussion.write"]})
        me, bob = api.whoami(), api.whoami(token="hf_fine")
        assert (me["name"], me["auth"]["accessToken"]["role"]) == ("alice", "write")
        assert [(o["name"], o["roleInOrg"]) for o in me["orgs"]] == [("lab", "write")]
        assert bob["auth"]["accessToken"]["fineGrained"]["scoped"] == [
            {
                "entity": {"_id": "dataset-lab/set", "type": "dataset", "name": "lab/set"},
                "permissions": ["discussion.write"],
            }
        ]

    def test_unknown_and_revoked_tokens_get_401(self, hub: Hub, api: HfApi) -> None:
        hub.revoke(TOKEN)
        for token in (TOKEN, "hf_unknown"):
            with pytest.raises(HfHubHTTPError, match="Invalid user token") as error:
                api.whoami(token=token)
            assert (status_of(error), error.value.response.headers["X-Error-Message"]) == (
                401,
                "Invalid credentials in Authorization header",
            )

    def test_create_repo(self, hub: Hub, api: HfApi) -> None:
        first = api.create_repo("alice/new", repo_type="dataset", private=True)
        assert (first.repo_id, hub.repo("alice/new").private) == ("alice/new", True)
        assert api.create_repo("alice/new", repo_type="dataset", exist_ok=True) == first
        with pytest.raises(HfHubHTTPError, match="already created") as error:
            api.create_repo("alice/new", repo_type="dataset")
        assert status_of(error) == 409

    def test_create_repo_elsewhere_or_with_a_read_token_gets_403(self, hub: Hub, api: HfApi) -> None:
        hub.add_user("hf_read", "alice", role="read")
        for token, name in ((TOKEN, "other/new"), ("hf_read", "alice/new")):
            with pytest.raises(HfHubHTTPError, match="don't have the rights") as error:
                api.create_repo(name, repo_type="dataset", token=token)
            assert status_of(error) == 403

    @pytest.mark.parametrize(
        ("role", "scopes", "writes", "opens"),
        [
            ("write", {}, True, True),
            ("read", {}, False, False),
            ("fineGrained", {"lab": ["repo.write"]}, True, True),
            ("fineGrained", {"lab/set": ["repo.content.read", "discussion.write"]}, False, True),
            ("fineGrained", {"lab/other": ["repo.write"]}, False, False),
        ],
    )
    def test_rights_of_tokens(self, hub: Hub, role: Any, scopes: Any, writes: bool, opens: bool) -> None:
        hub.add_user("hf_bob", "bob", {"lab": "write"}, role, scopes)
        api = HfApi(endpoint=hub.endpoint, token="hf_bob")
        for create_pr in (False, True):
            with suppress(HfHubHTTPError):
                publish(api, {f"{create_pr}.txt": b"hi"}, create_pr=create_pr)
        refused = [r.query for r in hub.requests if r.status == 403]
        assert refused == [{}] * (not writes) + [{"create_pr": ["1"]}] * (not opens)
        assert len(hub.repo(REPO).pull_requests) == opens
        assert len(hub.repo(REPO).history()) == 1 + writes
        if writes:
            api.auth_check(REPO, repo_type="dataset", write=True)
        else:
            with pytest.raises(HfHubHTTPError, match="create_pr=1"):
                api.auth_check(REPO, repo_type="dataset", write=True)

    def test_contributors_write_only_what_they_created(self, hub: Hub) -> None:
        hub.add_user("hf_bob", "bob", {"lab": "contributor"})
        api = HfApi(endpoint=hub.endpoint, token="hf_bob")
        api.create_repo("lab/own", repo_type="dataset")
        api.auth_check("lab/own", repo_type="dataset", write=True)
        with pytest.raises(HfHubHTTPError, match="create_pr=1"):
            api.auth_check(REPO, repo_type="dataset", write=True)


class TestVisibility:
    def test_private_is_missing_to_others(self, hub: Hub, api: HfApi) -> None:
        api.update_repo_settings(REPO, private=True, repo_type="dataset")
        hub.add_user("hf_bob", "bob")
        for token, status in ((False, 401), ("hf_bob", 404)):
            for repo in (REPO, "lab/none"):
                with pytest.raises(RepositoryNotFoundError) as error:
                    api.dataset_info(repo, token=token)
                assert status_of(error) == status
        assert api.dataset_info(REPO).private is True

    def test_gated_shows_what_it_is_but_not_its_content(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        hub.add_user("hf_bob", "bob")
        publish(api, {"note.txt": b"hi"})
        api.update_repo_settings(REPO, gated="manual", repo_type="dataset")
        for token, status in ((False, 401), ("hf_bob", 403)):
            assert api.dataset_info(REPO, token=token).gated == "manual"
            with pytest.raises(GatedRepoError) as error:
                api.hf_hub_download(REPO, "note.txt", repo_type="dataset", token=token, local_dir=tmp_path)
            assert status_of(error) == status
        hub.repo(REPO).let_in("bob")
        path = api.hf_hub_download(REPO, "note.txt", repo_type="dataset", token="hf_bob", local_dir=tmp_path)
        assert Path(path).read_bytes() == b"hi"
        api.update_repo_settings(REPO, gated=False, repo_type="dataset")
        assert api.dataset_info(REPO).gated is False

    def test_stored_objects_need_a_signature(self, hub: Hub, api: HfApi) -> None:
        publish(api, {"a.parquet": SHARD})
        redirect = httpx2.get(f"{hub.endpoint}/datasets/{REPO}/resolve/main/a.parquet")
        assert redirect.status_code == 302
        address = redirect.headers["Location"]
        assert httpx2.get(address).content == SHARD
        assert httpx2.get(address.partition("?")[0]).status_code == 403
        assert httpx2.put(address, content=SHARD).status_code == 403


class TestRevisions:
    def test_object_ids_are_those_of_git(self) -> None:
        files = {"a/b/x": b"1", "a/y": b"2", "a-z": b"3", "a.d/q": b"4"}
        oids = tree_oids({path: regular_file(data) for path, data in files.items()})
        # From `git write-tree` on these files.
        assert oids[""] == "ab7792e1b20c3ac47f2a575cf85bae2f39005fbe"
        assert oids["a"] == "a47e74f6671e8c8cb43e932465732aa0becbc766"
        assert regular_file(b"").oid == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

    def test_commit_and_read_back(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        first = hub.repo(REPO).head()
        files = {"README.md": b"---\nlicense: mit\n---\n# Hi\n", "a/1.parquet": SHARD, "a/b/2.parquet": SHARD[::-1]}
        oid = publish(api, files, parent_commit=first)
        repo = hub.repo(REPO)
        assert [(c.oid, c.parents, c.author) for c in repo.history()] == [
            (oid, (first,), "alice"),
            (first, (), "system"),
        ]
        assert {path: repo.read(path) for path in files} == files
        assert repo.files()["a/1.parquet"].sha256 == hashlib.sha256(SHARD).hexdigest()
        assert getattr(api.dataset_info(REPO).card_data, "license", None) == "mit"
        folder = api.snapshot_download(REPO, repo_type="dataset", local_dir=tmp_path / "copy")
        (tmp_path / "copy" / "a" / "1.parquet").write_bytes(b"changed")
        checked = api.verify_repo_checksums(REPO, repo_type="dataset", local_dir=folder, revision=oid)
        assert ([m["path"] for m in checked.mismatches], checked.missing_paths) == (["a/1.parquet"], [])
        assert checked.checked_count == 4

    def test_moved_parent_gets_412_and_nothing_changes(self, hub: Hub, api: HfApi) -> None:
        old = hub.repo(REPO).head()
        hub.inject(Fault(path="/commit/", hook=lambda request: hub.commit(REPO, {"theirs.txt": b"first"})))
        with pytest.raises(HfHubHTTPError, match="A commit has happened since") as error:
            publish(api, {"ours.txt": b"second"}, parent_commit=old)
        assert status_of(error) == 412
        assert set(hub.repo(REPO).files()) == {".gitattributes", "theirs.txt"}
        publish(api, {"ours.txt": b"second"}, parent_commit=hub.repo(REPO).head())
        assert set(hub.repo(REPO).files()) == {".gitattributes", "theirs.txt", "ours.txt"}

    def test_second_commit_gets_409_while_one_runs(self, hub: Hub, api: HfApi) -> None:
        entered = threading.Event()
        hub.inject(Fault(path="/commit/", hook=lambda request: entered.set(), delay=0.5))
        slow = threading.Thread(target=publish, args=(api, {"slow.txt": b"1"}))
        slow.start()
        assert entered.wait(10)
        while not hub.repo(REPO).committing.locked():  # Entered a moment after the hook.
            time.sleep(0.01)
        with pytest.raises(HfHubHTTPError, match="in progress") as error:
            publish(api, {"fast.txt": b"2"}, parent_commit=hub.repo(REPO).head())
        slow.join()
        assert status_of(error) == 409
        assert "slow.txt" in hub.repo(REPO).files()

    def test_deletions(self, hub: Hub, api: HfApi) -> None:
        publish(api, {"a/1.txt": b"1", "a/2.txt": b"2", "b.txt": b"3"})
        gone: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationDelete("a/"),
            CommitOperationDelete("b.txt"),
        ]
        api.create_commit(REPO, gone, commit_message="Delete", repo_type="dataset")
        assert set(hub.repo(REPO).files()) == {".gitattributes"}
        for operation in gone:
            with pytest.raises(EntryNotFoundError, match="doesn't exist"):
                api.create_commit(REPO, [operation], commit_message="Again", repo_type="dataset")
        assert len(hub.repo(REPO).history()) == 3

    @pytest.mark.parametrize("files", [{"a": b"1", "a/b": b"2"}, {"a//b": b"1"}])
    def test_impossible_paths_are_refused(self, hub: Hub, api: HfApi, files: dict[str, bytes]) -> None:
        with pytest.raises(HfHubHTTPError, match="one of its folders"):
            publish(api, files)
        assert len(hub.repo(REPO).history()) == 1

    def test_refs(self, hub: Hub, api: HfApi) -> None:
        first, second = hub.repo(REPO).head(), publish(api, {"a.txt": b"1"})
        with pytest.raises(RevisionNotFoundError):
            api.create_tag(REPO, tag="v1", revision=first[:6], repo_type="dataset")
        api.create_tag(REPO, tag="v1", revision=first[:8], repo_type="dataset")
        api.create_branch(REPO, branch="next", revision=first, repo_type="dataset")
        pull = api.create_commit(REPO, add({"b.txt": b"2"}), commit_message="Ask", repo_type="dataset", create_pr=True)
        assert pull.pr_revision == "refs/pr/1"
        more = publish(api, {"c.txt": b"3"}, revision="refs/pr/1")
        refs = api.list_repo_refs(REPO, repo_type="dataset", include_pull_requests=True)
        assert {r.name: r.target_commit for r in refs.branches} == {"main": second, "next": first}
        assert [(r.ref, r.target_commit) for r in refs.tags] == [("refs/tags/v1", first)]
        assert [(r.ref, r.target_commit) for r in refs.pull_requests or []] == [("refs/pr/1", more)]
        assert set(hub.repo(REPO).files("refs/pr/1")) == {".gitattributes", "a.txt", "b.txt", "c.txt"}
        with pytest.raises(HfHubHTTPError) as error:
            api.create_tag(REPO, tag="v1", repo_type="dataset")
        assert status_of(error) == 409
        api.create_tag(REPO, tag="v1", repo_type="dataset", exist_ok=True)
        api.delete_tag(REPO, tag="v1", repo_type="dataset")
        api.delete_branch(REPO, branch="next", repo_type="dataset")
        assert (hub.repo(REPO).tags, hub.repo(REPO).branches) == ({}, {"main": second})
        with pytest.raises(RevisionNotFoundError):
            api.dataset_info(REPO, revision="v1")

    def test_squash_and_permanent_deletion_leave_no_data(self, hub: Hub, api: HfApi) -> None:
        publish(api, {"a.parquet": SHARD, "note.txt": b"1"})
        publish(api, {"note.txt": b"2"})
        shards = [f for f in api.list_lfs_files(REPO, repo_type="dataset") if f.filename == "a.parquet"]
        assert [(f.size, f.file_oid) for f in shards] == [(len(SHARD), hashlib.sha256(SHARD).hexdigest())]
        api.permanently_delete_lfs_files(REPO, shards, repo_type="dataset")
        repo = hub.repo(REPO)
        assert [set(c.files) for c in repo.history()] == [{".gitattributes", "note.txt"}] * 2 + [{".gitattributes"}]
        assert (repo.objects, hub.store.has(shards[0].file_oid)) == ({}, False)
        api.super_squash_history(REPO, repo_type="dataset")
        commits = api.list_repo_commits(REPO, repo_type="dataset")
        assert [c.commit_id for c in commits] == [repo.head()]
        assert repo.read("note.txt") == b"2"

    @pytest.mark.parametrize(
        ("readme", "complaint"),
        [(b"---\na: [\n---\n", "bad YAML"), (b"---\na: b\n", "not closed"), (b"---\n- a\n---\n", "not a mapping")],
    )
    def test_readme_is_validated(self, hub: Hub, api: HfApi, readme: bytes, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            publish(api, {"README.md": readme})
        hub.inject(
            Fault(path="/validate-yaml", status=200)
        )  # An answer that says nothing: the commit itself is refused.
        with pytest.raises(HfHubHTTPError, match=complaint):
            publish(api, {"README.md": readme})
        assert len(hub.repo(REPO).history()) == 1


class TestListings:
    def test_tree_is_paged(self, hub: Hub, api: HfApi) -> None:
        publish(api, {f"d/{i}.txt": b"x" * i for i in range(1, 6)} | {"d/e/f.txt": b"", "a.txt": b""})
        start = len(hub.requests)
        tree = [entry.path for entry in api.list_repo_tree(REPO, repo_type="dataset", recursive=True)]
        assert sorted(tree) == sorted(
            [".gitattributes", "a.txt", "d", "d/e", "d/e/f.txt", *(f"d/{i}.txt" for i in range(1, 6))]
        )
        assert len(hub.requests) - start == 4
        below = list(api.list_repo_tree(REPO, "d", repo_type="dataset"))
        assert [e.path for e in below] == ["d/e", *(f"d/{i}.txt" for i in range(1, 6))]
        with pytest.raises(EntryNotFoundError):
            list(api.list_repo_tree(REPO, "none", repo_type="dataset"))

    def test_paths_info_with_last_commits(self, hub: Hub, api: HfApi) -> None:
        first = publish(api, {"d/a.parquet": SHARD, "b.txt": b"1"})
        second = publish(api, {"b.txt": b"2"})
        infos = api.get_paths_info(REPO, ["d/a.parquet", "b.txt", "none", "d"], repo_type="dataset", expand=True)
        found = {i.path: i.last_commit.oid for i in infos if i.last_commit}
        assert found == {"d/a.parquet": first, "b.txt": second, "d": second}
        siblings = api.dataset_info(REPO, files_metadata=True).siblings or []
        sizes = {s.rfilename: (s.size, s.lfs.sha256 if s.lfs else None) for s in siblings}
        assert sizes["d/a.parquet"] == (len(SHARD), hashlib.sha256(SHARD).hexdigest())
        assert sizes["b.txt"] == (1, None)
        assert api.dataset_info(REPO, expand=["sha"]).__dict__["siblings"] is None

    @pytest.mark.parametrize("path", ["a.parquet", "b.txt"])
    @pytest.mark.parametrize(
        ("wanted", "part"),
        [("bytes=10-19", slice(10, 20)), ("bytes=200-", slice(200, None)), ("bytes=-7", slice(-7, None))],
    )
    def test_ranges(self, hub: Hub, api: HfApi, path: str, wanted: str, part: slice) -> None:
        data = bytes(range(256))
        publish(api, {"a.parquet": data, "b.txt": data[1:] + b"x"})
        whole = hub.repo(REPO).read(path)
        url = f"{hub.endpoint}/datasets/{REPO}/resolve/main/{path}"
        answer = get_session().get(url, headers={"Range": wanted})
        start, stop, _ = part.indices(256)
        assert (answer.status_code, answer.content) == (206, whole[part])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/256"
        behind = get_session().get(url, headers={"Range": "bytes=256-"})
        assert (behind.status_code, behind.headers["Content-Range"]) == (416, "bytes */256")


class TestLfs:
    def test_large_objects_come_in_parts(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        data = os.urandom(250_001)
        (tmp_path / "shard").write_bytes(data)
        operation = CommitOperationAdd("a.parquet", tmp_path / "shard")
        api.create_commit(REPO, [operation], commit_message="Publish", repo_type="dataset")
        assert hub.repo(REPO).read("a.parquet") == data
        assert [r.bytes_received for r in hub.requests if r.method == "PUT"] == [100_000, 100_000, 50_001]

    def test_missing_part_is_refused(self, hub: Hub) -> None:
        info = CommitOperationAdd("a.parquet", SHARD).upload_info
        actions, _, _ = post_lfs_batch_info([info], TOKEN, "dataset", REPO, endpoint=hub.endpoint)
        upload = actions[0]["actions"]["upload"]
        etag = httpx2.put(upload["header"]["00001"], content=SHARD[:100_000]).headers["ETag"]
        parts = [{"partNumber": n, "etag": etag} for n in (1, 2)]
        answer = httpx2.post(upload["href"], json={"oid": info.sha256.hex(), "parts": parts})
        assert (answer.status_code, "InvalidPart" in answer.text, hub.repo(REPO).objects) == (400, True, {})

    def test_what_arrived_is_not_uploaded_again(self, hub: Hub, api: HfApi) -> None:
        for _ in range(2):
            api.preupload_lfs_files(REPO, [CommitOperationAdd("a.parquet", SHARD)], repo_type="dataset")
        oid = publish(api, {"a.parquet": SHARD})
        assert publish(api, {"a.parquet": SHARD}) == oid
        assert [r.status for r in hub.requests if r.method == "PUT" or "/commit/" in r.path] == [200, 200, 200]

    @pytest.mark.parametrize("size", [1000, 250_000])
    def test_file_changed_during_upload_is_refused(self, hub: Hub, api: HfApi, tmp_path: Path, size: int) -> None:
        (tmp_path / "shard").write_bytes(b"a" * size)
        operation = CommitOperationAdd("a.parquet", tmp_path / "shard")
        assert operation.upload_info.sha256 == hashlib.sha256(b"a" * size).digest()
        (tmp_path / "shard").write_bytes(b"b" * size)
        with pytest.raises(RuntimeError, match=r"Error while uploading 'a.parquet'") as error:
            api.create_commit(REPO, [operation], commit_message="Publish", repo_type="dataset")
        assert "BadDigest" in str(error.value.__cause__)
        assert (hub.repo(REPO).objects, len(hub.repo(REPO).history())) == ({}, 1)

    def test_pointer_to_what_did_not_arrive_is_refused(self, hub: Hub, api: HfApi) -> None:
        operation = CommitOperationAdd("a.parquet", SHARD)
        operation._upload_mode, operation._is_uploaded = "lfs", True
        with pytest.raises(HfHubHTTPError, match="does not exist"):
            api.create_commit(REPO, [operation], commit_message="Publish", repo_type="dataset")
        assert len(hub.repo(REPO).history()) == 1

    def test_verify_refuses_another_size(self, hub: Hub, api: HfApi) -> None:
        operation = CommitOperationAdd("a.parquet", SHARD)
        actions, _, _ = post_lfs_batch_info([operation.upload_info], TOKEN, "dataset", REPO, endpoint=hub.endpoint)
        verify = actions[0]["actions"]["verify"]["href"]
        asked = {"oid": operation.upload_info.sha256.hex(), "size": 1}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx2.post(verify, json=asked, headers=headers).status_code == 404
        api.preupload_lfs_files(REPO, [operation], repo_type="dataset")
        assert httpx2.post(verify, json=asked, headers=headers).status_code == 422


class TestFaults:
    def test_status_is_answered_without_effect_and_retried(self, hub: Hub, api: HfApi) -> None:
        limited = {"ratelimit": '"api";r=0;t=0'}
        hub.inject(
            Fault(path="/preupload/", status=429, headers=limited),
            Fault(method="PUT", status=503, headers={"Retry-After": "0"}),
        )
        publish(api, {"a.parquet": SHARD})
        statuses = [(r.method, r.status) for r in hub.requests if "/preupload/" in r.path or r.method == "PUT"]
        assert statuses == [("POST", 429), ("POST", 200), ("PUT", 503), ("PUT", 200), ("PUT", 200)]
        assert [fired for _, fired in hub.fired()] == [1, 1]

    def test_status_keeps_the_request_from_landing(self, hub: Hub, api: HfApi) -> None:
        hub.inject(Fault(path="/tag/", status=500))
        with pytest.raises(HfHubHTTPError, match="Scripted fault"):
            api.create_tag(REPO, tag="v1", repo_type="dataset")
        assert hub.repo(REPO).tags == {}

    @pytest.mark.parametrize("reset", [False, True])
    def test_cut_before_the_answer(self, hub: Hub, api: HfApi, reset: bool) -> None:
        hub.inject(Fault(index=0, cut="before", reset=reset))
        with pytest.raises(httpx2.ReadError if reset else httpx2.RemoteProtocolError):
            api.whoami()
        assert log(hub) == [("GET", "/api/whoami-v2", None)]
        assert api.whoami()["name"] == "alice"

    def test_cut_in_the_middle_of_an_upload(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        hub.inject(Fault(method="PUT", nth=2, cut="upload", after=65_536))
        (tmp_path / "shard").write_bytes(os.urandom(250_000))
        operation = CommitOperationAdd("a.parquet", tmp_path / "shard")
        api.create_commit(REPO, [operation], commit_message="Publish", repo_type="dataset")
        puts = [(r.status, r.bytes_received) for r in hub.requests if r.method == "PUT"]
        assert puts == [(200, 100_000), (None, 65_536), (200, 100_000), (200, 50_000)]
        assert hub.repo(REPO).read("a.parquet") == (tmp_path / "shard").read_bytes()

    def test_cut_in_the_middle_of_a_download(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        publish(api, {"a.parquet": SHARD})
        hub.inject(Fault(path="/tree/", cut="download", after=10), Fault(path="^/storage/", cut="download", after=1000))
        with pytest.raises(httpx2.RemoteProtocolError, match="received 10 bytes"):
            httpx2.get(f"{hub.endpoint}/api/datasets/{REPO}/tree/main")
        path = api.hf_hub_download(REPO, "a.parquet", repo_type="dataset", local_dir=tmp_path)
        assert Path(path).read_bytes() == SHARD
        gets = [(r.status, r.bytes_sent) for r in hub.requests if r.path.startswith("/storage/") and r.method == "GET"]
        assert gets == [(200, 1000), (200, len(SHARD))]  # The client resumes at multiples of 10 MiB only.

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault(path="/commit/", landed=True, status=500), HfHubHTTPError),
            (Fault(path="/commit/", landed=True, cut="before"), httpx2.RemoteProtocolError),
        ],
    )
    def test_landed_but_not_told(self, hub: Hub, api: HfApi, fault: Fault, error: type[Exception]) -> None:
        hub.inject(fault)
        with pytest.raises(error):
            publish(api, {"a.txt": b"1"})
        assert [c.title for c in hub.repo(REPO).history()] == ["Publish", "initial commit"]

    def test_delay(self, hub: Hub, api: HfApi) -> None:
        hub.inject(Fault(path=f"/api/datasets/{REPO}$", times=0, delay=5))
        with pytest.raises(httpx2.ReadTimeout):
            api.dataset_info(REPO, timeout=0.2)

    def test_nth_and_times(self, hub: Hub, api: HfApi) -> None:
        hub.inject(Fault(method="GET", path="/refs$", nth=2, times=2, status=404))
        for _ in range(4):
            with suppress(HfHubHTTPError):
                api.list_repo_refs(REPO, repo_type="dataset")
        assert [r.status for r in hub.requests] == [200, 404, 404, 200]
        hub.inject(Fault(method="GET", times=0, status=404))
        hub.clear_faults()
        api.list_repo_refs(REPO, repo_type="dataset")

    def test_hook_sees_its_request(self, hub: Hub, api: HfApi) -> None:
        seen: list[Request] = []
        hub.inject(Fault(path="/tag/", hook=seen.append, landed=True))
        api.create_tag(REPO, tag="v1", repo_type="dataset")
        assert [(r.method, r.path, r.bytes_received) for r in seen] == [("POST", f"/api/datasets/{REPO}/tag/main", 12)]

    def test_error_in_a_hook_is_raised_at_the_end(self) -> None:
        def hook(request: Request) -> None:
            raise ArithmeticError(request.path)

        with (
            pytest.raises(ArithmeticError, match="/api/whoami-v2"),
            running([Fault(hook=hook)]) as hub,
            pytest.raises(httpx2.RemoteProtocolError),
        ):
            httpx2.get(f"{hub.endpoint}/api/whoami-v2")

    @pytest.mark.parametrize("options", [{}, {"landed": True, "cut": "upload"}])
    def test_meaningless_faults_are_refused(self, options: Any) -> None:
        with pytest.raises(ValueError, match=r"this Fault does nothing|cannot have landed"):
            Fault(**options)

    def test_client_killed_at_a_request(self, hub: Hub, api: HfApi, tmp_path: Path) -> None:
        code = f"""
            from huggingface_hub import CommitOperationAdd, HfApi
            operations = [CommitOperationAdd("a.parquet", {SHARD[:2000]!r})]
            HfApi().create_commit("{REPO}", operations, commit_message="Publish", repo_type="dataset")
        """
        old = hub.repo(REPO).head()
        clients = [run_client(hub, tmp_path, code)]
        hub.inject(Fault(path="/commit/", hook=lambda request: clients[0].kill(), cut="before"))
        clients[0].communicate(timeout=60)
        assert (clients[0].returncode, hub.repo(REPO).head()) == (-signal.SIGKILL, old)
        start = len(hub.requests)
        finish(run_client(hub, tmp_path, code))
        assert hub.repo(REPO).read("a.parquet") == SHARD[:2000]
        assert not [r for r in hub.requests[start:] if r.method == "PUT"]


def parquet(values: list[int]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"label": values}), sink)
    return sink.getvalue()


CARD = b"---\nconfigs:\n- config_name: small\n  data_files:\n  - split: train\n    path: small/train-*\n---\n"


def test_datasets_loads_streaming_and_not(hub: Hub, api: HfApi, tmp_path: Path) -> None:
    publish(api, {"README.md": CARD, "small/train-0.parquet": parquet([1, 2]), "small/train-1.parquet": parquet([3])})
    api.update_repo_settings(REPO, private=True, repo_type="dataset")
    start = len(hub.requests)
    code = f"""
        import json
        import datasets
        datasets.config.USE_PARQUET_EXPORT = False  # It would look up the host name datasets-server.127.0.0.1.
        from datasets import load_dataset
        streamed = [row["label"] for row in load_dataset("{REPO}", "small", split="train", streaming=True)]
        print(json.dumps([streamed, load_dataset("{REPO}", "small", split="train")["label"][:]]))
    """
    output = finish(run_client(hub, tmp_path, code))
    assert json.loads(output.splitlines()[-1]) == [[1, 2, 3], [1, 2, 3]]
    stored = [r.status for r in hub.requests[start:] if r.path.startswith("/storage/")]
    assert set(stored) == {200, 206}


@pytest.mark.skipif(importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not installed")
def test_xet_uploads_and_downloads(hub: Hub, tmp_path: Path) -> None:
    data = os.urandom(300_000) + b"text that compresses " * 20_000 + bytes(i * i % 251 for i in range(100_000))
    (tmp_path / "shard").write_bytes(data)
    code = f"""
        from huggingface_hub import CommitOperationAdd, HfApi
        api = HfApi()
        operations = [CommitOperationAdd("a.parquet", "{tmp_path}/shard")]
        api.create_commit("{REPO}", operations, commit_message="Publish", repo_type="dataset")
        path = api.hf_hub_download("{REPO}", "a.parquet", repo_type="dataset")
        assert open(path, "rb").read() == open("{tmp_path}/shard", "rb").read()
    """
    finish(run_client(hub, tmp_path / "home", code, xet=True))
    file = hub.repo(REPO).files()["a.parquet"]
    assert (file.sha256, file.xet_hash in hub.cas.files) == (hashlib.sha256(data).hexdigest(), True)
    assert hub.repo(REPO).read("a.parquet") == data
    steps = [r.path.split("/")[2:4] for r in hub.requests if r.path.startswith("/cas/") and r.status in (200, 206)]
    assert {step[-1] if step[0] == "v1" else step[0] for step in steps} == {"xorbs", "shards", "reconstructions"}


def test_xet_needs_its_token(hub: Hub) -> None:
    token = f"{hub.endpoint}/api/datasets/{REPO}/xet-"
    assert httpx2.get(f"{token}write-token/main").status_code == 401
    read = {"Authorization": f"Bearer {httpx2.get(f'{token}read-token/main').json()['accessToken']}"}
    for headers in ({}, read):
        answer = httpx2.post(f"{hub.endpoint}/cas/v1/xorbs/default/{'0' * 64}", content=b"", headers=headers)
        assert answer.status_code == 401
    assert hub.cas.xorbs == {}


def test_state_answers_what_is_missing(hub: Hub) -> None:
    with pytest.raises(HubError, match="Entry not found: none"):
        hub.repo(REPO).read("none")
    with pytest.raises(KeyError):
        hub.repo("lab/none")
