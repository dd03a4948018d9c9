"""Publishing, as far as it goes well: one commit a repository, and nothing the second time."""

import pytest

from tests.kit.pushing import NOT_OURS, Desk, contents, is_whole


@pytest.mark.keeps("P17")
def test_a_push_is_one_commit_to_a_private_gated_repository(desk: Desk) -> None:
    said = desk.push("--tag", "v1")
    repo = desk.repo()
    assert (said.commits, len(repo.history()), repo.private, repo.gated) == (1, 2, True, "manual")
    assert is_whole(repo)
    assert repo.tags == {"v1": repo.head()}
    shards = ["train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"]
    pictures = [f"pictures/{name}.png" for name in ("mean-8x8-train", "mean-8x8-validation", "sheet-8x8-train")]
    pictures += [path for path in contents(repo) if path.startswith("pictures/classes-")]
    assert len(pictures) == 5
    files = ["README.md", "classes.tsv", "manifest.json", NOT_OURS, "pictures/sizes-8x8-validation.png", *pictures]
    assert sorted(contents(repo)) == sorted([*(f"8x8/{shard}.parquet" for shard in shards), *files])


@pytest.mark.keeps("P10")
def test_a_second_push_does_nothing(desk: Desk) -> None:
    desk.push("--tag", "v1")
    head = desk.repo().head()
    again = desk.push("--tag", "v1")
    assert (again.commits, again.sent, desk.repo().head()) == (0, 0, head)
    assert "nothing to change, digests as the Hub lists them: " in again.text
    assert not [r for r in again.requests if r.method in ("PUT", "DELETE")]
