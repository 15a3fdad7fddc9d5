"""Configs: typed on construction, one JSON text per value, and errors that name field, value and what is
allowed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xception.base.canonical import Config, canonical_json, difference, from_json, from_plain, key_of, to_plain


class Colour(Config):
    """A part with every kind of field."""

    name: Literal["red", "blue"] = "red"
    weight: float = 1.0


class Shape(Config):
    """Another part, for choices between two."""

    sides: int = 3


class Whole(Config):
    """A config of parts."""

    part: Colour | Shape
    count: int = 2
    ratio: float | None = None
    sizes: tuple[int, ...] = (1, 2)
    colour: Colour = Colour()

    def validate(self) -> None:
        """Hold a rule across fields."""
        if self.count < 0:
            raise ValueError(f"Whole.count: {self.count} is not allowed; 0 or more")


wholes = st.builds(
    Whole,
    part=st.one_of(
        st.builds(
            Colour, name=st.sampled_from(["red", "blue"]), weight=st.floats(allow_nan=False, allow_infinity=False)
        ),
        st.builds(Shape, sides=st.integers()),
    ),
    count=st.integers(min_value=0),
    ratio=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60)),
    sizes=st.lists(st.integers()).map(tuple),
)


# At the first draw in a process Hypothesis reads the source of every imported module of ours, which can take seconds.
# Its check for slow strategies allows for that only without a deadline.
patient = settings(deadline=None)


@patient
@given(wholes)
def test_json_gives_the_same_config_and_key(whole: Whole) -> None:
    again = from_json(Whole, canonical_json(whole))
    assert again == whole
    assert key_of(again) == key_of(whole)


@patient
@given(wholes, wholes)
def test_keys_are_equal_exactly_where_configs_are(a: Whole, b: Whole) -> None:
    assert (key_of(a) == key_of(b)) == (a == b)
    assert (difference(a, b) == {}) == (a == b)


def test_defaults_are_left_out_and_choices_are_tagged() -> None:
    assert canonical_json(Whole(part=Shape())) == '{"part":{"type":"Shape"}}'
    assert canonical_json(Whole(part=Colour(weight=2), colour=Colour(name="blue"))) == (
        '{"colour":{"name":"blue"},"part":{"type":"Colour","weight":2}}'
    )


def test_a_new_field_with_a_default_keeps_every_key() -> None:
    class Before(Config):
        x: int

    class After(Config):
        x: int
        y: Literal["none", "some"] = "none"

    assert key_of(Before(x=1)) == key_of(After(x=1)) != key_of(After(x=1, y="some"))


@pytest.mark.parametrize(
    ("written", "number"), [(1, 1.0), (1.0, 1.0), (-0.0, 0.0), (1e300, 1e300), (0.1, 0.1), (2**53, 2.0**53)]
)
def test_a_number_has_one_text(written: float, number: float) -> None:
    assert key_of(Colour(weight=written)) == key_of(Colour(weight=number))
    assert json.loads(canonical_json(Colour(weight=number))).get("weight", 1.0) == number


def test_the_key_does_not_depend_on_the_process() -> None:
    code = "from xception.base.canonical import key_of; print(key_of({'b': [1.0, 'ä'], 'a': None}))"
    keys = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1")
    }
    assert keys == {key_of({"b": [1.0, "ä"], "a": None}) + "\n"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"part": 3}, "Whole.part: 3 is not allowed"),
        ({"part": Shape(), "count": 1.5}, "Whole.count: 1.5 is not allowed; allowed: int"),
        ({"part": Shape(), "count": True}, "Whole.count: True"),
        ({"part": Shape(), "count": -1}, "Whole.count: -1 is not allowed; 0 or more"),
        ({"part": Shape(), "ratio": float("nan")}, "Whole.ratio: nan"),
        ({"part": Shape(), "ratio": float("inf")}, "Whole.ratio: inf"),
        ({"part": Shape(), "ratio": 10**400}, "Whole.ratio: an integer beyond the range"),
        ({"part": Shape(), "sizes": (1, "2")}, r"Whole.sizes\[1\]: '2'"),
    ],
)
def test_wrong_values_are_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Whole(**fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("[]", r"Whole: \[\] is not allowed"),
        ("{}", "Whole.part: missing"),
        ('{"part":{}}', "Whole.part.type: None is not allowed; allowed: Colour, Shape"),
        ('{"part":{"type":["x"]}}', "Whole.part.type"),
        ('{"part":{"type":"Shape"},"colours":1}', "Whole.colours: no such field"),
        ('{"part":{"type":"Shape","sides":"3"}}', "Whole.part.sides: '3'"),
        ('{"part":{"type":"Shape"},"part":{"type":"Colour"}}', "occurs twice"),
        ('{"part":{"type":"Colour","weight":NaN}}', "NaN"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\xfa", "not UTF-8"),
    ],
)
def test_wrong_json_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(Whole, text)


def test_dotted_paths() -> None:
    whole = Whole(part=Shape())
    changed = whole.replace_at("colour.weight", 3).replace_at("count", 5)
    assert changed.at("colour.weight") == 3.0
    assert difference(whole, changed) == {"count": (2, 5), "colour.weight": (1.0, 3.0)}
    for path in ("nothing", "colour.nothing", "count.deeper"):
        with pytest.raises(ValueError, match=r"no field|has no field"):
            whole.replace_at(path, 1)
        with pytest.raises(ValueError, match=r"no field|has no field"):
            whole.at(path)
    with pytest.raises(ValueError, match="no field other"):
        whole.replace(other=1)


def test_plain_values_round_trip() -> None:
    whole = Whole(part=Colour(name="blue"), ratio=0.25, sizes=())
    assert to_plain(whole) == {"part": {"type": "Colour", "name": "blue"}, "ratio": 0.25, "sizes": []}
    assert from_plain(Whole, to_plain(whole)) == whole


def test_configs_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Shape().sides = 4  # type: ignore[misc]
