"""What the README and the cards tell people to run, run; what they claim of the code, derived from the code."""

import re
import shlex
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from datasets import load_dataset
from PIL import Image

import loaders
from loaders import classes
from loaders.base import forms
from publish import __main__ as cli
from publish import manifest
from publish.card import picture, prose, render
from tests.kit import answers, building
from tests.kit.building import RESIZED, ROOT

README = ROOT / "README.md"
DATASETS = loaders.names()
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?:\]\(|src=\")(?P<target>[^)\"\s]+)")
_OWN_COMMAND = re.compile(r"(?:python3? -m publish|imagenet-variants)(?= |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, and how it is called in a report."""

    name: str
    language: str
    code: str


def blocks(name: str, text: str, *languages: str) -> list[Block]:
    found = [(match["language"], match["code"]) for match in _FENCE.finditer(text)]
    return [Block(f"{name}-{i}", kind, code) for i, (kind, code) in enumerate(found) if kind in languages]


def of_template(dataset: str) -> list[str]:
    """Return the names of a sample's card's Python blocks; the decoder's is filled in when the card is rendered."""
    text = prose.template(dataset).replace("<!-- begin decoder -->\n", "```python\n```\n")
    text = re.sub(
        r"\{% if known %\}.*?\{% endif %\}\n(?=## )", "", text, flags=re.DOTALL
    )  # no row of a sample is known
    return [block.name for block in blocks(dataset, text, "python")]


def rendered(built: Path, dataset: str) -> str:
    """Return a card as it would be on the Hub, with the folder where it lies for the repository."""
    text = (built / dataset / "README.md").read_text(encoding="utf-8")
    assert str(built) not in text
    here = str(built / dataset)
    return text.replace(f"hf://datasets/my-lab/{dataset}", here).replace(f"my-lab/{dataset}", here)


def snippet(code: str, cwd: Path) -> str:
    """Run a snippet as a person who pastes it does, and return what it prints."""
    if re.search(r"^(import|from) (loaders\.training\.)?torch\b", code, re.MULTILINE) and find_spec("torch") is None:
        pytest.skip("the extra `train`, which is torch, is not installed here")
    if answers.NAME in code:
        answers.lay(cwd)
    return building.pasted(code, cwd)


# Cards


@pytest.mark.parametrize("name", [name for dataset in DATASETS for name in of_template(dataset)])
def test_every_snippet_of_a_card_runs(name: str, built: Path, tmp_path: Path) -> None:
    dataset = name.rpartition("-")[0]
    found = {block.name: block.code for block in blocks(dataset, rendered(built, dataset), "python")}
    assert list(found) == of_template(dataset)
    pasted = "" if found[name] == render.decoder() or "decode(" not in found[name] else render.decoder()
    said = snippet(pasted + found[name], tmp_path)
    assert said.strip() or found[name] == render.decoder()  # which only defines a function


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_card_is_finished(dataset: str, built: Path) -> None:
    text = rendered(built, dataset)
    assert re.findall(r"\{[{%] ?[a-z]+", text) == []
    assert "\n\n\n" not in _FENCE.sub("CODE", text)
    marked = re.findall(r"<!-- begin ([\w: ]+) seal=\w{16} -->\n(.*?)<!-- end \1 -->", text, re.DOTALL)
    assert [name for name, body in marked if not body.strip()] == []
    assert len(marked) == text.count("<!-- begin") == text.count("<!-- end")


def part_of(built: Path, dataset: str, config: str, folder: Path, name: str = "") -> Path:
    """Return a repository of one config, as it is built alone, under a name of its own if that is given."""
    read = manifest.read(built / dataset)
    assert read
    alone = replace(read, configs={config: read.configs[config]}).dump()
    if name:
        alone = alone.replace(f'"{config}', f'"{name}').replace('"origin": "sample"', '"origin": "regenerated"')
    made = manifest.load(alone, "alone")
    (folder / dataset).mkdir()
    for path in (built / dataset).iterdir():
        if path.is_dir() and (path.name == config or path.name not in read.configs):
            (folder / dataset / (name if path.name == config and name else path.name)).symlink_to(path)
    if made.files:
        (folder / dataset / "classes.tsv").symlink_to(built / dataset / "classes.tsv")
    (folder / dataset / "README.md").write_text(render.render(made))
    return folder


ALONE = [(dataset, config.name, "") for dataset in DATASETS for config in loaders.load(dataset).DATASET.configs]
ALONE += [("imagenet_resized", "32x32", "32x32-lanczos")]
# What stands alone in a process of its own, and what takes long and differs by the config's name alone.
LONG = re.compile(r"^(?:import|from) torch\b", re.MULTILINE)


@pytest.mark.parametrize(("dataset", "config", "name"), ALONE)
def test_a_card_of_a_part_names_what_is_there(
    dataset: str, config: str, name: str, built: Path, tmp_path: Path
) -> None:
    """Every config that a snippet loads, and every file."""
    text = rendered(part_of(built, dataset, config, tmp_path, name), dataset)
    code = "\n".join(block.code for block in blocks(dataset, text, "python"))
    assert set(re.findall(r'load_dataset\("[^"]+", "([^"]+)"', code)) == {name or config}
    patterns = re.findall(r'data_files=\{"\w+": "([^"]+)"\}', code)
    assert [pattern for pattern in patterns if not list((tmp_path / dataset).glob(pattern))] == []
    assert f"One config: `{name or config}`." in text
    assert ("Nothing is resampled" in text or "nothing is resampled" in text) == (dataset == RESIZED and not name)


PARTS = [each for each in ALONE if each[1] in ("64x64", "10pct", "topimages") or each[2]]


@pytest.mark.parametrize(("dataset", "config", "name"), PARTS)
def test_the_snippets_of_a_card_of_a_part_run(
    dataset: str, config: str, name: str, built: Path, tmp_path: Path
) -> None:
    """One after the other, but those that train, which other tests run."""
    text = rendered(part_of(built, dataset, config, tmp_path, name), dataset)
    found = [block.code for block in blocks(dataset, text, "python") if not LONG.search(block.code)]
    assert len(found) > 3
    snippet("\n".join(found), tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_folder_of_one_config_and_the_card_loads_as_the_card_says(dataset: str, built: Path, tmp_path: Path) -> None:
    text = rendered(built, dataset)
    (command,) = re.findall(r"python -c '(.*)'", text)
    (config,) = re.findall(r'--include "(.*)/\*"', text)
    (tmp_path / "part").mkdir()
    for name in ("README.md", config):
        (tmp_path / "part" / name).symlink_to(built / dataset / name)
    assert "num_rows" in snippet(command, tmp_path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_links_of_a_card_to_its_own_files_resolve(dataset: str, built: Path) -> None:
    check_links(rendered(built, dataset), built / dataset)


def test_the_decoder_on_the_card_is_the_one_that_is_tested(built: Path) -> None:
    source = (ROOT / "loaders" / "images" / "decoder.py").read_text(encoding="utf-8")
    code = [block.code for block in blocks("", rendered(built, "imagenet_resized"), "python")]
    assert code.count(source) == 1
    assert render.decoder() == source


def test_the_decoder_of_the_card_decodes_its_dataset(built: Path, tmp_path: Path) -> None:
    """Pasted into a person's own program, it gives the pixels that `datasets` gives."""
    (code,) = (
        block.code for block in blocks("", rendered(built, "imagenet_resized"), "python") if "def decode" in block.code
    )
    repository = str(built / "imagenet_resized")
    said = snippet(
        f"{code}\n"
        "import datasets\n"
        f"ds = datasets.load_dataset({repository!r}, '16x16', split='validation[:40]')\n"
        "pixels = decode(ds.data.table['image'].slice(0, 40))\n"
        "assert pixels.shape == (40, 16, 16, 3), pixels.shape\n"
        "assert all((np.asarray(row['image']) == image).all() for row, image in zip(ds, pixels, strict=True))\n"
        "print('the same')\n",
        tmp_path,
    )
    assert said == "the same\n"


def test_the_one_line_of_the_resized_card_aligns_all_labels(built: Path, tmp_path: Path) -> None:
    """The sample's validation split has one row of each class: run as it stands, the line maps all 1000."""
    (code,) = (b.code for b in blocks("", rendered(built, "imagenet_resized"), "python") if "align_labels" in b.code)
    aligned = [line for line in code.splitlines() if "align_labels" in line]
    assert len(aligned) == 1
    before, after = code.split(aligned[0])
    watched = (
        f"{before}\nold = ds['label']\n{aligned[0]}\nnew = ds['label']\nnames = ds.features['label'].names\n{after}"
    )
    said = snippet(
        f"{watched}\nprint(sorted(zip(old, new)))\nprint(names == {list(classes.names('ilsvrc'))!r})\n", tmp_path
    )
    first, pairs, same_names = said.splitlines()
    assert first == "tench, Tinca tinca"
    assert pairs == str(list(enumerate(classes.clsloc_to_ilsvrc())))
    assert same_names == "True"


def test_the_accuracy_of_the_subset_s_card_is_that_of_its_authors(built: Path, tmp_path: Path) -> None:
    """ReaL: right if in the set, those without a set left out; joined by name, whatever the order of the rows."""
    (code,) = (b.code for b in blocks("", rendered(built, "imagenet2012_subset"), "python") if "real.json" in b.code)
    rows = load_dataset(str(built / "imagenet2012_subset"), "1pct", split="validation")
    expected, count = answers.accuracy(list(rows["file_name"]), list(rows["label"]))
    assert 0.5 < expected < 0.95
    assert snippet(code, tmp_path) == f"ReaL accuracy {expected:.2%} of {count:,} photographs\n"


# README


def readme() -> str:
    return README.read_text(encoding="utf-8")


def test_the_readme_has_its_two_commands() -> None:
    code = "\n".join(block.code for block in blocks("README", readme(), "bash", "console", "sh"))
    assert "python -m publish --config all --sample" in code
    assert "python -m tests" in code


def commands() -> list[str]:
    """Return the README's calls of this project's command, their continued lines joined, one each."""
    lines = [
        line.strip().removeprefix("$ ")
        for block in blocks("README", readme(), "bash", "console", "sh")
        for line in block.code.replace("\\\n", " ").splitlines()
    ]
    parts = [part.strip() for line in lines for part in re.split(r"&&|;|\|", line.partition(" #")[0])]
    return [part for part in parts if _OWN_COMMAND.search(part)]


def test_the_options_that_the_readme_names_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands()) >= 2
    for command in commands():
        words = shlex.split(command[_OWN_COMMAND.search(command).end() :])  # type: ignore[union-attr]
        try:
            options = cli._parser().parse_args(words)
        except SystemExit as left:
            if left.code:
                pytest.fail(f"{command}: {capsys.readouterr().err}")
            continue  # --help
        loaders.select(options.config or [])


def programs() -> list[Block]:
    """Return the README's Python, also what is not marked as such to be shown without colours."""
    found = blocks("README", readme(), "python", "text")
    return [block for block in found if block.language == "python" or block.code.startswith(("from ", "import "))]


@pytest.mark.parametrize("block", programs(), ids=lambda block: block.name)
def test_every_program_of_the_readme_runs(block: Block, built: Path, sample: Path, tmp_path: Path) -> None:
    """In a folder where `hub` is what its first command makes, and `archives` what a person would put there."""
    (tmp_path / "hub").symlink_to(built)
    (tmp_path / "archives").symlink_to(sample)
    said = snippet(block.code, tmp_path)
    assert said.strip() or "print" not in block.code


def test_the_forms_of_the_readme_are_those_that_are_taken() -> None:
    assert forms.table({name: loaders.load(name).FORMS for name in DATASETS}) in readme()


def test_links_of_the_readme_to_local_files_resolve() -> None:
    check_links(readme(), ROOT)


def test_the_pictures_of_the_readme_are_those_that_the_sample_makes(built: Path) -> None:
    """Pixel by pixel: how tightly a PNG is packed is another matter with each release of Pillow."""
    shown = [ROOT / match["target"] for match in _LINK.finditer(readme()) if match["target"].endswith(".png")]
    assert sorted(shown) == sorted((ROOT / "docs").glob("*.png"))
    assert {picture.kind(path.name) for path in shown} == {picture.SIZES, picture.SHEET}
    for path in shown:
        made = built / "imagenet_resized" / picture.FOLDER / path.name
        assert pixels(made) == pixels(path), f"{path.name} is not what the sample looks like: copy hub/.../{path.name}"


def pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.convert("RGBA").tobytes()


def check_links(text: str, folder: Path) -> None:
    """Hold every link without a host against the files of a folder and the headings of the text."""
    prose = _FENCE.sub("", text)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    targets = [match["target"] for match in _LINK.finditer(prose)]
    local = [urlsplit(target) for target in targets if not urlsplit(target).scheme]
    assert [url.path for url in local if url.path and not (folder / url.path).exists()] == []
    assert [url.fragment for url in local if not url.path and url.fragment not in anchors] == []
