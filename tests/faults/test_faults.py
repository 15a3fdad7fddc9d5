"""The fault matrix, as a user runs it: its short form by default, all of it with `-m long`."""

from __future__ import annotations

import json

import pytest

from tests.command import call
from tests.faults.__main__ import FAULTS

NAMES = {"fault", "injected", "lost", "duplicated", "bit_equal", "broken", "message", "seconds"}


PARTS = 2  # parts of the short form, so that two workers of pytest share it


def holds(words: tuple[str, ...], wanted: list[str]) -> None:
    """Inject faults and check the command's row for each."""
    rows = json.loads(call("-m", "tests.faults", *words, "--json", timeout=3600).stdout)
    assert [row["fault"] for row in rows] == wanted
    assert sum(row["injected"] > 0 for row in rows) >= len(wanted) - 8  # those that need a GPU, root or mounting
    for row in rows:
        assert set(row) == NAMES
        assert not row["broken"], row
        assert (row["lost"], row["duplicated"]) == (0, 0), row
        assert row["bit_equal"] in (None, row["injected"]), row


@pytest.mark.parametrize("part", range(PARTS))
def test_no_fault_of_the_short_form_breaks_a_promise(part: int) -> None:
    wanted = [fault.name for fault in FAULTS if fault.is_short]
    holds(("--short", "--part", f"{part + 1}/{PARTS}"), wanted[part::PARTS])


@pytest.mark.long
def test_no_fault_breaks_a_promise() -> None:
    holds((), [fault.name for fault in FAULTS])


def test_every_kind_is_there_once() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 110
