"""Spaces keep their promises: every suggestion is a valid config, every dimension has an effect, sizes are relative."""

from __future__ import annotations

import random

import pytest

from search.design.space import Choice, Integer, Real, Space, When, scaled
from search.spaces import get_space, names
from xception.base.canonical import difference
from xception.network import presets
from xception.network.config import XceptionConfig

BASES = ("cifar_tiny", "cifar_base", "paper", "keras", "aligned65")


def network(name: str) -> XceptionConfig:
    config = presets.get(name)
    assert isinstance(config, XceptionConfig)
    return config


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", [n for n in names() if not n.startswith("family_at")])
def test_every_suggestion_is_a_valid_config(name: str, base: str) -> None:
    space, generator = get_space(name), random.Random(1)
    configs = {space.config(network(base), space.draw(generator)) for _ in range(120)}
    assert len(configs) > (40 if name != "table" else 20)
    assert all(config.num_classes == network(base).num_classes for config in configs)


@pytest.mark.parametrize("name", [n for n in names() if not n.startswith("family_at")])
def test_every_dimension_changes_the_network(name: str) -> None:
    space, generator, base = get_space(name), random.Random(2), network("cifar_base")
    alive: set[str] = set()
    for _ in range(150):
        values = space.draw(generator)
        config = space.config(base, values)
        for other in space.neighbours(values):
            changed = [d for d in values if d in other and values[d] != other[d]]
            if len(changed) == 1 and difference(config, space.config(base, other)):
                alive.add(changed[0])
    assert alive == {dimension.name for dimension in space.dimensions}


def test_slices_limit_a_cost_around_the_network() -> None:
    assert get_space("family_at_macs").limits == {"macs": (0.95, 1.05)}
    assert get_space("family_at_params").limits == {"params": (0.95, 1.05)}


def test_grid_of_the_table_has_distinct_networks() -> None:
    space = get_space("table")
    configs = [space.config(network("cifar_tiny"), values) for values in space.grid()]
    assert len(configs) == len(set(configs)) == 72


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


def test_endless_spaces_have_no_grid() -> None:
    with pytest.raises(ValueError, match="--space: widths is not finite"):
        get_space("widths").grid()


def test_widths_stay_multiples_of_eight() -> None:
    assert [scaled(64, ratio) for ratio in (0.5, 0.77, 1.0, 0.01)] == [32, 48, 64, 8]


def test_a_mistyped_space_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"--space: 'midle_flow' is not known; .*; did you mean middle_flow\?"):
        get_space("midle_flow")
