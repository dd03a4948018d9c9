"""A new revision on the Hub, read back and held against its manifest."""

from functools import partial

from publish.hub import client
from publish.hub.client import Repository
from publish.hub.contents import HubContents
from publish.repository.verify import files, footers, read_manifest, resolves


def remote(place: Repository, commit: str) -> list[str]:
    """Return what is wrong with a new revision on the Hub.

    Its digests are compared with the manifest's, the first and last shard of every split are read back, rows are
    counted by the footers, and each config is resolved as a reader would.
    """
    return client.patiently(partial(_remote, place, commit), f"{place.name}: reading it back")


def _remote(place: Repository, commit: str) -> list[str]:
    contents = HubContents(place, commit)
    found = read_manifest(contents)
    faults = files(contents, found, every=False) + footers(contents, found)
    return faults or resolves(contents, found)


def listed(place: Repository, commit: str) -> list[str]:
    """Return files of a revision that are missing or other than the manifest's, by what the Hub says of them alone."""
    contents = HubContents(place, commit)
    sizes = contents.sizes()
    digests = client.patiently(partial(read_manifest, contents), f"{place.name}: reading its manifest").digests()
    missing = [f"{path}: is in the manifest, but not there" for path in digests if path not in sizes]
    there = {path: contents.listed_sha256(path) for path in digests if path in sizes}
    return missing + [
        f"{path}: has another digest" for path, found in there.items() if found not in (None, digests[path])
    ]
