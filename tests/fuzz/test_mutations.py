"""Mutated inputs of every reader: the right rows or a clear error. `python -m tests.fuzz READER` looks for longer."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import READERS, Broken, Reader, attempt, right
from tests.kit.refusals import in_time

EXAMPLES = 60
EDGES = (b"", b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\0" * 64, b"-1", b"9" * 30, b"../", b"/", b"[" * 2000)
every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=lambda reader: reader.name)


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


@st.composite
def mutations(draw: st.DrawFn, reader: Reader) -> bytes:
    """Take a sound input and cut, flip, repeat, move or put in some bytes of it, a few times."""
    data = bytearray(draw(st.sampled_from(reader.seeds())))
    for _ in range(draw(st.integers(1, 3))):
        place, length = (draw(st.integers(0, len(data))) for _ in range(2))
        stop = min(len(data), place + length % 64)
        match draw(st.sampled_from(("flip", "put", "drop", "repeat", "cut", "edge"))):
            case "flip" if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "put":
                data[place:stop] = draw(st.binary(max_size=16))
            case "drop":
                del data[place:stop]
            case "repeat":
                data[place:place] = data[place:stop]
            case "cut":
                del data[place:]
            case _:
                data[place : place + length % 5] = draw(st.sampled_from(EDGES))
    return bytes(data)


@pytest.mark.keeps("S2", "S9", "S10", "B7")
@every_reader
def test_a_mutated_input_gives_the_right_rows_or_a_clear_error(reader: Reader) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(reader))
    def all_hold(data: bytes) -> None:
        attempt(reader, data)

    all_hold()


@every_reader
def test_what_is_not_mutated_is_read(reader: Reader) -> None:
    results = right(reader)
    if reader.checked:
        assert all(result == results[0] for result in results)
    assert [attempt(reader, seed).refused for seed in reader.seeds()] == [False] * len(results)


@every_reader
@pytest.mark.parametrize("data", EDGES)
def test_what_is_no_input_at_all(reader: Reader, data: bytes) -> None:
    attempt(reader, data)


def test_a_promise_that_is_broken_would_be_found() -> None:
    """By the rig itself: a foreign error, other rows, and too long a time."""
    sound = READERS["list"]

    def of(**changes: object) -> Reader:
        return Reader(**{**vars(sound), **changes})

    def fails(_: object) -> None:
        raise KeyError("a")

    answers = iter("ab")
    for broken in (of(read=fails), of(read=lambda _: next(answers), seeds=lambda: [b"x"], checked=True)):
        with pytest.raises((Broken, KeyError)):
            attempt(broken, b"x")
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 0  # what hangs is stopped
