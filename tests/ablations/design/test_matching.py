"""Widths that match sizes, and the curve that is trained if no width does."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ablations.design.matching import TOLERANCE, baseline_widths, find_width, match, size
from tests.networks import xception_preset


def test_find_width_brackets_the_target() -> None:
    found = find_width(lambda m: round(100 * m) ** 2, 250_000)
    assert (found.width_multiplier, found.size, found.ratio) == (5, 250_000, 1.0)


def test_find_width_takes_the_nearer_of_two_steps() -> None:
    assert find_width(lambda m: 1000 if m < 2 else 1900, 1500).size == 1900  # nearer as a ratio
    assert find_width(lambda m: 1000 if m < 2 else 1900, 1200).size == 1000


def test_find_width_passes_over_what_cannot_be_built() -> None:
    assert find_width(lambda m: None if m < 0.5 else int(1000 * m), 100).width_multiplier == pytest.approx(
        0.5, abs=0.01
    )
    with pytest.raises(ValueError, match=r"no width from 0\.0625 to 16 can be built"):
        find_width(lambda m: None, 100)


def test_find_width_keeps_the_start_where_it_is_as_good() -> None:
    assert find_width(lambda m: 500, 500, start=1.25).width_multiplier == 1.25


@pytest.mark.parametrize("measure", ["params", "macs"])
@pytest.mark.parametrize(
    ("path", "value"), [("operator.kind", "regular"), ("middle.modules", 8), ("activation", "gelu")]
)
def test_variants_come_within_two_percent(measure: Any, path: str, value: Any) -> None:
    baseline = xception_preset("cifar_small")
    variant = baseline.replace_at(path, value)
    found = match(variant, baseline, measure, input_size=32)
    assert found.is_matched
    assert abs(found.ratio - 1) <= TOLERANCE
    assert found.size == size(found.config, measure, 32)
    assert found.target == size(baseline, measure, 32)
    assert found.config.replace(width_multiplier=1.0) == variant
    assert f"({100 * (found.ratio - 1):+.2f} %)" in str(found)


def test_a_variant_of_the_same_size_is_left_as_it_is() -> None:
    baseline = xception_preset("cifar_small")
    variant = baseline.replace_at("activation", "gelu")
    assert match(variant, baseline, "params", input_size=32).config == variant


def test_discreteness_is_reported_not_hidden() -> None:
    baseline = xception_preset("cifar_tiny")
    variant = baseline.replace(
        norm=baseline.norm.replace(kind="group", groups=16)
    )  # widths in steps of sixteen channels
    found = match(variant, baseline.replace(width_multiplier=1.1), "macs", input_size=32)
    assert not found.is_matched
    assert abs(found.ratio - 1) > TOLERANCE
    assert found.size == size(found.config, "macs", 32)


@pytest.mark.parametrize("factor", [0.3, 0.95, 1.0, 2.5])
@pytest.mark.parametrize("count", [3, 5])
def test_the_baseline_is_planned_on_both_sides(factor: float, count: int) -> None:
    baseline = xception_preset("cifar_small")
    macs = round(factor * size(baseline, "macs", 32))
    widths = baseline_widths(baseline, [macs], input_size=32, count=count)
    sizes = [size(config, "macs", 32) for config in widths]
    assert sizes == sorted(set(sizes))
    assert len(widths) == count
    assert sizes[0] <= macs <= sizes[-1]
    assert baseline in widths


def test_wrong_use() -> None:
    baseline = xception_preset("cifar_tiny")
    with pytest.raises(ValueError, match="measure: 'flops' is not allowed; params or macs"):
        match(baseline, baseline, cast("Any", "flops"), input_size=32)
    with pytest.raises(ValueError, match="count: 2 is not allowed; 3 or more"):
        baseline_widths(baseline, [1000], input_size=32, count=2)
    with pytest.raises(ValueError, match="macs: 1 is not allowed"):
        baseline_widths(baseline, [1], input_size=32)
