"""The part of a card that says which of ILSVRC's photographs the rows are, and how that is known."""

from collections.abc import Iterable

from publish.manifest import Manifest

_LINE = """```python
ds = ds.add_column("file_name", [f"ILSVRC2012_val_{row + 1:08d}.JPEG" for row in range(len(ds))])
```"""


def markdown(manifest: Manifest) -> str:
    """Return what is known of each config: by a column, by the order of validation, or not at all."""
    known: dict[str, list[str]] = {"column": [], "row": [], "": []}
    for config, splits in manifest.configs.items():
        told = {entry.named for entry in splits.values()}
        known[next((how for how in known if how in told), "")].append(config)
    said = {"column": _column, "row": _row, "": _unknown}
    return "\n\n".join(said[how](_listed(configs)) for how, configs in known.items() if configs)


def _listed(configs: Iterable[str]) -> str:
    return ", ".join(f"`{config}`" for config in configs)


def _column(configs: str) -> str:
    return (
        f"In {configs} the column `file_name` is ILSVRC's own name of the photograph that a row was made of: "
        "`n01440764_10026.JPEG` in train, `ILSVRC2012_val_00000001.JPEG` in validation. By it, rows are joined with "
        "whatever is published of ILSVRC's photographs: corrected labels, boxes, attributes."
    )


def _row(configs: str) -> str:
    return (
        f"In {configs} the rows of validation stand in the order of ILSVRC's file names: their 50,000 labels are those "
        "of the 50,000 photographs in that order. With `ds` that split, whole and in its order, one line adds the "
        f"column:\n\n{_LINE}\n\nWhich photograph a row of train is, the archives do not tell."
    )


def _unknown(configs: str) -> str:
    return (
        f"In {configs} it is not known which photograph a row is: the archives, or some of them, have no file names, "
        "and validation's labels are not those of ILSVRC's 50,000 photographs in the order of their names. "
        "`python -m publish.regenerate` makes archives with file names."
    )
