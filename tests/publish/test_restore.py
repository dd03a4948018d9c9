"""`publish.restore`: back to a tag in one commit; and `publish.withdraw`: gone for good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from publish import manifest
from tests.kit.hub import Fault
from tests.kit.pushing import Desk, Starts, card, contents, flip, is_whole, read_manifest

COMMIT = {"method": "POST", "path": "/commit/"}
NOTE = {"NOTES.md": b"By a person.\n"}


@pytest.fixture
def desk(starts: Starts, tmp_path: Path) -> Iterator[Desk]:
    """From which v1 was published; another revision with a person's file stands at the head."""

    def publish(desk: Desk) -> None:
        desk.push("--tag", "v1", shards=3)
        desk.push("--tag", "v2", source=desk.lay("newer", 40, variation=1))
        desk.hub.commit(desk.name(), dict(NOTE))

    with starts.desk("tagged", tmp_path / "desk", publish) as desk:
        yield desk


@pytest.fixture
def tagged(desk: Desk) -> dict[str, str]:
    """What was published as v1."""
    return contents(desk.repo(), "v1")


def ours(desk: Desk) -> dict[str, str]:
    """Return what stands at the head without the person's file, which has to be there."""
    assert desk.repo().read("NOTES.md") == NOTE["NOTES.md"]
    return {path: sha256 for path, sha256 in contents(desk.repo()).items() if path not in NOTE}


@pytest.mark.keeps("P20", "P14")
def test_back_to_a_tag(desk: Desk, tagged: dict[str, str]) -> None:
    count = len(desk.repo().history())
    said = desk.run("publish.restore", desk.name(), "v1")
    assert ours(desk) == tagged
    assert (said.commits, said.sent, len(desk.repo().history())) == (1, 0, count + 1)
    assert "is what v1 was" in said.text
    again = desk.run("publish.restore", desk.name(), "v1")
    assert (again.commits, again.text.strip()) == (0, f"{desk.name()}: is what v1 is already")
    assert desk.push(shards=3).commits == 0


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 500, "landed": True}, {"cut": "before", "landed": True}])
def test_back_over_a_bad_network(fault: dict[str, object], desk: Desk, tagged: dict[str, str]) -> None:
    count = len(desk.repo().history())
    desk.hub.inject(Fault(**COMMIT, **fault))  # type: ignore[arg-type]
    desk.run("publish.restore", desk.name(), "v1", hurry=1000.0)
    assert ours(desk) == tagged
    assert len(desk.repo().history()) == count + 1


def test_somebody_else_commits_meanwhile(desk: Desk, tagged: dict[str, str]) -> None:
    head = desk.repo().head()
    desk.hub.inject(Fault(**COMMIT, status=412))  # type: ignore[arg-type]
    said = desk.run("publish.restore", desk.name(), "v1", code=1)
    assert "somebody else has changed it meanwhile" in said.text
    assert desk.repo().head() == head
    desk.run("publish.restore", desk.name(), "v1")
    assert ours(desk) == tagged


@pytest.mark.keeps("P20", "P16")
def test_it_is_verified(desk: Desk, tagged: dict[str, str]) -> None:
    flip(desk.hub.store.path(tagged["8x8/train-00000-of-00003.parquet"]))
    said = desk.run("publish.restore", desk.name(), "v1", code=1)
    assert "went back to v1, which is not whole:\n8x8/train-00000-of-00003.parquet" in said.text


def edit(desk: Desk, old: str, new: str) -> None:
    """Let a person replace a text in the card."""
    assert card(desk.repo()).count(old) == 1
    desk.hub.commit(desk.name(), {"README.md": card(desk.repo()).replace(old, new).encode()})


@pytest.mark.keeps("P13", "P20")
def test_the_card_keeps_what_people_wrote_since(desk: Desk, tagged: dict[str, str]) -> None:
    old = card(desk.repo(), "v1")
    edit(desk, "\n## Provenance\n", "\nA word of theirs.\n\n## Provenance\n")
    desk.run("publish.restore", desk.name(), "v1")
    assert card(desk.repo()) == old.replace("\n## Provenance\n", "\nA word of theirs.\n\n## Provenance\n")
    assert ours(desk) | {"README.md": tagged["README.md"]} == tagged
    assert "is what v1 is already" in desk.run("publish.restore", desk.name(), "v1").text


@pytest.mark.keeps("P13")
def test_an_edit_of_what_is_computed_stops_it(desk: Desk, tagged: dict[str, str]) -> None:
    edit(desk, "num_examples: 40", "num_examples: 41")
    head = desk.repo().head()
    said = desk.run("publish.restore", desk.name(), "v1", code=1)
    assert "computed parts of the card were edited by a person: yaml dataset_info. Nothing was changed." in said.text
    assert (said.commits, desk.repo().head()) == (0, head)
    desk.run("publish.restore", desk.name(), "v1", "--overwrite-card")
    assert ours(desk) == tagged


