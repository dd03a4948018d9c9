"""The forms in which people hold a dataset: one table a dataset, from which all that is said of forms is made.

A form is an entry of a dataset's `FORMS` and, in the dataset's module, what reads it. The table makes what is looked
for (`find`), what a message about missing files says is taken, what `--dry-run`, the manifest and the card call the
form that was found, and the README's list of forms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from loaders._errors import SourceProblem
from loaders.base.dataset import Config, Dataset, Form, Split
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Archives, Found, Source


def find(
    dataset: Dataset,
    forms: Sequence[Form],
    config: Config,
    folder: SourceFolder,
    sources: Callable[[Config, Split], Iterable[Source]],
) -> Found:
    """Take each split in the first of the forms that is there; of a split that is in none, say which sources miss.

    `sources` are those that upstream registers for a split. One that is optional is missed by nobody.
    """
    there = {split: _there(forms, config, folder, split) for split in config.splits}
    missing = [
        source
        for split, found in there.items()
        if not found and not split.optional
        for source in sources(config, split)
        if not folder.find(source)
    ]
    taken = {split.name: found[0] for split, found in there.items() if found}
    return Found(
        taken,
        tuple(missing),
        folder.rows(dataset.name, config.name, taken),
        {split.name: tuple(found[1:]) for split, found in there.items() if found[1:]},
    )


def _there(forms: Sequence[Form], config: Config, folder: SourceFolder, split: Split) -> list[Archives]:
    found = [(form.name, form.find(folder, config, split)) for form in forms]
    return [tuple(replace(archive, form=name) for archive in archives) for name, archives in found if archives]


def check_others(found: Found, split: Split, rows: int, count: Callable[[Archives], int | None]) -> None:
    """Raise SourceProblem when a split is there in another form, too, with other rows than the form that is taken.

    `count` returns the rows of archives as far as they are known without reading them, None where they are not.
    """
    for other in found.others.get(split.name, ()):
        if (known := count(other)) not in (None, rows):
            taken = found.archives[split.name][0]
            raise SourceProblem(
                f"{taken.path} ({taken.form}) has {rows:,} rows of {split.name}, and {other[0].path} "
                f"({other[0].form}) has {known:,}. Only one can be right: move the other away."
            )


def table(forms: Mapping[str, Sequence[Form]]) -> str:
    """Return the forms of datasets as Markdown."""
    rows = [f"| `{dataset}` | {form.name} | {form.says} |" for dataset, known in forms.items() for form in known]
    return "\n".join(["| dataset | form | what lies in the folder |", "|---|---|---|", *rows])
