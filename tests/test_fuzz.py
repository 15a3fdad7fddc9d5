"""Hostile input by properties, in the short form; `python -m tests.fuzz` tries a hundred thousand inputs."""

from __future__ import annotations

import pytest

from tests.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_gives_a_value_or_a_clean_error(name: str) -> None:
    assert fuzz(name, 60) >= 20
