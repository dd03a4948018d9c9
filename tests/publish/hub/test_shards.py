"""What a push changes and what it leaves: counts of shards, configs, branches, tags, and files on this disk."""

import os
from pathlib import Path

import pytest

import loaders
from publish.build import plan
from tests.kit.forks import Forks, Job
from tests.kit.hub import Hub
from tests.kit.pushing import CONFIG, Desk, card, contents, flip, front, is_whole, read_manifest

BOTH = ("--config", "imagenet_resized/16x16")
COUNT = """
import datasets, sys
rows = datasets.load_dataset(sys.argv[1], "8x8", split="train", streaming=True)
print(rows.num_shards, sum(1 for _ in rows))
"""


def streamed(desk: Desk) -> str:
    """Return the shards and rows of the train split, as a reader counts them."""
    return desk.run("-c", COUNT, desk.name()).text.strip()


@pytest.mark.keeps("P11")
def test_another_number_of_shards_leaves_none_behind(desk: Desk) -> None:
    """Fewer, and then more."""
    newer = desk.lay("newer", 44, variation=1)
    desk.push(shards=5)
    for commits, source, count, rows in ((3, newer, 4, 44), (4, desk.archives, 5, 60)):
        said = desk.push(source=source, shards=count)
        shards = [path for path in contents(desk.repo()) if path.startswith("8x8/train")]
        assert sorted(shards) == [f"8x8/train-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
        assert (said.commits, len(desk.repo().history()), is_whole(desk.repo())) == (1, commits, True)
        assert streamed(desk) == f"{count} {rows}"


def test_one_config_is_updated_alone(desk: Desk) -> None:
    both, newer = desk.lay("both", 60, sizes=(8, 16)), desk.lay("newer", 40, sizes=(8, 16), variation=1)
    desk.push(*BOTH, source=both)
    repo = desk.repo()
    before, told = contents(repo), front(card(repo))
    entry = read_manifest(repo).configs["16x16"]
    said = desk.push(source=newer)
    after, tells = contents(repo), front(card(repo))
    changed = {path for path in after if after[path] != before.get(path)}
    assert {path.partition("/")[0] for path in changed} == {"8x8", "pictures", "README.md", "manifest.json"}
    assert not [path for path in changed if "16x16" in path]
    assert read_manifest(repo).configs["16x16"] == entry
    assert [told["dataset_info"][1], told["configs"]] == [tells["dataset_info"][1], tells["configs"]]
    assert [info["splits"][0]["num_examples"] for info in tells["dataset_info"]] == [40, 60]
    assert (said.commits, is_whole(repo)) == (1, True)


def test_a_config_is_added(desk: Desk) -> None:
    both = desk.lay("both", 60, sizes=(8, 16))
    desk.push(source=both)
    before = contents(desk.repo())
    said = desk.push(config="imagenet_resized/16x16", source=both)
    after = contents(desk.repo())
    kept = {path: sha256 for path, sha256 in before.items() if path not in ("README.md", "manifest.json")}
    assert kept.items() <= after.items()
    assert list(read_manifest(desk.repo()).configs) == ["8x8", "16x16"]
    assert said.commits == 1


def test_what_was_built_before_is_sent_and_not_built_again(desk: Desk) -> None:
    here = ["--config", CONFIG, "--source", desk.archives, "--allow-partial", "--out", desk.out, "--workers", 1]
    desk.run("publish", *here)
    states = {path: path.stat().st_mtime_ns for path in desk.out.rglob("*.parquet")}
    said = desk.push()
    assert said.text.count("there already") == 2
    assert (said.commits, is_whole(desk.repo())) == (1, True)
    assert {path: path.stat().st_mtime_ns for path in desk.out.rglob("*.parquet")} == states
    again = desk.push()
    assert (again.commits, again.sent) == (0, 0)


def test_no_shard_stays_on_this_disk_when_none_shall(desk: Desk) -> None:
    desk.push("--remove-local")
    assert list(desk.folder.glob("out/**/*.parquet")) == []
    assert is_whole(desk.repo())
    again = desk.push("--remove-local")
    assert (again.commits, again.sent, list(desk.folder.glob("out/**/*.parquet"))) == (0, 0, [])


@pytest.mark.keeps("B1")
def test_room_for_a_shard_at_a_time_is_enough_when_none_stays(desk: Desk) -> None:
    plans = [build.plan for build in plan.make(loaders.select([CONFIG]), desk.archives, True).splits]
    largest = max(1.1 * plan.bytes / len(plan.jobs) for plan in plans)
    assert 2 * largest < 1.1 * sum(plan.bytes for plan in plans)
    for free, code in ((2 * largest, 1), (0.9 * largest, 1), (1.1 * largest, 0)):
        remove = [] if free > 1.5 * largest else ["--remove-local"]
        said = with_room(desk, int(free), *remove, code=code)
        assert (" are needed there, " in said) == (code == 1), said
    assert is_whole(desk.repo())


def with_room(desk: Desk, free: int, *more: object, code: int) -> str:
    """Publish where so many bytes are free."""
    program = (
        "import collections, shutil, sys\n"
        "usage = collections.namedtuple('usage', 'total used free')\n"
        f"shutil.disk_usage = lambda path: usage(1 << 40, 0, {free})\n"
        "from publish.__main__ import main\n"
        "sys.exit(main())\n"
    )
    what = ["--config", CONFIG, "--source", desk.archives, "--allow-partial", "--out", desk.out, "--workers", 1]
    return desk.run("-c", program, *what, "--push-to", desk.organisation, *more, code=code).text


def test_a_branch_of_its_own(published: Desk) -> None:
    head, newer = published.repo().head(), published.folder / "newer"
    published.push("--revision", "next", source=newer)
    assert published.repo().head() == head
    assert is_whole(published.repo(), "next")
    assert read_manifest(published.repo(), "next").configs["8x8"]["train"].rows == 40
    assert published.push("--revision", "next", source=newer).commits == 0


def test_a_branch_of_a_repository_that_is_not_there_yet(desk: Desk) -> None:
    desk.push("--revision", "next")
    assert list(contents(desk.repo())) == [".gitattributes"]
    assert is_whole(desk.repo(), "next")
    assert (desk.repo().private, desk.repo().gated) == (True, "manual")


def test_a_proposal(published: Desk) -> None:
    head, newer = published.repo().head(), published.folder / "newer"
    said = published.push("--create-pr", source=newer)
    assert (said.commits, published.repo().head(), list(published.repo().pull_requests)) == (1, head, [1])
    assert is_whole(published.repo(), "refs/pr/1")
    assert read_manifest(published.repo(), "refs/pr/1").configs["8x8"]["train"].rows == 40


def test_a_proposal_by_someone_who_may_do_no_more(published: Desk) -> None:
    scopes = {published.organisation: ["discussion.write", "repo.content.read"]}
    writes = {published.organisation: "write"}
    published.hub.add_user("hf_fine0123456789", "alice", orgs=writes, role="fineGrained", scopes=scopes)
    published.push("--create-pr", source=published.folder / "newer", token="hf_fine0123456789")
    assert list(published.repo().pull_requests) == [1]


def test_a_proposal_needs_a_repository(desk: Desk) -> None:
    assert "there is no such repository to propose a change to" in desk.push("--create-pr", code=1).text


def test_tags_stay_where_they_are(published: Desk) -> None:
    """And the branch does, for a tag that is taken."""
    published.push("--tag", "v1")
    first, newer = published.repo().head(), published.folder / "newer"
    said = published.push("--tag", "v1", source=newer, code=1)
    assert f"the tag v1 is at {first[:8]} already; choose another name." in said.text
    assert published.repo().head() == first
    published.push("--tag", "v2", source=newer)
    assert published.repo().tags == {"v1": first, "v2": published.repo().head()}


@pytest.mark.keeps("P12")
def test_two_machines_at_once_make_one_commit(rig: tuple[Hub, Forks], desk: Desk, tmp_path: Path) -> None:
    """The same data from two machines at the same time: one commits, the other finds it done."""
    what = ["--config", CONFIG, "--source", str(desk.archives), "--allow-partial", "--workers", "1"]
    what += ["--push-to", desk.organisation]
    desk.hub.add_repo(desk.name(), "alice", private=True)
    outs = [tmp_path / name for name in ("one", "two")]
    login = {"HF_TOKEN": desk.token}
    both = [rig[1].begin(Job("publish", [*what, "--out", str(out)], f"{out}.txt", login)) for out in outs]
    codes = [rig[1].end(pid) for pid in both]
    assert codes == [0, 0], [Path(f"{out}.txt").read_text() for out in outs]
    assert (len(desk.repo().history()), is_whole(desk.repo())) == (2, True)


@pytest.mark.keeps("B12")
def test_a_shard_that_rotted_is_not_sent_and_is_built_anew(desk: Desk) -> None:
    """Its size and time are those of the sound one, whose digest is remembered."""
    here = ["--config", CONFIG, "--source", desk.archives, "--allow-partial", "--out", desk.out, "--workers", 1]
    desk.run("publish", *here)
    desk.run("publish", *here)  # looks at the digests, and remembers them
    shard = desk.out / "imagenet_resized" / "8x8" / "train-00001-of-00002.parquet"
    state = shard.stat()
    flip(shard)
    os.utime(shard, ns=(state.st_atime_ns, state.st_mtime_ns))
    said = desk.push(code=1)
    assert said.text.startswith(f"error: {shard}: expected SHA-256 ")
    assert (said.commits, list(contents(desk.repo()))) == (0, [".gitattributes"])
    desk.push()
    assert is_whole(desk.repo())
