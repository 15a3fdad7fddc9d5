"""Notices before a run about precisions that a CPU computes slowly."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from ablations import studies
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.running import machine_notices
from ablations.running.machine_notices import has_bfloat16_units, precision_notices


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "is_first", "expected"),
    [
        ("float16", True, True, "float16 is many times slower"),
        ("float16", None, False, "float16 is many times slower"),
        ("bfloat16", False, False, "this CPU has no units for bfloat16"),
    ],
)
def test_a_slow_precision_is_reported_in_one_line_with_the_remedy(
    precision: str, has_bfloat16: bool | None, is_first: bool, expected: str
) -> None:
    (line,) = precision_notices({precision}, has_bfloat16=has_bfloat16, is_first=is_first)
    assert expected in line
    assert "--set recipe.precision=float32" in line


def test_bfloat16_is_pointed_out_once_and_only_where_it_is() -> None:
    (line,) = precision_notices({"float32"}, has_bfloat16=True, is_first=True)
    assert "--set recipe.precision=bfloat16" in line
    assert precision_notices({"float32"}, has_bfloat16=True, is_first=False) == []
    assert precision_notices({"float32"}, has_bfloat16=False, is_first=True) == []
    assert precision_notices({"bfloat16"}, has_bfloat16=True, is_first=True) == []


@pytest.mark.parametrize(
    ("scale", "has_units", "expected"),
    [
        ("standard", False, "recipe.precision: this CPU has no units for bfloat16"),
        ("standard", True, None),
        ("smoke", True, "This CPU has units for bfloat16: --set recipe.precision=bfloat16 trains faster"),
        ("smoke", False, None),
    ],
)
def test_a_plan_is_checked_against_the_machine(
    scale: Literal["standard", "smoke"],
    has_units: bool,
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine_notices, "has_bfloat16_units", lambda: has_units)
    options = Options(scale=scale, dataset="synthetic", device="cpu", out=tmp_path)
    found = machine_notices.machine_notices(plan_study(studies.get_study("residuals"), options))
    assert [line for line in found if expected is None or not line.startswith(expected)] == []
    assert len(found) == (expected is not None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512_bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd bf16\n", True),
        ("processor : 0\n", None),
    ],
)
def test_units_are_read_from_the_cpus_flags(text: str, expected: bool | None, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bfloat16_units(tmp_path / "cpuinfo") is expected
    assert has_bfloat16_units(tmp_path / "nowhere") is None
