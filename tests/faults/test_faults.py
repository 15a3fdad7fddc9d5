"""The fault matrix, as a user runs it: its short form by default, all of it with `-m long`."""

from __future__ import annotations

import json

import pytest

from tests.command import call
from tests.faults.__main__ import FAULTS

NAMES = {"fault", "injected", "lost", "duplicated", "bit_equal", "broken", "message", "seconds"}


@pytest.mark.parametrize("words", [("--short",), pytest.param((), marks=pytest.mark.long)], ids=["short", "whole"])
def test_no_fault_breaks_a_promise(words: tuple[str, ...]) -> None:
    rows = json.loads(call("-m", "tests.faults", *words, "--json", timeout=3600).stdout)
    wanted = [fault.name for fault in FAULTS if fault.is_short or "--short" not in words]
    assert [row["fault"] for row in rows] == wanted
    assert sum(row["injected"] > 0 for row in rows) >= len(wanted) - 8  # those that need a GPU, root or mounting
    for row in rows:
        assert set(row) == NAMES
        assert not row["broken"], row
        assert (row["lost"], row["duplicated"]) == (0, 0), row
        assert row["bit_equal"] in (None, row["injected"]), row


def test_every_kind_is_there_once() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 110
