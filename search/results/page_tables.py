"""Tables of candidates as the page of a search shows them: percent, SI prefixes, and no empty columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablations.reporting.markup import Cell, Column, DisplayTable
from xception.base import formatting as f

__all__ = ["candidates_table", "limits_in_words", "sizes_in_words"]

_NONE = "–"


@dataclass(frozen=True, kw_only=True)
class _Quantity:
    """How a measured quantity is written: the title of its column, its text in a cell, and its text in a sentence."""

    title: str
    text: Callable[[object], str]
    phrase: str  # with the number as {}


_QUANTITIES = {
    "val_accuracy": _Quantity(title="validation accuracy (%)", text=f.percent, phrase="{} % validation accuracy"),
    "macs": _Quantity(title="MACs", text=f.count, phrase="{} MACs"),
    "params": _Quantity(title="parameters", text=f.count, phrase="{} parameters"),
    "latency_ms": _Quantity(title="latency (ms)", text=f.milliseconds, phrase="{} ms of latency"),
}
_TITLES = {"is_on_front": "on the front", "sampler_seconds": "time of the sampler", "trainings": "whole trainings"}
_TEXTS: Mapping[str, Callable[[object], str]] = {"sampler_seconds": f.seconds}


def candidates_table(frame: pd.DataFrame, caption: str) -> DisplayTable:
    """Return a row per candidate of a frame such as `trials.csv`; columns without a value are left out."""
    known = frame.loc[:, [name for name in frame if frame[name].map(_is_known).any()]]
    columns = tuple(
        Column(title=_title(str(name)), numeric=pd.api.types.is_numeric_dtype(known[name].infer_objects()))
        for name in known
    )
    cells = [[_cell(str(name), value) for value in known[name]] for name in known]
    return DisplayTable(caption=caption, columns=columns, rows=tuple(zip(*cells, strict=True)))


def limits_in_words(limits: Mapping[str, float]) -> str:
    """Return the highest allowed values of quantities: "20.0 M MACs and 6.00 ms of latency"."""
    return f.join_words(_phrase(name, high) for name, high in limits.items())


def sizes_in_words(values: Mapping[str, float]) -> str:
    """Return quantities in words: "22.8 M MACs, 194 k parameters"."""
    return ", ".join(_phrase(name, value) for name, value in values.items())


def _phrase(name: str, value: float) -> str:
    quantity = _QUANTITIES.get(name)
    return f"{value:,.4g} {name}" if quantity is None else quantity.phrase.format(quantity.text(value))


def _title(name: str) -> str:
    quantity = _QUANTITIES.get(name)
    return quantity.title if quantity is not None else _TITLES.get(name, name.replace("_", " "))


def _is_known(value: Any) -> bool:
    return value is not None and not pd.isna(value) and value != ""


def _cell(name: str, value: object) -> Cell:
    if not _is_known(value):
        return Cell(text=_NONE)
    if isinstance(value, bool):
        return Cell(text="yes" if value else "no", order=int(value))
    if not f.is_number(value):
        return Cell(text=str(value).replace("_", " "), order=str(value))
    number = float(value)  # type: ignore[arg-type]  # is_number said so
    quantity = _QUANTITIES.get(name)
    if quantity is not None:
        return Cell(text=quantity.text(number), order=number)
    if name in _TEXTS:
        return Cell(text=_TEXTS[name](number), order=number)
    return Cell(text=f"{number:,.0f}" if number.is_integer() else f"{number:,.4g}", order=number)
