"""The manifest: written and read back whole, and a damaged one told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loaders
from loaders import Problem
from publish import manifest
from publish.manifest import Manifest, ShardEntry, SourceEntry, SplitEntry
from tests.kit import building

SHARD = ShardEntry("8x8/train-00000-of-00001.parquet", 3, 100, 400, "ab" * 32)
SPLIT = SplitEntry(
    fingerprint="f" * 64,
    shards=(SHARD,),
    sources=(SourceEntry("a.zip", 10, None, "upstream", "size, index and images"),),
    mean=(0.1, 0.2, 0.3),
    deviation=(0.4, 0.5, 0.6),
    duplicates=1,
    labels=(1, 2),
    oddities={"CMYK": 2},
    skipped={"._ files": 3},
    pictures={"pictures/mean-8x8-train.png": "cd" * 32},
    glance="0a1b",
)
MANIFEST = Manifest("imagenet_resized", {"8x8": {"train": SPLIT}}, {"classes.tsv": "ef" * 32}, {"numpy": "2"})


def test_it_is_read_back_whole(tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(MANIFEST.dump())
    assert manifest.read(tmp_path) == MANIFEST


def test_one_of_a_time_without_glances_is_read() -> None:
    older = json.loads(MANIFEST.dump())
    del older["configs"]["8x8"]["train"]["glance"]
    read = manifest.load(json.dumps(older), "here")
    assert read == replace(MANIFEST, configs={"8x8": {"train": replace(SPLIT, glance="")}})


ASCII = st.characters(codec="ascii")


@given(
    st.builds(
        ShardEntry,
        st.from_regex(r"[a-z0-9][\w.-]*/[a-z]+-[0-9]{5}-of-[0-9]{5}\.parquet", fullmatch=True, alphabet=ASCII),
        *[st.integers(0, 1 << 50)] * 3,
        st.text("0123456789abcdef", min_size=64, max_size=64),
    ),
    st.dictionaries(st.text(), st.integers(0, 9)),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_any_content_is_read_back_whole(shard: ShardEntry, oddities: dict[str, int], mean: list[float]) -> None:
    split = replace(SPLIT, shards=(SHARD, shard), oddities=oddities, mean=(mean[0], mean[1], mean[2]))
    made = replace(MANIFEST, configs={"8x8": {"train": split, "validation": SPLIT}})
    assert manifest.load(made.dump(), "here") == made


def test_what_is_built_is_read_back_whole(built: Path) -> None:
    for name in loaders.names():
        text = (built / name / manifest.NAME).read_text()
        assert manifest.load(text, name).dump() == text


def test_no_manifest_is_none(tmp_path: Path) -> None:
    assert manifest.read(tmp_path) is None
    assert manifest.read(tmp_path / "nowhere") is None


def without(key: str) -> str:
    content = json.loads(MANIFEST.dump())
    del content[key]
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "3", '"text"', "{}"),
        *(without(key) for key in ("dataset", "configs", "files", "written_with")),
        MANIFEST.dump().replace('"rows"', '"lines"'),
        MANIFEST.dump().replace('"fingerprint"', '"thumbprint"'),
        MANIFEST.dump()[:-20],
        json.dumps(json.loads(MANIFEST.dump()) | {"configs": {"8x8": []}}),
    ],
)
def test_a_damaged_one_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_text(text)
    with pytest.raises(Problem, match="expected a manifest of this project") as caught:
        manifest.read(tmp_path)
    assert str(tmp_path / manifest.NAME) in str(caught.value)


def changed(*place: object, to: object) -> str:
    """Return the manifest with another value at a place."""
    content = json.loads(MANIFEST.dump())
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = to
    return json.dumps(content)


OF_SPLIT = ("configs", "8x8", "train")
OUT = ("../x", "/etc/passwd", "8x8/../../x", "C:\\x", "8x8//x", ".", "", "8x8/\0", "8x8/x\n", "~/x", ".ssh/x", "a/.x")
SHARD_NAME = "train-00000-of-00001.parquet"


@pytest.mark.keeps("S12", "P14")
@pytest.mark.parametrize("path", OUT)
@pytest.mark.parametrize(
    "put",
    [
        lambda path: changed(*OF_SPLIT, "shards", 0, "path", to=path),
        lambda path: changed(*OF_SPLIT, "shards", 0, "path", to=f"{path}/{SHARD_NAME}"),
        lambda path: changed(*OF_SPLIT, "pictures", to={path: "cd" * 32}),
        lambda path: changed("files", to={path: "cd" * 32}),
    ],
    ids=["shard", "folder", "picture", "file"],
)
def test_a_path_that_leads_out_of_the_repository_is_refused(put: Callable[[str], str], path: str) -> None:
    with pytest.raises(Problem, match="here: expected a manifest of this project"):
        manifest.load(put(path), "here")


@pytest.mark.parametrize("path", ["README.md", "manifest.json"])
def test_the_card_and_the_manifest_are_not_among_its_files(path: str) -> None:
    with pytest.raises(Problem, match="expected a manifest of this project"):
        manifest.load(changed("files", to={path: "cd" * 32}), "here")


@pytest.mark.parametrize(
    "text",
    [
        changed("dataset", to="classes"),
        changed("dataset", to=["imagenet_v2"]),
        changed("configs", to={}),
        changed("configs", "8x8", to={}),
        changed("configs", to={"3x3": {"train": json.loads(MANIFEST.dump())["configs"]["8x8"]["train"]}}),
        changed(*OF_SPLIT, "shards", to=[]),
        changed(*OF_SPLIT, "shards", 0, "rows", to="many"),
        changed(*OF_SPLIT, "shards", 0, "bytes", to=-1),
        changed(*OF_SPLIT, "shards", 0, "sha256", to="../../x"),
        changed(*OF_SPLIT, "sources", 0, "name", to=None),
        changed(*OF_SPLIT, "mean", to=[0.1, "x", 0.3]),
        changed(*OF_SPLIT, "deviation", to=[0.1]),
        changed(*OF_SPLIT, "labels", to=[1, -1]),
        changed(*OF_SPLIT, "oddities", to={"CMYK": None}),
        changed(*OF_SPLIT, "glance", to="xyz"),
        changed("card", to={"prose": 1}),
        "[" * 100_000,
    ],
)
def test_one_of_others_is_told(text: str) -> None:
    with pytest.raises(Problem, match="here: expected a manifest of this project"):
        manifest.load(text, "here")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_bytes(b"\xff\xfe\0")
    with pytest.raises(Problem, match="expected a manifest of this project"):
        manifest.read(tmp_path)


def test_its_paths_are_all_that_is_ours(built: Path) -> None:
    for name in loaders.names():
        read = manifest.read(built / name)
        assert read is not None
        there = {path.partition("/")[2] for path in building.tree(built) if path.startswith(f"{name}/")}
        assert read.paths() == there - {manifest.NAME, "README.md"}


def test_it_tells_no_time_path_or_machine(built: Path, sample: Path) -> None:
    import platform

    for name in loaders.names():
        text = (built / name / manifest.NAME).read_text()
        for word in (str(built), str(sample), platform.node() or "?", "time", "date"):
            assert word not in text
