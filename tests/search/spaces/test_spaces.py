"""Spaces keep their promises: every suggestion is a valid config, every dimension has an effect, sizes are relative."""

from __future__ import annotations

import random

import pytest

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


def test_endless_spaces_have_no_grid() -> None:
    with pytest.raises(ValueError, match="--space: widths is not finite"):
        get_space("widths").grid()


def test_a_mistyped_space_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"--space: 'midle_flow' is not known; .*; did you mean middle_flow\?"):
        get_space("midle_flow")
