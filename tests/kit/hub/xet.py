"""Xet: the token, and a minimal content-addressed storage (CAS) that takes what hf_xet uploads and serves it again.

Formats: https://huggingface.co/docs/xet (api, xorb, shard). A xorb is a run of chunks, each behind 8 bytes: version 0,
compressed length (3, little endian), compression (0 none, 1 LZ4 frame, 2 LZ4 of bytes regrouped by position modulo 4),
length (3). A shard lists, for each file, which chunks of which xorbs it is made of. Every file that a shard announces
is put together, checked against the sha256 that the shard gives, and stored as an LFS object, so that it can be
committed and read without Xet too. Chunk hashes (blake3) are not checked: the sha256 of the whole covers them.
`/v1/xorb-grants`, `/v2/shards` and `/v2/reconstructions` are answered with 404, on which the client takes older calls.
"""

import secrets
import struct
import time
from collections.abc import Iterator
from typing import Any

from .call import Call
from .cas import Cas, Chunk, Term
from .lfs import register
from .storage import ObjectStore, write_blocks
from .wire import HubError, Response, ranged, requested_range

SHARD_HEADER, RECORD, BOOKEND = 48, 48, b"\xff" * 32
WITH_VERIFICATION, WITH_SHA256 = 1 << 31, 1 << 30
NONE, LZ4, GROUPED_LZ4 = 0, 1, 2
TOKEN_SECONDS = 3600


def hash_string(data: bytes) -> str:
    """Return the string form of a hash of 32 bytes: four little endian integers in hex."""
    return "".join(f"{value:016x}" for value in struct.unpack("<4Q", data))


def token(call: Call) -> Response:
    """Hand out a short-lived token for the CAS, and its address (in headers for Python, in the body for hf_xet)."""
    direction = call.params["direction"]
    repo = call.readable_repo if direction == "read" else call.writable_repo(call.request.flag("create_pr"))
    key, expiry = f"xet_{secrets.token_hex(8)}", int(time.time()) + TOKEN_SECONDS
    call.hub.cas.tokens[key] = (repo.id, direction)
    url = f"{call.hub.endpoint}/cas"
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": key, "X-Xet-Token-Expiration": str(expiry)}
    return Response.json({"casUrl": url, "accessToken": key, "exp": expiry}, headers=headers)


def _repo_of_token(call: Call, direction: str) -> str:
    key = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
    repo_id, granted = call.hub.cas.tokens.get(key, ("", ""))
    if not repo_id or (direction == "write" and granted == "read"):
        raise HubError(401, f"This token does not allow to {direction}")
    return repo_id


def upload_xorb(call: Call) -> Response:
    _repo_of_token(call, "write")
    name = call.params["hash"]
    path = call.hub.store.path(f"xorb-{name}")
    known = path.exists()
    incoming = call.hub.store.scratch()
    write_blocks(incoming, call.request.body)
    chunks = list(_chunks(incoming.read_bytes()))
    incoming.replace(path)
    call.hub.cas.xorbs[name] = chunks
    return Response.json({"was_inserted": not known})


