"""Figures of measurements: the roofline, and MACs against latency. Each takes a frame and returns a figure; saving is
the caller's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from xception.base.drawing import load_matplotlib
from xception.profile.roofline import NETWORK, Ceilings, time_by_kind

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_macs_against_latency", "plot_roofline"]

# The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/) with a marker each, so that kinds differ in greyscale
# too.
_MARKS = {
    "depthwise": ("#d55e00", "v"),
    "pointwise": ("#0072b2", "o"),
    "regular": ("#009e73", "s"),
    "linear": ("#cc79a7", "D"),
    "other": ("#777777", "X"),
    NETWORK: ("#1a1a1a", "*"),
}
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
_HORIZONTAL, _VERTICAL = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}
_INK, _GREY = "#1a1a1a", "#777777"
_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
}


def plot_roofline(frame: pd.DataFrame, ceilings: Ceilings) -> Figure:
    """Draw each network's layers under the two ceilings, one panel per network; x is MACs per byte, y 10⁹ MACs per
    second.

    Layers without MACs cannot be drawn on these axes; the legend gives their share of the layers' time.
    """
    load_matplotlib()
    from matplotlib.figure import Figure

    shown = _timed(frame)
    names = list(dict.fromkeys(shown["network"]))
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    with _style():
        figure = Figure(figsize=(3.45 * columns if columns > 1 else 5.2, 3.9 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        low, high = shown["intensity"].min() / 2, max(shown["intensity"].max(), ceilings.ridge) * 12
        top = max(ceilings.macs_per_second, shown["macs_per_second"].max()) / 1e9
        for axes in panels[: len(names)]:
            axes.set(
                xscale="log",
                yscale="log",
                xlabel="intensity (MACs per byte moved)",
                ylabel="rate (10⁹ MACs per second)",
            )
            axes.set_xlim(low, high)
            axes.set_ylim(shown["macs_per_second"].min() / 2e9, top * 2.5)
        for axes, name in zip(panels, names, strict=False):
            _draw_roofline(axes, frame[frame["network"] == name], ceilings)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        figure.suptitle(
            f"Layers under the measured ceilings of {ceilings.device_name}; time shares are of layers timed alone",
            fontsize=8,
        )
    return figure


def _draw_roofline(axes: Axes, frame: pd.DataFrame, ceilings: Ceilings) -> None:
    import numpy as np

    load_matplotlib()
    from matplotlib.lines import Line2D

    network, parts = frame[frame["kind"] == NETWORK].iloc[0], time_by_kind(frame)
    handles: list[Line2D] = []
    for part in parts[parts["macs"] > 0].to_dict("records"):
        colour, marker = _MARKS.get(part["kind"], _MARKS["other"])
        layers = frame[(frame["kind"] == part["kind"]) & (frame["macs"] > 0)].drop_duplicates(
            ["intensity", "latency_ms"]
        )
        axes.scatter(
            layers["intensity"],
            layers["macs_per_second"] / 1e9,
            s=20,
            c=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
        )
        text = (
            f"{part['kind']}: {100 * part['share_of_macs']:.0f} % of MACs, {100 * part['share_of_time']:.0f} % of time"
        )
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=text))
    idle = parts.loc[parts["macs"] == 0, "share_of_time"].sum()
    handles.append(
        Line2D([], [], linestyle="", label=f"norm, activation, pooling: no MACs, {100 * idle:.0f} % of time")
    )
    if network["latency_ms"] == network["latency_ms"]:  # not NaN
        colour, marker = _MARKS[NETWORK]
        axes.scatter(
            [network["intensity"]],
            [network["macs_per_second"] / 1e9],
            s=90,
            c=colour,
            marker=marker,
            linewidths=0,
            zorder=4,
        )
        text = f"whole network: {100 * network['share']:.0f} % of the attainable rate"
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=text))
    x = np.geomspace(*axes.get_xlim(), 200)
    roof = np.minimum(x * ceilings.bytes_per_second, ceilings.macs_per_second) / 1e9
    axes.plot(x, roof, color=_INK, linewidth=1.2, zorder=3)
    product = f"matrix product\n{ceilings.macs_per_second / 1e9:,.3g}·10⁹ MAC/s"
    axes.annotate(product, (x[-1], roof[-1]), (-3, -3), textcoords="offset points", ha="right", va="top", fontsize=6.5)
    _along(axes, x, roof, f"copy, {ceilings.bytes_per_second / 1e9:,.3g} GB/s")
    axes.legend(handles=handles, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=6.5)
    axes.set_title(network["network"])


def plot_macs_against_latency(frame: pd.DataFrame) -> Figure:
    """Draw MACs against the median latency of every row, one panel per device, with the interval of the median.

    Columns used: name, macs, latency_ms, low_ms, high_ms, n and latency_device; rows without a time are left out. Grey
    diagonals are equal rates: if MACs alone determined latency, the points would be on one of them.
    """
    import numpy as np

    load_matplotlib()
    from matplotlib.figure import Figure

    shown = _timed(frame)
    devices = list(dict.fromkeys(shown["latency_device"]))
    with _style():
        figure = Figure(figsize=(min(6.9, 4.4 + 2.5 * (len(devices) - 1)), 3.8), layout="constrained")
        panels = figure.subplots(1, len(devices), squeeze=False)[0]
        for axes, device in zip(panels, devices, strict=True):
            part = shown[shown["latency_device"] == device]
            axes.set(xscale="log", yscale="log", xlabel="work (10⁶ MACs of one call)", ylabel="latency (ms, median)")
            macs, latency = part["macs"] / 1e6, part["latency_ms"]
            axes.errorbar(
                macs,
                latency,
                yerr=[latency - part["low_ms"], part["high_ms"] - latency],
                fmt="o",
                color=_MARKS["pointwise"][0],
                markersize=4,
                elinewidth=1,
                capsize=2,
            )
            axes.set_xlim(macs.min() / 2.5, macs.max() * 4)
            axes.set_ylim(latency.min() / 2, latency.max() * 2)
            rates = part["macs"] / (latency * 1e6)  # 10⁹ MACs per second
            for rate in 10.0 ** np.arange(np.floor(np.log10(rates.min())), np.ceil(np.log10(rates.max())) + 1):
                axes.axline((1, 1 / rate), (10, 10 / rate), color=_GREY, linewidth=0.5, alpha=0.5, zorder=0)
                _on_edge(axes, rate)
            _label(axes, list(zip(macs, latency, part["name"], strict=True)))
            axes.set_title(f"{device}\nn ≥ {part['n'].min()} samples, bars: 95 % interval of the median")
    return figure


def _style() -> AbstractContextManager[None]:
    load_matplotlib()
    import matplotlib as mpl
    import seaborn as sns

    settings: dict[Any, Any] = {**sns.axes_style("ticks"), **_STYLE}
    return mpl.rc_context(settings)


def _along(axes: Axes, x: Any, roof: Any, text: str) -> None:
    """Write along the slope of the roof, rotated by its angle on the page."""
    import numpy as np

    rising = np.flatnonzero(roof < roof[-1] * 0.999)
    if len(rising) > 1:
        at = rising[len(rising) // 2]
        angle = np.degrees(np.arctan2(roof[at], x[at]))  # of a straight line on two logarithmic axes
        axes.text(
            x[at],
            roof[at] * 1.12,
            text,
            rotation=angle,
            transform_rotates_text=True,
            rotation_mode="anchor",
            ha="center",
            va="bottom",
            fontsize=6.5,
        )


def _on_edge(axes: Axes, rate: float) -> None:
    """Name a line of equal rate where it leaves the axes at the top or on the right."""
    (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    x, y = min(right, top * rate), min(top, right / rate)
    if x > axes.get_xlim()[0] and y > axes.get_ylim()[0]:
        axes.annotate(
            f"{rate:g}·10⁹ MAC/s",
            (x, y),
            (-2, -2),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=6,
            color=_GREY,
        )


def _label(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each label next to its point, at the first position around it where it covers no other label and no point.

    A label for which there is no such place is left out rather than printed over another.
    """
    load_matplotlib()
    from matplotlib.transforms import Bbox

    _lay_out(axes)
    half = axes.figure.dpi / 72 * 4
    marks = axes.transData.transform([(x, y) for x, y, _ in points])
    taken = [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in marks]
    taken += [text.get_window_extent() for text in axes.texts]
    inside = axes.get_window_extent()
    for i in sorted(range(len(points)), key=lambda i: points[i][1]):
        x, y, name = points[i]
        for distance, (dx, dy) in itertools.product((6, 12, 20, 30, 42, 56), _AROUND):
            leader = {"arrowstyle": "-", "color": _GREY, "linewidth": 0.5} if distance > 12 else None
            text = axes.annotate(
                name,
                (x, y),
                (dx * distance, dy * distance),
                textcoords="offset points",
                fontsize=7,
                arrowprops=leader,
                ha=_HORIZONTAL[dx],
                va=_VERTICAL[dy],
            )
            box = text.get_window_extent()
            free = not any(box.overlaps(other) for j, other in enumerate(taken) if j != i)
            if free and inside.x0 < box.x0 and box.x1 < inside.x1 and inside.y0 < box.y0 and box.y1 < inside.y1:
                taken.append(box)
                break
            text.remove()


def _lay_out(axes: Axes) -> None:
    """Fix the layout, so that positions on the page are final."""
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.draw_without_rendering()


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with MACs and a time."""
    shown = frame[(frame["macs"] > 0) & frame["latency_ms"].notna()]
    if shown.empty:
        raise ValueError("frame: no row has both MACs and a measured time")
    return shown
