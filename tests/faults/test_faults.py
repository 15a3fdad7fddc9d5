"""The short form of the fault matrix, as a user runs it."""

from __future__ import annotations

import json

import pytest

from tests.command import call

NAMES = {"fault", "injected", "lost", "duplicated", "bit_equal", "broken", "message", "seconds"}


@pytest.mark.long
def test_no_fault_of_the_short_form_breaks_a_promise() -> None:
    rows = json.loads(call("-m", "tests.faults", "--short", "--json").stdout)
    assert len([row for row in rows if row["injected"]]) >= 25
    for row in rows:
        assert set(row) == NAMES
        assert not row["broken"], row
        assert (row["lost"], row["duplicated"]) == (0, 0), row
        assert row["bit_equal"] in (None, row["injected"]), row