@pytest.mark.keeps("P14")
def test_a_file_of_theirs_at_a_path_of_the_tag_is_left_alone(desk: Desk, tagged: dict[str, str]) -> None:
    path = "8x8/train-00002-of-00003.parquet"
    head = desk.hub.commit(desk.name(), {path: b"Theirs.\n"})
    said = desk.run("publish.restore", desk.name(), "v1", code=1)
    assert f"holds another file at {path}, which this project did not put there. Move it away." in said.text
    assert (said.commits, desk.repo().head()) == (0, head)


def test_back_from_a_head_that_lost_its_manifest_and_card(desk: Desk, tagged: dict[str, str]) -> None:
    desk.push(shards=3)
    desk.hub.commit(desk.name(), {manifest.NAME: None, "README.md": None})
    desk.run("publish.restore", desk.name(), "v1")
    assert (ours(desk), read_manifest(desk.repo()).configs["8x8"]["train"].rows) == (tagged, 60)


@pytest.mark.parametrize(("tag", "line"), [("v9", "has no tag v9"), ("first", "nothing that this project published")])
def test_a_tag_to_which_there_is_no_way_back(tag: str, line: str, desk: Desk, tagged: dict[str, str]) -> None:
    head = desk.repo().head()
    desk.repo().refs.tags["first"] = desk.repo().history()[-1].oid
    assert line in desk.run("publish.restore", desk.name(), tag, code=1).text
    assert desk.repo().head() == head


def test_nothing_is_withdrawn_unless_its_name_is_typed(desk: Desk) -> None:
    desk.repo().access.private = False
    before, first = contents(desk.repo()), len(desk.hub.requests)
    for typed in ("", "yes\n", "imagenet_resized\n", "lab/other\n"):
        said = desk.run("publish.withdraw", desk.name(), typed=typed, code=1)
        assert "The name was not typed: nothing was changed." in said.text, typed
    assert (contents(desk.repo()), desk.repo().private, len(desk.hub.requests)) == (before, False, first)


def assert_withdrawn(desk: Desk) -> None:
    repo = desk.repo()
    assert repo.private
    assert sorted(contents(repo)) == [".gitattributes", "NOTES.md", "README.md"]
    assert "withdrawn" in repo.read("README.md").decode()
    assert repo.objects == {}
    assert [file.sha256 for commit in repo.refs.commits.values() for file in commit.files.values() if file.sha256] == []
    assert len(repo.history()) == 1


@pytest.mark.keeps("P20", "P14")
def test_what_is_withdrawn_is_gone_from_every_revision(desk: Desk, tagged: dict[str, str]) -> None:
    """From tags and branches as well; a person's own file stays."""
    desk.repo().refs.branches["next"] = desk.repo().head("v1")
    said = desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n")
    assert_withdrawn(desk)
    assert "is private; " in said.text


@pytest.mark.keeps("P20")
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 500, "landed": True}])
@pytest.mark.parametrize("path", ["/settings", "/commit/", "/super-squash/", "/lfs-files", "/lfs-files/batch"])
def test_a_withdrawal_over_a_bad_network(
    path: str, fault: dict[str, object], desk: Desk, tagged: dict[str, str]
) -> None:
    desk.hub.inject(Fault(path=path, **fault))  # type: ignore[arg-type]
    desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n", code=None, hurry=1000.0)
    desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n", hurry=1000.0)
    assert_withdrawn(desk)


@pytest.mark.keeps("P20")
def test_it_is_said_what_is_still_stored_where_a_history_cannot_be_squashed(desk: Desk) -> None:
    desk.hub.inject(Fault(path="/super-squash/", status=404, times=0))
    said = desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n", code=1)
    assert "this server knows no POST" in said.text
    assert "earlier revisions still hold them, with all of their bytes: " in said.text
    assert desk.repo().private


@pytest.mark.keeps("P14", "P20")
def test_what_this_project_never_published_is_not_withdrawn(desk: Desk) -> None:
    """What it asked for by then is read alone: a repository once made private may be public no more."""
    desk.hub.add_repo(desk.name("cats"), "alice")
    desk.hub.commit(desk.name("cats"), {"README.md": b"---\nlicense: mit\n---\n# Cats\n", "data.parquet": b"x" * 5000})
    before = contents(desk.repo("cats"))
    said = desk.run("publish.withdraw", desk.name("cats"), typed=f"{desk.name('cats')}\n", code=1)
    assert f"{desk.name('cats')}: has no manifest.json on main: this project did not publish it there" in said.text
    assert {request.method for request in said.requests} == {"GET"}
    assert (contents(desk.repo("cats")), desk.repo("cats").private) == (before, False)
    assert len(desk.repo("cats").history()) == 2


def test_what_is_withdrawn_can_be_again(desk: Desk) -> None:
    for _ in range(2):
        desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n")
    assert desk.repo().objects == {}


def test_it_can_be_published_again(desk: Desk) -> None:
    desk.run("publish.withdraw", desk.name(), typed=f"{desk.name()}\n")
    desk.push("--overwrite-card")
    assert is_whole(desk.repo())
