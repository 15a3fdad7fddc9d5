"""What fits on a page of limited size: the text of each study first, then the first figure of every study, then the
second ones, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

__all__ = ["MOST_BYTES", "FittedStudies", "fitted_studies", "size_of"]

MOST_BYTES = 3_000_000

Study = Mapping[str, Any]  # what the template shows of a study; `figures` are those that it has
Figures = Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class FittedStudies:
    """The studies that fit on a page with their sections, and the others."""

    studies: Sequence[Study] = ()
    sections: Sequence[Markup] = ()
    others: Sequence[Study] = ()


def size_of(text: str) -> int:
    """Return the bytes of a text in a file."""
    return len(text.encode())


def fitted_studies(
    studies: Sequence[Study], render: Callable[[Study, Figures, Sequence[str]], str], *, room: int
) -> FittedStudies:
    """Return the sections that `render` makes of studies, their figures and the names of those left out, in at most
    `room` bytes; the first study is there however large its text is.
    """
    num = 0
    for study in studies:
        size = size_of(render(study, (), [figure["name"] for figure in study["figures"]]))
        if num and size > room:
            break
        room, num = room - size, num + 1
    shown = studies[:num]
    chosen: list[list[Mapping[str, str]]] = [[] for _ in shown]
    for place in range(max((len(study["figures"]) for study in shown), default=0)):
        for study, own in zip(shown, chosen, strict=True):
            figure = study["figures"][place] if place < len(study["figures"]) else None
            if figure is not None and _size(figure) <= room:
                own.append(figure)
                room -= _size(figure)
    sections = []
    for study, own in zip(shown, chosen, strict=True):
        there = {figure["name"] for figure in own}
        left_out = [figure["name"] for figure in study["figures"] if figure["name"] not in there]
        sections.append(Markup(render(study, own, left_out)))
    return FittedStudies(studies=shown, sections=sections, others=studies[num:])


def _size(figure: Mapping[str, str]) -> int:
    return sum(size_of(value) for value in figure.values()) + 100  # and the tags around it