def _chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a xorb, up to its footer if it has one; raises HubError 400 for a cut one."""
    offset = 0
    while offset + 8 <= len(data) and data[offset] == 0:
        packed = int.from_bytes(data[offset + 1 : offset + 4], "little")
        unpacked = int.from_bytes(data[offset + 5 : offset + 8], "little")
        if offset + 8 + packed > len(data):
            raise HubError(400, f"The xorb ends inside the chunk at byte {offset}")
        yield Chunk(offset, data[offset + 4], packed, unpacked)
        offset += 8 + packed


def upload_shard(call: Call) -> Response:
    """Put together and keep every file of a shard; raises HubError 400 for an unknown xorb or another sha256."""
    repo = call.hub.repo(_repo_of_token(call, "write"))
    for name, terms, sha256 in _shard_files(call.request.body.read()):
        size = sum(term.length for term in terms)
        if not call.hub.store.has(sha256, size):
            call.hub.store.put(_unpack(call.hub.cas, call.hub.store, terms), sha256, size)
        call.hub.cas.files[name] = terms
        register(call, repo, sha256, size, xet_hash=name)
    return Response.json({"result": 1})


def _shard_files(data: bytes) -> Iterator[tuple[str, list[Term], str]]:
    """Yield (file hash, terms, sha256) of each file in a shard."""
    position = SHARD_HEADER
    while data[position : position + 32] != BOOKEND:
        flags, count = struct.unpack_from("<II", data, position + 32)
        if not flags & WITH_SHA256:
            raise HubError(400, "The shard gives no sha256 for a file")
        entries = [data[position + RECORD * i : position + RECORD * (i + 1)] for i in range(1, count + 1)]
        records = 1 + count * (2 if flags & WITH_VERIFICATION else 1)
        sha256 = data[position + RECORD * records :][:32]
        yield hash_string(data[position : position + 32]), [_term(entry) for entry in entries], hash_string(sha256)
        position += RECORD * (records + 1)


def _term(entry: bytes) -> Term:
    _, length, start, end = struct.unpack_from("<4I", entry, 32)
    return Term(hash_string(entry[:32]), start, end, length)


def _unpack(cas: Cas, store: ObjectStore, terms: list[Term]) -> Iterator[bytes]:
    for term in terms:
        if term.xorb not in cas.xorbs:
            raise HubError(400, f"The xorb {term.xorb} was not uploaded")
        with store.path(f"xorb-{term.xorb}").open("rb") as stream:
            for chunk in cas.xorbs[term.xorb][term.start : term.end]:
                stream.seek(chunk.offset + 8)
                yield _decompress(stream.read(chunk.packed), chunk)


def _decompress(data: bytes, chunk: Chunk) -> bytes:
    if chunk.compression == NONE:
        return data
    import pyarrow as pa  # Only here: the standard library has no LZ4.

    plain: bytes = pa.Codec("lz4").decompress(data, chunk.unpacked, asbytes=True)
    return plain if chunk.compression == LZ4 else _ungroup(plain)


def _ungroup(data: bytes) -> bytes:
    """Undo the regrouping of bytes by their position modulo 4."""
    plain, position = bytearray(len(data)), 0
    for first in range(4):
        count = len(range(first, len(data), 4))
        plain[first::4] = data[position : position + count]
        position += count
    return bytes(plain)


def reconstruction(call: Call) -> Response:
    """Answer which chunks of xorbs make (a range of) a file, and where to fetch them; raises HubError 404 or 416."""
    _repo_of_token(call, "read")
    cas, name = call.hub.cas, call.params["hash"]
    if name not in cas.files:
        raise HubError(404, f"The file {name} is not here")
    size = sum(term.length for term in cas.files[name])
    start, length = requested_range(call.request.headers.get("Range"), size) or (0, size)
    reply: dict[str, Any] = {"offset_into_first_range": 0, "terms": [], "fetch_info": {}}
    position = 0
    for term in cas.files[name]:
        if position < start + length and start < position + term.length:
            if not reply["terms"]:
                reply["offset_into_first_range"] = start - position
            _add_term(call, reply, term)
        position += term.length
    return Response.json(reply)


def _add_term(call: Call, reply: dict[str, Any], term: Term) -> None:
    chunks = call.hub.cas.xorbs[term.xorb]
    last = chunks[term.end - 1]
    span = {"start": term.start, "end": term.end}
    bytes_span = {"start": chunks[term.start].offset, "end": last.offset + 8 + last.packed - 1}
    url = f"{call.hub.storage_endpoint}/cas/xorbs/{term.xorb}"
    reply["terms"].append({"hash": term.xorb, "unpacked_length": term.length, "range": span})
    fetch = {"range": span, "url": url, "url_range": bytes_span}
    if fetch not in reply["fetch_info"].setdefault(term.xorb, []):
        reply["fetch_info"][term.xorb].append(fetch)


def download_xorb(call: Call) -> Response:
    path = call.hub.store.path(f"xorb-{call.params['hash']}")
    if not path.is_file():
        raise HubError(404, f"The xorb {call.params['hash']} is not here")
    return ranged(Response(200, {}, file=path, length=path.stat().st_size), call.request.headers.get("Range"))
