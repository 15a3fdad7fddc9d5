"""Spaces as dimensions with conditions: grids, draws, neighbours, positions and digests."""

from __future__ import annotations

import random

import pytest

from search.design.space import Choice, Integer, Real, Space, When, scaled

SMALL = Space(
    name="small",
    question="?",
    dimensions=(
        Integer(name="a", low=0, high=2),
        Choice(name="b", options=("x", "y"), when=(When("a", (1, 2)),)),
        Choice(name="c", options=(True, False), when=(When("b", ("y",)),)),
    ),
    build=lambda base, values: base,
)


def test_conditions_chain() -> None:
    grid = list(SMALL.grid())
    assert grid == [
        {"a": 0},
        *({"a": a, **rest} for a in (1, 2) for rest in ({"b": "x"}, {"b": "y", "c": True}, {"b": "y", "c": False})),
    ]


def test_draws_reach_the_whole_grid_and_nothing_else() -> None:
    generator = random.Random(0)
    drawn = {frozenset(SMALL.draw(generator).items()) for _ in range(400)}
    assert drawn == {frozenset(values.items()) for values in SMALL.grid()}


def test_neighbours_differ_in_one_dimension() -> None:
    found = list(SMALL.neighbours({"a": 1, "b": "x"}))
    assert {"a": 0} in found
    assert {"a": 2, "b": "x"} in found
    assert {"a": 1, "b": "y", "c": False} in found  # a dimension that becomes active gets its middle value
    assert len(found) == 3


def test_places_in_the_unit_interval_cover_a_dimension_evenly() -> None:
    integer, choice = Integer(name="i", low=3, high=6), Choice(name="c", options=("x", "y", "z"))
    assert [integer.at(u) for u in (0.0, 0.26, 0.51, 0.999)] == [3, 4, 5, 6]
    assert [choice.at(u) for u in (0.0, 0.34, 0.999)] == ["x", "y", "z"]
    real = Real(name="r", low=0.5, high=2.0, log=True)
    assert real.at(0.5) == pytest.approx(1.0)


def test_digest_follows_the_definition() -> None:
    wider = Space(
        name="small",
        question="?",
        dimensions=(Integer(name="a", low=0, high=3), *SMALL.dimensions[1:]),
        build=SMALL.build,
    )
    renewed = Space(name="small", question="?", dimensions=SMALL.dimensions, build=SMALL.build, version=2)
    reworded = Space(name="small", question="Why?", dimensions=SMALL.dimensions, build=SMALL.build)
    assert len({SMALL.digest, wider.digest, renewed.digest}) == 3
    assert reworded.digest == SMALL.digest


def test_a_condition_must_follow_what_it_asks_for() -> None:
    with pytest.raises(ValueError, match=r"bad\.b: its condition 'a' is not a dimension before it"):
        Space(
            name="bad",
            question="?",
            dimensions=(Choice(name="b", options=(1,), when=(When("a", (1,)),)),),
            build=SMALL.build,
        )


def test_widths_stay_multiples_of_eight() -> None:
    assert [scaled(64, ratio) for ratio in (0.5, 0.77, 1.0, 0.01)] == [32, 48, 64, 8]
