"""What is to be built: fingerprints that follow the content and nothing else, and splits that configs share."""

import os
import shutil
from pathlib import Path

import pytest

import loaders
from loaders import MissingSources
from loaders.sources.digests import sha256_of
from publish.build import plan
from publish.build.plan import Plan, SplitBuild
from publish.sample import archives as writers
from tests.kit import archives

ALL = loaders.select(["all"])


def planned(folder: Path, *wanted: str, partial: bool = True) -> Plan:
    return plan.make(loaders.select(list(wanted)), folder, partial)


def fingerprints(made: Plan) -> dict[str, str]:
    digests = {archive: sha256_of(archive.path) for archive in made.archives()}
    return {build.name: build.fingerprint(digests) for build in made.splits}


def keys(made: Plan) -> dict[str, str]:
    return {build.name: build.local_key() for build in made.splits}


def test_every_split_is_planned_once(sample: Path) -> None:
    made = plan.make(ALL, sample, False)
    found = {(build.dataset, build.folder, build.plan.split.name): build.configs for build in made.splits}
    wanted: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for name in loaders.names():
        for config in loaders.load(name).DATASET.configs:
            for split in [split for split in config.splits if not split.optional]:
                place = (name, split.folder or config.name, split.name)
                wanted[place] = (*wanted.get(place, ()), config.name)
    assert found == wanted
    assert len(made.splits) == len(found)
    assert found["imagenet2012_subset", "validation", "validation"] == ("1pct", "10pct")


def test_paths_are_told_apart_and_pin_their_total(sample: Path) -> None:
    paths = [f"{build.dataset}/{path}" for build in plan.make(ALL, sample, False).splits for path in build.paths]
    assert len(set(paths)) == len(paths)
    assert "imagenet_resized/16x16/train-00001-of-00002.parquet" in paths
    assert "imagenet2012_subset/validation/validation-00000-of-00001.parquet" in paths


def test_every_archive_is_listed_once(sample: Path) -> None:
    found = [archive.path for archive in plan.make(ALL, sample, False).archives()]
    there = {path for path in sample.iterdir() if path.name != "imagenet-variants.json"}
    assert len(set(found)) == len(found)
    assert set(found) == there


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    folder = tmp_path / "archives"
    folder.mkdir()
    archives.subset(folder)
    archives.resized(folder, [8])
    return folder


WANTED = ("imagenet_resized/8x8", "imagenet2012_subset")


def test_archives_in_another_folder_have_the_same_fingerprint(laid: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(laid, tmp_path / "deeper" / "elsewhere"))
    for path in other.iterdir():
        os.utime(path, (1, 1))
    assert fingerprints(planned(other, *WANTED)) == fingerprints(planned(laid, *WANTED))
    assert keys(planned(other, *WANTED)) != keys(planned(laid, *WANTED))


def test_what_is_planned_beside_a_split_does_not_change_it(laid: Path) -> None:
    together = fingerprints(planned(laid, *WANTED))
    alone = fingerprints(planned(laid, "imagenet2012_subset/10pct"))
    assert alone.items() <= together.items()


def changed(path: Path, place: int = -1000) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("archive", "place", "splits"),
    [
        ("Imagenet8_val_npz.zip", -12, {"imagenet_resized/8x8 validation"}),
        ("ILSVRC2012_img_train.tar", 1700, {"imagenet2012_subset/1pct train", "imagenet2012_subset/10pct train"}),
        ("ILSVRC2012_img_val.tar", 700, {"imagenet2012_subset validation"}),
    ],
)
def test_a_changed_byte_changes_the_fingerprint_of_its_splits_alone(
    archive: str, place: int, splits: set[str], laid: Path
) -> None:
    made = planned(laid, *WANTED)
    before, old_keys = fingerprints(made), keys(made)
    changed(laid / archive, place)
    made = planned(laid, *WANTED)
    after = fingerprints(made)
    assert {name for name in before if before[name] != after[name]} == splits
    assert {name for name in before if old_keys[name] != keys(made)[name]} == splits


def test_a_list_of_other_photographs_changes_only_its_config(laid: Path) -> None:
    before = fingerprints(planned(laid, *WANTED))
    names = (laid / "10percent.txt").read_text().split()
    writers.write_list(laid / "10percent.txt", names[1:])
    after = fingerprints(planned(laid, *WANTED))
    assert {name for name in before if before[name] != after[name]} == {"imagenet2012_subset/10pct train"}


def test_two_splits_never_have_one_fingerprint(sample: Path) -> None:
    found = list(fingerprints(plan.make(ALL, sample, False)).values())
    assert len(set(found)) == len(found)


def test_the_words_of_a_plan_are_the_same_in_every_process(laid: Path) -> None:
    """No hash of Python's, no address, no order of a set goes into it."""
    import sys

    from tests.kit.building import environment, run

    code = (
        "import sys; from pathlib import Path; import loaders; from publish.build import plan\n"
        f"made = plan.make(loaders.select({list(WANTED)!r}), Path(sys.argv[1]), True)\n"
        "print({b.name: b.local_key() for b in made.splits})"
    )
    said = {run(sys.executable, "-c", code, laid, env=environment(PYTHONHASHSEED=seed)).stdout for seed in ("1", "2")}
    assert said == {f"{keys(planned(laid, *WANTED))}\n"}


def test_missing_files_of_all_configs_are_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(MissingSources) as caught:
        plan.make(ALL, tmp_path, False)
    by_hand = [s.name for name in loaders.names() for s in loaders.load(name).SOURCES.values() if s.url is None]
    assert [name for name in by_hand if name not in str(caught.value)] == []
    absent = {source.name for found in plan.look(ALL, tmp_path).values() for source in found.missing}
    assert absent == {s.name for name in loaders.names() for s in loaders.load(name).SOURCES.values()}


def test_workers_have_to_see_all_archives_but_the_lists(sample: Path) -> None:
    made = plan.make(ALL, sample, False)
    lists = {"1percent.txt", "10percent.txt"}
    assert {a.name for a in made.archives()} - {a.name for a in made.read_by_workers()} == lists


def test_nothing_is_absent_from_the_sample(sample: Path) -> None:
    assert [found.missing for found in plan.look(ALL, sample).values()] == [()] * 15


def test_a_split_is_called_by_its_folder(sample: Path) -> None:
    names = [build.name for build in planned(sample, "imagenet2012_subset").splits]
    assert names == [
        "imagenet2012_subset/1pct train",
        "imagenet2012_subset validation",
        "imagenet2012_subset/10pct train",
    ]
    assert all(isinstance(build, SplitBuild) for build in planned(sample, "imagenet2012_subset").splits)
