"""Publishing over a bad network: the old revision or the new one, then the new one; and never twice.

A sample of the product that `python -m tests.publish.hub.faults` goes through whole, and what single faults say.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import archives
from tests.kit.forks import Forks
from tests.kit.hub import Fault, Hub, Request
from tests.kit.pushing import Desk, contents, desks, is_whole, killed, read_manifest
from tests.publish.hub.faults import HURRY, KINDS, STARTS, Rig

COMMIT = {"method": "POST", "path": "/commit/"}
LASTING = {
    "whoami": "logging in to the Hub",
    "auth-check": "asking for write access",
    "revision/main": "reading the head",
    "preupload": "sending 8x8/",
    "lfs/objects/batch": "sending 8x8/",
    "commit/main": "committing",
}


@pytest.fixture(scope="module")
def rig_of_faults(rig: tuple[Hub, Forks], tmp_path_factory: pytest.TempPathFactory) -> Rig:
    hub, forks = rig
    hub.clear_faults()
    return Rig(Desk(hub, forks, tmp_path_factory.mktemp("faults"), "faults"))


@pytest.mark.keeps("P3", "P8")
@pytest.mark.parametrize(("kind", "start"), list(zip(KINDS, itertools.cycle(STARTS))))
def test_a_fault_at_a_request(kind: str, start: str, rig_of_faults: Rig) -> None:
    place = list(KINDS).index(kind) * 23 % rig_of_faults.starts[start].requests
    ended, broken = rig_of_faults.strike(start, kind, place)
    assert broken == []
    assert ended in ("not reached", "killed" if "kill" in kind else "went through")


@pytest.mark.keeps("P3", "P5")
@pytest.mark.parametrize("kind", ["500", "429", "cut", "timeout", "landed, 500", "landed, cut", "landed, kill", "kill"])
def test_a_fault_at_the_commit(kind: str, rig_of_faults: Rig) -> None:
    ended, broken = rig_of_faults.strike("new", kind, rig_of_faults.starts["new"].commit)
    assert (ended, broken) == ("killed" if "kill" in kind else "went through", [])


@pytest.mark.keeps("P3")
@pytest.mark.parametrize("path", LASTING)
def test_patience_has_an_end(path: str, published: Desk) -> None:
    """Each wait is told, and what it is for; then it is said how to go on."""
    newer = published.folder / "newer"
    old = contents(published.repo())
    published.hub.inject(Fault(path=path, times=0, status=503))
    said = published.push(source=newer, code=1, hurry=HURRY)
    assert f"{LASTING[path]}" in said.text
    assert "the Hub answered 503; trying again in 120 s" in said.text
    assert said.text.splitlines()[-1].endswith("Run the same command later: what was sent is kept.")
    assert len(said.requests) < 120
    assert contents(published.repo()) == old
    published.hub.clear_faults()
    published.push(source=newer)
    assert is_whole(published.repo())
    assert len(published.repo().history()) == 3


@pytest.mark.keeps("P4")
@pytest.mark.parametrize("headers", [{"Retry-After": "47"}, {"ratelimit": '"api";r=0;t=47'}])
def test_a_wait_that_the_server_asks_for_is_kept(headers: dict[str, str], desk: Desk) -> None:
    desk.hub.inject(Fault(**COMMIT, status=429, headers=headers))  # type: ignore[arg-type]
    said = desk.push(hurry=HURRY)
    assert "committing: the Hub answered 429; trying again in 47 s" in said.text
    assert len(desk.repo().history()) == 2


@pytest.mark.keeps("P6")
def test_a_commit_of_someone_else_in_between_is_kept(desk: Desk) -> None:
    note = {"NOTES.md": b"By a person.\n"}
    desk.hub.inject(Fault(**COMMIT, hook=lambda _: desk.hub.commit(desk.name(), note)))  # type: ignore[arg-type]
    said = desk.push()
    assert said.commits == 2  # the first was answered with 412
    assert [commit.author for commit in desk.repo().history()] == ["alice", "someone-else", "system"]
    assert desk.repo().read("NOTES.md") == note["NOTES.md"]
    assert is_whole(desk.repo())


@pytest.fixture(scope="module")
def another(rig: tuple[Hub, Forks], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Forks]]:
    """A second machine on the same Hub."""
    with desks(tmp_path_factory.mktemp("another"), rig[0]) as another:
        yield another


@pytest.mark.keeps("P12")
@pytest.mark.parametrize("config", ["imagenet_resized/16x16", "imagenet_resized/8x8"])
def test_two_publishers_at_once(config: str, desk: Desk, another: tuple[Hub, Forks], tmp_path: Path) -> None:
    """The other one commits just before ours, in the middle of our commit: both datasets are whole."""
    both = desk.lay("both", 60, sizes=(8, 16))
    (tmp_path / "another").mkdir()
    other = Desk(*another, tmp_path / "another", desk.organisation)

    def publish_too(_: Request) -> None:
        other.push(config=config, source=both)

    desk.hub.inject(Fault(**COMMIT, hook=publish_too))  # type: ignore[arg-type]
    desk.push(source=both)
    repo = desk.repo()
    assert is_whole(repo)
    assert set(read_manifest(repo).configs) == {"8x8", config.partition("/")[2]}
    assert len(repo.history()) == (3 if config.endswith("16x16") else 2)


@pytest.mark.keeps("P12")
@pytest.mark.parametrize("how", [(), ("--create-pr",)])
def test_what_was_there_and_another_publisher_replaced_is_brought_back(
    how: tuple[str, ...], desk: Desk, another: tuple[Hub, Forks], tmp_path: Path
) -> None:
    """Our 8x8 is on the Hub already, so only 16x16 is sent; the other one publishes other rows of 8x8 in between."""
    both, newer = desk.lay("both", 60, sizes=(8, 16)), desk.lay("newer", 40, variation=1)
    desk.push(source=both, shards=3)
    before = read_manifest(desk.repo()).configs["8x8"]
    (tmp_path / "another").mkdir()
    other = Desk(*another, tmp_path / "another", desk.organisation)
    desk.hub.inject(Fault(**COMMIT, hook=lambda _: other.push(source=newer)))  # type: ignore[arg-type]
    desk.push("--config", "imagenet_resized/16x16", *how, source=both, shards=3)
    repo, revision = desk.repo(), "refs/pr/1" if how else "main"
    assert is_whole(repo, revision)
    assert read_manifest(repo, revision).configs["8x8"] == before
    assert list(read_manifest(repo, revision).configs) == ["8x8", "16x16"]
    assert len(repo.history(revision)) == 4
    again = desk.push("--config", "imagenet_resized/16x16", *how, source=both, shards=3)
    assert (again.commits, again.sent) == (0, 0)


@pytest.mark.keeps("P7")
def test_a_commit_that_runs_is_waited_for(desk: Desk) -> None:
    desk.hub.inject(Fault(**COMMIT, status=409, times=3))  # type: ignore[arg-type]
    said = desk.push(hurry=HURRY)
    assert said.text.count("committing: the Hub answered 409; trying again") == 3
    assert len(desk.repo().history()) == 2


@pytest.mark.keeps("P8")
def test_after_a_kill_only_what_is_missing_is_sent(desk: Desk) -> None:
    """Killed when the last of three shards is on its way."""
    whole = desk.push().sent
    desk.hub._repos.pop(desk.name())
    desk.forget()
    desk.hub.inject(killed(desk, method="PUT", path="/storage/", nth=3))
    first = desk.push(code=-9)
    again = desk.push()
    assert 0 < first.arrived < whole
    assert again.sent == whole - first.arrived
    assert is_whole(desk.repo())


@pytest.mark.keeps("P9")
def test_a_kill_between_two_repositories(desk: Desk) -> None:
    """What was done stays done, and the next run does the rest."""
    archives.v2(desk.archives)
    both = ("--config", "imagenet_v2/topimages")
    desk.hub.inject(killed(desk, **COMMIT, nth=2))  # type: ignore[arg-type]
    desk.push(*both, code=-9)
    done, rest = desk.repo(), desk.repo("imagenet_v2")
    assert (is_whole(done), len(done.history()), len(rest.history())) == (True, 2, 1)
    said = desk.push(*both)
    assert (len(done.history()), len(rest.history()), is_whole(rest), said.commits) == (2, 2, True, 1)
    assert said.text.count("nothing to change") == 1


@pytest.mark.keeps("P5")
def test_a_proposal_that_landed_is_not_made_twice(published: Desk) -> None:
    newer = published.folder / "newer"
    published.hub.inject(Fault(**COMMIT, status=500, landed=True))  # type: ignore[arg-type]
    said = published.push("--create-pr", source=newer, hurry=HURRY)
    assert list(published.repo().pull_requests) == [1]
    assert "/discussions/1" in said.text
    again = published.push("--create-pr", source=newer)
    assert (again.commits, list(published.repo().pull_requests)) == (0, [1])
    assert "nothing to change" in again.text
