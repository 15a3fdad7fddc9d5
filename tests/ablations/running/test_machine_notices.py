"""What a run says beforehand about precisions that a CPU cannot do well."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.running.machine_notices import has_bfloat16_units, precision_notices


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "is_first", "expected"),
    [
        ("float16", True, True, "float16 is many times slower"),
        ("float16", None, False, "float16 is many times slower"),
        ("bfloat16", False, False, "this CPU has no units for bfloat16"),
    ],
)
def test_a_slow_precision_is_said_in_one_line_with_the_remedy(
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
