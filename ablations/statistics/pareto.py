"""Pareto fronts and their hypervolume: functions of points whose coordinates are to be minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["dominates", "front", "front_probability", "growing_hypervolumes", "hypervolume", "pareto_front"]

Point = Sequence[float]
Array = NDArray[np.float64]


def dominates(a: Point, b: Point) -> bool:
    """Whether a is nowhere worse than b and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other dominates, in order; of equal points all are kept."""
    ranked = sorted(range(len(points)), key=lambda i: tuple(points[i]))
    kept: list[int] = []
    for i in ranked:  # a point's dominators come before it
        if not any(dominates(points[k], points[i]) for k in kept):
            kept.append(i)
    return sorted(kept)


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return the indices of the points that no other beats (less cost, more value), by rising cost; of equal points the
    first.
    """
    points = [(cost, -value) for cost, value in zip(costs, values, strict=True)]
    first = {points[i]: i for i in reversed(front(points))}
    return [first[point] for point in sorted(first)]


def front_probability(
    costs: Sequence[float], values: ArrayLike, generator: np.random.Generator, draws: int = 4000
) -> NDArray[np.float64]:
    """Return the probability that each candidate is on the front of cost against the true mean of `values`
    (candidates, seeds), costs being known; NaN below two seeds.

    The means are drawn together from Student's t about their estimates, with their covariance over seeds, so that
    effects common to all candidates do not change their order. It is the posterior under a flat prior, and wide for few
    seeds.
    """
    x = np.asarray(values, dtype=np.float64)
    n = x.shape[1]
    if n < 2:
        return np.full(len(x), np.nan)
    deviations = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(n * (n - 1))
    scale = np.sqrt((n - 1) / generator.chisquare(n - 1, size=draws))
    means = x.mean(axis=1, keepdims=True) + deviations @ generator.standard_normal((n, draws)) * scale
    kept = np.empty(means.shape, dtype=np.bool_)
    best = np.full(draws, -np.inf)  # of all that cost less
    known = np.asarray(costs, dtype=np.float64)
    for cost in np.unique(known):
        own = np.flatnonzero(known == cost)
        most = means[own].max(axis=0)
        kept[own] = (means[own] >= most) & (means[own] > best)
        best = np.maximum(best, most)
    return np.asarray(kept.mean(axis=1))


def hypervolume(points: Array, reference: Array) -> float:
    """Return the volume that points (N, D) dominate below a reference point (D,), summed over slices along the last
    axis.
    """
    inside = points[(points < reference).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    edges = np.append(inside[1:, -1], reference[-1])
    return float(
        sum(
            hypervolume(inside[: i + 1, :-1], reference[:-1]) * (edges[i] - inside[i, -1])
            for i in range(len(inside))
            if edges[i] > inside[i, -1]
        )
    )


def growing_hypervolumes(points: Array) -> list[float]:
    """Return the hypervolume below (1, …, 1) of the first 1, 2, … points (N, D).

    It is computed again only where a point extends the front.
    """
    front, volumes, reference = np.empty((0, points.shape[1])), [0.0], np.ones(points.shape[1])
    for point in points:
        if (front <= point).all(axis=1).any():
            volumes.append(volumes[-1])
            continue
        front = np.vstack([front[~(front >= point).all(axis=1)], point])
        volumes.append(hypervolume(front, reference))
    return volumes[1:]
