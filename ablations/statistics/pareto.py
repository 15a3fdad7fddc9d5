"""Which candidates no other beats: plain functions of points whose coordinates are to be made small."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["dominates", "front", "pareto_front"]

Point = Sequence[float]


def dominates(a: Point, b: Point) -> bool:
    """Whether a is nowhere worse than b and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other dominates, in order; of equal points all stay."""
    ranked = sorted(range(len(points)), key=lambda i: tuple(points[i]))
    kept: list[int] = []
    for i in ranked:  # whoever dominates a point comes before it
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
