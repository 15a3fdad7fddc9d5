"""What a page needs for interactive figures: the data and Vega-Lite specification of each, and the scripts.

Vega (https://vega.github.io) comes from the installed package vl-convert-python when a page is written; without it
pages keep their static figures. It runs with its expression interpreter, so that a page needs no `eval` in its policy:
each script is named by its hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ablations.reporting import style
from ablations.reporting.templates import read
from xception.base.errors import DataError
from xception.base.files import cache_dir, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

__all__ = [
    "HOW_TO_EXPLORE",
    "Choice",
    "Explorable",
    "ExplorableFigure",
    "Filter",
    "can_explore",
    "colours",
    "encoded",
    "page_parts",
]

PACKAGE = "vl-convert-python"
HOW_TO_EXPLORE = (
    f"The figures on this page are static. With the package {PACKAGE} installed (the extra 'report'), pages are written"
    " with interactive ones: values on hover, filters and zoom."
)
MOST_ROWS = 10_000  # of one figure; browsers are slow to draw more
MOST_BYTES = 1_000_000  # of all data of one page, which stays below 3 MB with its static figures and Vega
DIGITS = 6  # significant
CURRENT = "currentColor"  # the page's ink, light or dark


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A column whose values can be switched on and off in every figure, each with its colour where it has one."""

    field: str
    title: str
    values: Sequence[Any]
    colours: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A choice between options, each with the places of the specification that it sets, as `encoding.x.scale.type`."""

    title: str
    options: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class ExplorableFigure:
    """A Vega-Lite specification of named data, with what a reader can change.

    `replaces` are the names of the static figures that show the same; `zoom` the channels that can be zoomed; `domains`
    the places of the specification that list the values of a filter that are switched on, each value a row of `row`
    pixels where that is not 0. With a `row_field`, rows are the values of that column instead.
    """

    title: str
    note: str
    spec: Mapping[str, Any]
    data: Mapping[str, pd.DataFrame]
    replaces: Sequence[str] = ()
    zoom: Sequence[str] = ("x", "y")
    choices: Sequence[Choice] = ()
    domains: Mapping[str, str] = field(default_factory=dict)
    row: int = 0
    row_field: str = ""


@dataclass(frozen=True, kw_only=True)
class Explorable:
    """Figures that share their filters."""

    filters: Sequence[Filter]
    figures: Sequence[ExplorableFigure]


def can_explore() -> bool:
    """Whether the package that interactive figures need is installed."""
    return _vega() is not None


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name; the first is the page's ink, which is visible in light and dark."""
    palette = (CURRENT, *style.PALETTE[1:])
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def page_parts(parts: Sequence[Explorable | None], more: Sequence[str] = ()) -> dict[str, Any]:
    """Return what every page's template gets: `styles`, `scripts`, their `policy`, and `explored`, one text (or None)
    for each part, in order; `more` are further scripts beside the templates.

    A figure of more than 10,000 rows stays static, and so do those beyond 1 MB of data, the last ones first.
    """
    from markupsafe import Markup

    vega = _vega() if any(part is not None and part.figures for part in parts) else None
    texts: list[Markup | None] = [None] * len(parts)
    if vega is not None:
        left = MOST_BYTES
        for number, part in enumerate(parts):
            texts[number], left = _within(part, left)
    scripts = [read(name) for name in ("report.js", *more)]
    if any(text is not None for text in texts):
        assert vega is not None
        scripts += [vega, read("explore.js")]
    return {
        "styles": read("report.css"),
        "scripts": scripts,
        "policy": Markup(" ".join(f"'sha256-{_digest(script)}'" for script in scripts)),
        "explored": texts,
        "how_to_explore": "" if vega is not None or not any(parts) else HOW_TO_EXPLORE,
    }


def encoded(frame: pd.DataFrame) -> dict[str, Any]:
    """Return a frame by column, numbers with six digits, texts as places in the list of distinct ones."""
    import pandas as pd

    out: dict[str, Any] = {}
    for name in frame:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            out[str(name)] = [_number(value) for value in column.tolist()]
        else:
            texts = [str(value) for value in column]
            known = {text: place for place, text in enumerate(dict.fromkeys(texts))}
            out[str(name)] = {"of": list(known), "at": [known[text] for text in texts]}
    return out


def _within(part: Explorable | None, left: int) -> tuple[Markup | None, int]:
    """The data of a part, without the figures for which there is no room, and the room that is left after it."""
    from markupsafe import Markup

    figures: list[dict[str, Any]] = []
    for figure in part.figures if part is not None else ():
        if max(len(frame) for frame in figure.data.values()) > MOST_ROWS:
            continue
        content = {
            "title": figure.title,
            "note": figure.note,
            "spec": figure.spec,
            "data": {name: encoded(frame) for name, frame in figure.data.items()},
            "replaces": list(figure.replaces),
            "zoom": list(figure.zoom),
            "choices": [{"title": one.title, "options": one.options} for one in figure.choices],
            "domains": dict(figure.domains),
            "row": figure.row,
            "row_field": figure.row_field,
        }
        size = len(_json(content))
        if size <= left:
            figures.append(content)
            left -= size
    if part is None or not figures:
        return None, left
    filters = [
        {"field": one.field, "title": one.title, "values": list(one.values), "colours": list(one.colours)}
        for one in part.filters
    ]
    return Markup(_json({"filters": filters, "figures": figures})), left


def _json(value: object) -> str:
    """JSON that no parser of HTML takes for the end of a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _number(value: Any) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(f"{value:.{DIGITS}g}")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@functools.cache
def _vega() -> Markup | None:
    """Vega, Vega-Lite and Vega-Embed as one script; None where the package is not installed.

    Making it takes more than a second, so that it is kept in the user's cache by the package's version.
    """
    from markupsafe import Markup

    if find_spec("vl_convert") is None:
        return None
    try:
        kept = cache_dir() / f"vega-{metadata.version(PACKAGE)}.js"
        if not kept.is_file():
            write_atomically(kept, _bundle())
        return Markup(kept.read_text(encoding="utf-8"))
    except (DataError, OSError):  # no folder to keep it in
        return Markup(_bundle())


def _bundle() -> str:
    import vl_convert

    text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return f'(() => {{"use strict";\n{text}\n}})();\n'
