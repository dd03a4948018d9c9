"""The catalogue of faults and its tests agree."""

from tests.faults import table


def test_no_two_rows_have_one_name() -> None:
    names = [promise.row for promise in table.promises()]
    assert sorted(set(names)) == sorted(names)


def test_every_promise_is_kept_by_a_test() -> None:
    kept = table.keepers()
    assert [promise.row for promise in table.promises() if promise.row not in kept] == []


def test_no_test_keeps_what_nobody_promised() -> None:
    unknown = {row: tests for row, tests in table.keepers().items() if row not in {p.row for p in table.promises()}}
    assert unknown == {}, "rows that tests/faults/promises.toml does not have"
