"""The seeds that intervals beside the main ones are read from, and their level: all seeds at once, or look by look.

With seeds as needed a variant stops at a look because of its effect, and whatever else is estimated from the same seeds
is looked at as often. Repeated confidence intervals (Jennison and Turnbull 1984) hold whichever look is the last and
whatever rule stops: every interval has the level of its look, and all looks together that of the study.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ablations import statistics as st
from ablations.analysis.measurements import Measurements
from ablations.statistics.sequential import RUNNING

__all__ = ["decide_as_read", "looks_of", "reached_looks"]


def reached_looks(raced: st.Race) -> list[st.Look]:
    """Return the look that the intervals of each of K comparisons belong to: where it stopped, or the next."""
    running = (raced.state == RUNNING).tolist()
    return [st.LOOKS[taken if waits else taken - 1] for taken, waits in zip(raced.looks.tolist(), running, strict=True)]


def looks_of(measured: Measurements) -> list[st.Look]:
    """Return the look at which each of the K comparisons is read; a number of seeds fixed in advance is one look."""
    if not measured.is_sequential:
        return [st.Look(seeds=len(measured.seeds), alpha=st.ALPHA)] * len(measured.compared)
    return reached_looks(st.race(measured.differences, measured.margin, measured.ended_pairs, grid=measured.grid))


def decide_as_read(differences: st.Array, looks: Sequence[st.Look], *, grid: np.ndarray | None = None) -> st.Decisions:
    """Return the decisions, without a margin, on differences (rows, seeds) of which each row is read at its own look;
    all rows are one family at every look.
    """
    seeds = np.array([look.seeds for look in looks])
    places = np.arange(differences.shape[-1])
    out = st.decide(np.full((len(looks), 1), np.nan), None)
    for look in dict.fromkeys(looks):
        read = np.where(places < np.minimum(seeds, look.seeds)[:, np.newaxis], differences, np.nan)
        new = st.decide(read, None, look.alpha, grid=grid)
        own = np.array([one == look for one in looks])
        out = st.Decisions(
            **{
                f.name: np.where(own, getattr(new, f.name), getattr(out, f.name))
                for f in dataclasses.fields(st.Decisions)
            }
        )
    return out
