"""Plain tables."""

from runner.report.table import Table


def test_columns_are_as_wide_as_they_need() -> None:
    assert Table(("model", "size"), [("a", "10"), ("bcdefgh", "9")], right=(1,)).lines() == [
        "model    size",
        "a          10",
        "bcdefgh     9",
    ]


def test_a_table_without_a_head_has_none() -> None:
    assert Table(("", ""), [("log", "/x"), ("history", "/y")]).lines() == ["log      /x", "history  /y"]
