"""A shard: one row group, pages that are found, features that `datasets` reads, and a receipt that is right."""

import hashlib
import io
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

import loaders
from loaders import Job
from publish.build import measure, shard
from publish.build.shard import Receipt, write_shard
from tests.kit import contract

CASES = [("imagenet_resized", "64x64"), ("downsampled_imagenet", "32x32"), ("imagenet2012_subset", "1pct")]
CASES += [("imagenet_resized", "8x8"), ("imagenet_v2", "topimages")]


def jobs(sample: Path, dataset: str, config: str) -> list[Job]:
    return [job for plan in contract.plans(dataset, config, sample, partial=False) for job in plan.jobs]


@pytest.fixture(scope="module", params=CASES, ids="/".join)
def written(
    request: pytest.FixtureRequest, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, Path, Receipt]:
    path = tmp_path_factory.mktemp("shard") / "train-00000-of-00002.parquet"
    job = jobs(sample, *request.param)[0]
    return job, path, write_shard(job, path)


def rows_of(job: Job) -> pa.Table:
    return pa.Table.from_batches([batch.rows for batch in loaders.load(job.dataset).batches(job)])


def test_its_rows_are_the_job_s(written: tuple[Job, Path, Receipt]) -> None:
    job, path, _ = written
    assert pq.read_table(path).equals(rows_of(job))


def test_it_is_one_row_group(written: tuple[Job, Path, Receipt]) -> None:
    job, path, _ = written
    footer = pq.read_metadata(path)
    assert (footer.num_row_groups, footer.num_rows) == (1, job.rows)


def test_its_pages_are_found_by_an_index_and_cut_by_content(written: tuple[Job, Path, Receipt]) -> None:
    _, path, _ = written
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert [column.has_offset_index for column in columns] == [True] * len(columns)
    keys = pq.read_metadata(path).metadata
    limits = {"min_chunk_size": 512 << 10, "max_chunk_size": 1024 << 10, "norm_level": 0}
    for key in (b"content_defined_chunking", b"use_content_defined_chunking"):
        assert json.loads(keys[key]) == limits


def test_pages_do_not_move_when_rows_are_put_before_them(sample: Path, tmp_path: Path) -> None:
    """What content-defined chunking is for: most bytes of a file with a few more rows are bytes that are there."""
    job = jobs(sample, "imagenet_resized", "64x64")[0]
    later = Job(job.dataset, job.config, job.rows - 3, ((job.parts[0][0], 3, job.parts[0][2]), *job.parts[1:]))
    contents = []
    for number, each in enumerate((job, later)):
        write_shard(each, tmp_path / str(number))
        contents.append((tmp_path / str(number)).read_bytes())
    one, two = contents
    blocks = [two[at : at + 65536] for at in range(0, len(two) - 65536, 65536)]
    assert np.mean([block in one for block in blocks]) > 0.5


def test_its_columns_are_compressed_with_zstd(written: tuple[Job, Path, Receipt]) -> None:
    _, path, _ = written
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    by_name = {column.path_in_schema: column for column in columns}
    assert not by_name["image.bytes"].is_stats_set  # an image is no bound that anybody searches by
    assert "label" not in by_name or by_name["label"].is_stats_set


def test_its_features_are_the_library_s_own(written: tuple[Job, Path, Receipt]) -> None:
    """Read from the footer alone, as `load_dataset` does."""
    job, path, _ = written
    features = datasets.Features.from_dict(loaders.load(job.dataset).DATASET.features)
    schema = pq.read_schema(path)
    assert datasets.Features.from_arrow_schema(schema) == features
    assert schema.metadata[b"huggingface"] == features.arrow_schema.metadata[b"huggingface"]


def test_its_receipt_is_right(written: tuple[Job, Path, Receipt]) -> None:
    job, path, receipt = written
    table = rows_of(job)
    assert receipt.rows == table.num_rows == receipt.statistics.rows
    assert receipt.bytes == path.stat().st_size
    assert receipt.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert receipt.nbytes == table.combine_chunks().nbytes or receipt.nbytes == table.nbytes
    if "label" in table.column_names:
        assert receipt.statistics.labels.tolist() == np.bincount(table["label"].to_numpy(), minlength=1000).tolist()


def test_the_receipt_of_the_first_shard_has_the_first_images(
    written: tuple[Job, Path, Receipt], tmp_path: Path
) -> None:
    job, _, receipt = written
    first, files = receipt.statistics.first, rows_of(job)["image"].to_pylist()[: measure.SHOWN]
    images = [Image.open(io.BytesIO(file["bytes"])).convert("RGB") for file in files]
    if loaders.load(job.dataset).DATASET.image_mode:
        images = [square(Image.open(io.BytesIO(file["bytes"]))) for file in files]
    assert [image.transpose(1, 2, 0).tobytes() for image in first] == [image.tobytes() for image in images]
    assert 0 < first.nbytes < 1_000_000
    assert not write_shard(job, tmp_path / "train-00001-of-00002.parquet").statistics.first.size


def square(photo: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(photo).convert("RGB")
    return ImageOps.fit(upright, (measure.SQUARE, measure.SQUARE), Image.Resampling.BOX)


def test_the_same_job_gives_the_same_bytes(written: tuple[Job, Path, Receipt], tmp_path: Path) -> None:
    job, path, receipt = written
    again = write_shard(job, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert (again.sha256, again.nbytes) == (receipt.sha256, receipt.nbytes)


def test_a_job_that_has_other_rows_than_it_says_is_refused(sample: Path, tmp_path: Path) -> None:
    job = jobs(sample, "imagenet_resized", "8x8")[0]
    wrong = Job(job.dataset, job.config, job.rows + 1, job.parts)
    with pytest.raises(loaders.SourceProblem, match=r"expected 1,001 rows, found 1,000"):
        write_shard(wrong, tmp_path / "shard.parquet")


def test_a_file_that_takes_less_than_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw file may: what it did not take is given to it again."""
    sink = shard._Hashed(tmp_path / "file")

    class Slow:
        def __init__(self, file: object) -> None:
            self._file = file

        def write(self, data: memoryview) -> int:
            return int(self._file.write(data[:3]))  # type: ignore[attr-defined]

        def close(self) -> None:
            self._file.close()  # type: ignore[attr-defined]

    monkeypatch.setattr(sink, "_file", Slow(sink._file))
    with sink:
        assert sink.write(b"0123456789") == 10
        assert sink.tell() == 10
    assert (tmp_path / "file").read_bytes() == b"0123456789"
    assert sink.digest.hexdigest() == hashlib.sha256(b"0123456789").hexdigest()
