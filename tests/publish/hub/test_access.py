"""Who may publish where, and who may read it: asked and answered before anything is built or sent."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from publish import manifest
from tests.kit import archives
from tests.kit.building import COMMAND, run
from tests.kit.hub import Fault
from tests.kit.pushing import Desk, Starts, flipped, is_whole


def refused(desk: Desk, *more: object, **turns: Any) -> str:
    """Publish, and return the one line that says why not; nothing was built or sent by then."""
    desk.forget()
    said = desk.push(*more, code=1, **turns)
    assert (said.commits, said.sent, list(desk.folder.glob("out/**/*.parquet"))) == (0, 0, [])
    line = said.text.strip()
    assert line.startswith("error: ")
    assert "\n" not in line, line
    return line


@pytest.mark.keeps("P1")
def test_no_login(desk: Desk) -> None:
    assert "log in with `hf auth login`, or set HF_TOKEN" in refused(desk, token="")


@pytest.mark.keeps("P1")
def test_a_token_that_nobody_knows(desk: Desk) -> None:
    assert "log in with `hf auth login`, or set HF_TOKEN" in refused(desk, token="hf_expired0123456789")


@pytest.mark.keeps("P1")
def test_a_token_that_only_reads(desk: Desk) -> None:
    desk.hub.add_user("hf_reads0123456789", "alice", orgs={desk.organisation: "write"}, role="read")
    line = refused(desk, token="hf_reads0123456789")
    assert "the token only reads. Use one with write access" in line


@pytest.mark.keeps("P1")
def test_an_organisation_that_is_not_theirs(desk: Desk) -> None:
    line = refused(desk, organisation="someone-else")
    assert line == (
        "error: someone-else: alice is not a member of it. "
        f"Push to one of alice, {desk.organisation}, or ask to be let in."
    )


@pytest.mark.keeps("P1")
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("permission", ["discussion.write", "repo.content.read"])
def test_a_fine_grained_token_that_may_only_propose_or_read(exists: bool, permission: str, published: Desk) -> None:
    if not exists:
        published.hub._repos.pop(published.name())
    scopes = {published.organisation: [permission, "repo.content.read"]}
    published.hub.add_user(
        "hf_fine0123456789", "alice", orgs={published.organisation: "write"}, role="fineGrained", scopes=scopes
    )
    assert "the token may not write there: use one with write access" in refused(published, token="hf_fine0123456789")


@pytest.mark.keeps("P1")
def test_a_member_who_only_reads(desk: Desk) -> None:
    desk.hub.add_user("hf_bob0123456789", "bob", orgs={desk.organisation: "read"})
    assert "the token may not write there" in refused(desk, token="hf_bob0123456789")


@pytest.mark.keeps("P1")
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", ["whoami", "auth-check", "api/datasets/"])
def test_a_refusal_at_any_step_is_not_tried_again(status: int, path: str, published: Desk) -> None:
    published.hub.inject(Fault(path=path, status=status))
    refused(published)


@pytest.fixture
def opened(starts: Starts, tmp_path: Path) -> Iterator[Desk]:
    """From which something was published and opened: everyone sees that it is there, and a reader was not let in."""
    with starts.desk("opened", tmp_path / "desk", lambda desk: desk.push("--public", "--tag", "v1")) as desk:
        desk.hub.add_user("hf_reader0123456789", "bob")
        yield desk


def page(desk: Desk) -> str:
    """Return where a person asks for access."""
    return f"{desk.hub.endpoint}/datasets/{desk.name()}"


@pytest.mark.parametrize(("module", "more"), [("publish.check", ()), ("publish.restore", ("v1",))])
@pytest.mark.parametrize(("token", "then"), [("hf_reader0123456789", ""), ("", "log in with `hf auth login`, and ")])
def test_a_reader_who_was_not_let_in(module: str, more: tuple[str, ...], token: str, then: str, opened: Desk) -> None:
    said = opened.run(module, opened.name(), *more, token=token, code=1)
    (line,) = said.text.strip().splitlines()
    assert line.startswith(f"error: {opened.name()}")
    assert line.endswith(f" is shown only to those who were let in: {then}ask for access at {page(opened)}.")


@pytest.mark.parametrize("path", ["/revision/", "/tree/", "/resolve/"])
def test_a_token_that_may_not_read_there(path: str, opened: Desk) -> None:
    opened.hub.inject(Fault(path=path, status=403, times=0))
    said = opened.run("publish.check", opened.name(), code=1)
    (line,) = said.text.strip().splitlines()
    assert line.endswith(f"this login may not read it: use a token that may, or ask for access at {page(opened)}.")


@pytest.mark.keeps("P21")
def test_offline_is_told(desk: Desk) -> None:
    """In a process of its own: the client reads the variable when it is imported."""
    where = ["--source", desk.archives, "--allow-partial", "--out", desk.out, "--push-to", desk.organisation]
    done = run(*COMMAND, "--config", "imagenet_resized/8x8", *where, env=desk.environment(HF_HUB_OFFLINE="1"))
    assert done.returncode == 1
    assert done.stderr == (
        "error: logging in to the Hub: HF_HUB_OFFLINE is set, so nothing can be sent. Unset it and run again.\n"
    )


@pytest.mark.keeps("P17")
def test_an_open_repository_without_a_gate_is_refused(desk: Desk) -> None:
    desk.hub.add_repo(desk.name(), "alice")
    assert "is open to everyone without a gate, which ImageNet's terms do not allow" in refused(desk)


@pytest.mark.keeps("P17")
def test_a_gate_that_was_switched_off_is_set_again(published: Desk) -> None:
    published.repo().access.gated = False
    said = published.push()
    assert (published.repo().gated, published.repo().private, said.commits) == ("manual", True, 0)


def test_a_gate_of_another_kind_is_theirs(published: Desk) -> None:
    published.repo().access.gated = "auto"
    published.push()
    assert published.repo().gated == "auto"


@pytest.mark.keeps("P17")
def test_it_is_opened_after_the_checks_and_with_its_gate(desk: Desk) -> None:
    said = desk.push("--public")
    assert (desk.repo().private, desk.repo().gated) == (False, "manual")
    opened = [r.index for r in said.requests if r.method == "PUT" and r.path.endswith("/settings")][-1]
    assert opened == said.requests[-1].index
    assert desk.push("--public").commits == 0


@pytest.mark.keeps("P16", "P17")
@pytest.mark.parametrize("then", [("--public",), ("--tag", "v2")])
def test_it_is_not_opened_or_tagged_when_the_checks_fail(then: tuple[str, ...], published: Desk) -> None:
    """The Hub gives other bytes of a shard than it was sent; also to the next run, which has nothing to commit."""
    newer = published.folder / "newer"
    with ExitStack() as stack:

        def spoil(_: object) -> None:
            file = published.repo().files()["8x8/validation-00000-of-00001.parquet"]
            assert file.sha256
            stack.enter_context(flipped(published.hub.store.path(file.sha256)))

        published.hub.inject(Fault(method="POST", path="/commit/", hook=spoil, landed=True))
        for commits in (1, 0):
            said = published.push(*then, source=newer, code=1)
            assert "8x8/validation-00000-of-00001.parquet: expected SHA-256" in said.text
            assert (said.commits, published.repo().private, published.repo().tags) == (commits, True, {})
    first, again = (published.push(*then, source=newer) for _ in range(2))
    assert (published.repo().private, list(published.repo().tags)) == (
        (False, []) if "--public" in then else (True, ["v2"])
    )
    read = [
        {r.path for r in said.requests if "/resolve/" in r.path and ".parquet" in r.path} for said in (first, again)
    ]
    assert (len(read[0]), read[1]) == (3, set())


@pytest.mark.keeps("P17")
def test_it_is_not_opened_without_its_gate(desk: Desk) -> None:
    def switch_off(_: object) -> None:
        desk.repo().access.gated = False

    desk.hub.inject(Fault(method="POST", path="/commit/", hook=switch_off))
    said = desk.push("--public", code=1)
    assert "has no gate any more, so it stays private" in said.text
    assert desk.repo().private


def test_what_does_not_derive_from_imagenet_is_opened_without_one(desk: Desk) -> None:
    (desk.folder / "v2").mkdir()
    laid = archives.v2(desk.folder / "v2")
    desk.push("--public", config="imagenet_v2/topimages", source=laid.folder)
    repo = desk.repo("imagenet_v2")
    assert (repo.private, repo.gated, is_whole(repo)) == (False, False, True)
    desk.push(config="imagenet_v2/topimages", source=laid.folder)


def test_a_sample_is_refused_unless_told(desk: Desk) -> None:
    first = len(desk.hub.requests)
    said = desk.run("publish", "--config", "all", "--sample", "--push-to", desk.organisation, code=1)
    assert "push it with --allow-sample, and its name and card will say sample" in said.text
    assert len(desk.hub.requests) == first


@pytest.mark.parametrize("where", ["on the Hub", "here"])
def test_a_manifest_of_another_dataset(where: str, built: Path, desk: Desk) -> None:
    content = (built / "imagenet_v2" / manifest.NAME).read_bytes()
    if where == "here":
        (desk.out / "imagenet_resized").mkdir(parents=True)
        (desk.out / "imagenet_resized" / manifest.NAME).write_bytes(content)
    else:
        desk.hub.add_repo(desk.name(), "alice", private=True)
        desk.hub.commit(desk.name(), {manifest.NAME: content})
    said = desk.push(code=1)
    place = desk.name() if where == "on the Hub" else desk.out / "imagenet_resized"
    assert said.text.startswith(
        f"error: {place}/manifest.json: expected the manifest of imagenet_resized, found that of imagenet_v2"
    )
    assert (said.commits, said.sent) == (0, 0)


def test_a_server_that_lacks_a_route_is_not_taken_for_one_without_the_repository(published: Desk) -> None:
    published.hub.inject(Fault(path="auth-check", status=404, times=0))
    said = published.push()
    assert "this server cannot say who may write" in said.text
    published.hub.inject(Fault(path="/preupload/", status=404, times=0))
    said = published.push(source=published.folder / "newer", code=1)
    assert "this server knows no POST" in said.text
    assert "no such repository" not in said.text
