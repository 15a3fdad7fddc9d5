"""All figures that a study has data for, each with a text for those who do not see it, written as PNG, SVG and PDF."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.design.options import FigureStyle
from ablations.reporting import style
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ablations.analysis.calibration import CalibrationTables
    from ablations.analysis.predictions import PredictionTables

__all__ = [
    "SavedFigure",
    "StudyFigure",
    "confusion_figures",
    "distance_figures",
    "reliability_figures",
    "save_figure",
    "save_figures",
    "study_figures",
]

SPOKEN = 12  # variants whose numbers an alternative text reads out
PAIRS = 3  # pairs of factors that get figures


@dataclass(frozen=True, kw_only=True)
class StudyFigure:
    """A figure, the name of its files, the text that stands for it, and the numbers that it draws."""

    name: str
    alt: str
    figure: Figure
    data: pd.DataFrame | None = None

    def _repr_svg_(self) -> str:
        """Return what a notebook shows."""
        content = io.StringIO()
        with style.context():
            self.figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        return content.getvalue()


@dataclass(frozen=True, kw_only=True)
class SavedFigure:
    """A figure on disk, and its width in inches."""

    name: str
    alt: str
    png: Path
    svg: Path
    pdf: Path
    width: float = style.COLUMN_WIDTH

    def moved(self, old: Path, new: Path) -> SavedFigure:
        """Return the same figure after the folder that it is in has got another path."""
        paths = {kind: new / getattr(self, kind).relative_to(old) for kind in ("png", "svg", "pdf")}
        return replace(self, **paths)


def study_figures(
    frame: pd.DataFrame, comparison: pd.DataFrame, width: float = style.COLUMN_WIDTH
) -> list[StudyFigure]:
    """Return the figures of one study, that many inches wide, those first that answer its question; none where no trial
    has ended with a result.
    """
    return list(_figures(frame, comparison, width))


def distance_figures(
    frame: pd.DataFrame,
    curves: Sequence[Mapping[str, Any]],
    distances: pd.DataFrame | None,
    width: float = style.COLUMN_WIDTH,
) -> list[StudyFigure]:
    """Return a figure for each baseline that was trained at several widths, from a frame with their rows and the
    variants' distances.
    """
    from ablations.reporting.size_plots import size_plot

    figures = []
    for number, curve in enumerate(curves):
        assert distances is not None  # distances are computed wherever there are curves
        own = distances[distances["variant"].isin(curve["variants"])]
        figure = size_plot(frame, curve, own, width)
        if figure is not None:
            alt = (
                f"Test accuracy against MACs of {curve['baseline']} at several widths, and of"
                f" {f.join_words(curve['variants'])}; the distances are in distances.csv."
            )
            name = "distances" + (f"_{number + 1}" if number else "")
            drawn = frame[frame["variant"].isin([curve["baseline"], *curve["widths"], *curve["variants"]])]
            data = drawn[["variant", "seed", "macs", "test_accuracy"]]
            figures.append(StudyFigure(name=name, alt=alt, figure=figure, data=data))
    return figures


def confusion_figures(tables: PredictionTables, data: str, width: float = style.FULL_WIDTH) -> list[StudyFigure]:
    """Return the figure of the confusion matrices; none where no record keeps predictions or there are many classes."""
    from ablations.reporting.confusion_plots import confusion_plot

    figure = confusion_plot(tables.confusion, data=data, width=width)
    alt = (
        "Heat maps of the baseline's confusion matrix and of each variant's difference from it; the numbers are in"
        " confusion.csv."
    )
    return [] if figure is None else [StudyFigure(name="confusion", alt=alt, figure=figure, data=tables.confusion)]


def reliability_figures(tables: CalibrationTables, data: str, width: float = style.COLUMN_WIDTH) -> list[StudyFigure]:
    """Return the figure of the reliability curves; none where no record keeps confidences."""
    from ablations.reporting.calibration_plots import reliability_plot

    figure = reliability_plot(tables, data=data, width=width)
    alt = _spoken(
        "Accuracy by confidence, a curve for each variant; expected calibration errors",
        [f"{row['variant']} {f.percent(row['calibration_error_mean'])} %" for row in tables.summary.to_dict("records")],
    )
    return [] if figure is None else [StudyFigure(name="reliability", alt=alt, figure=figure, data=tables.bins)]


def save_figures(
    figures: Iterable[StudyFigure], folder: Path, *, figure_style: FigureStyle = "report"
) -> list[SavedFigure]:
    """Write each figure as `NAME.png` (300 dots per inch), `NAME.svg` and `NAME.pdf` (fonts embedded) into a folder,
    and the numbers that it draws as `NAME.csv`.

    With the style `paper` they have neither title nor note; `NAME.txt` has both, for a caption.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [save_figure(figure, folder, figure_style=figure_style) for figure in figures]


def save_figure(figure: StudyFigure, folder: Path, *, figure_style: FigureStyle = "report") -> SavedFigure:
    """Write one figure as PNG, SVG and PDF, with its numbers as CSV; equal figures give equal files."""
    from ablations.reporting.tables import csv_text

    if figure.data is not None:
        write_atomically(folder / f"{figure.name}.csv", csv_text(figure.data))
    if figure_style == "paper":
        title, note = style.without_words(figure.figure)
        write_atomically(folder / f"{figure.name}.txt", f"{title}. {note}\n")
    png, svg, pdf = (folder / f"{figure.name}.{kind}" for kind in ("png", "svg", "pdf"))
    nameless = {
        png: {"Software": None},
        svg: {"Date": None, "Creator": None},
        pdf: {"CreationDate": None, "Creator": None, "Producer": None},
    }
    with style.context():
        for path, metadata in nameless.items():
            content = io.BytesIO()
            figure.figure.savefig(content, format=path.suffix[1:], metadata=metadata)
            write_atomically(path, content.getvalue())
    width = float(figure.figure.get_figwidth())
    return SavedFigure(name=figure.name, alt=figure.alt, png=png, svg=svg, pdf=pdf, width=width)


def _figures(frame: pd.DataFrame, comparison: pd.DataFrame, width: float) -> Iterator[StudyFigure]:
    from ablations.reporting import plotted
    from ablations.reporting.accuracy_plots import forest_plot, paired_differences, strip_plot
    from ablations.reporting.cost_plots import COSTS, cost_plot, latency_plot
    from ablations.reporting.curve_plots import learning_curves
    from ablations.reporting.factor_plots import factor_heat_map, factor_pairs, interaction_plot
    from ablations.reporting.plot_rows import counted, references
    from ablations.reporting.tables import curves_frame

    if not frame["status"].isin(["complete", "diverged"]).any():
        return
    if len(paired_differences(counted(frame), references(frame))):
        yield StudyFigure(
            name="differences",
            alt=_differences_text(comparison),
            figure=forest_plot(frame, comparison, width=width),
            data=plotted.differences(frame, comparison),
        )
    yield StudyFigure(
        name="accuracy",
        alt=_accuracy_text(comparison),
        figure=strip_plot(frame, comparison, width=width),
        data=plotted.accuracies(frame, comparison),
    )
    if curves_frame(frame)["val_accuracy"].notna().any():
        yield StudyFigure(
            name="learning_curves",
            alt=(
                "Validation accuracy in percent by epoch, the mean over seeds of each variant with the "
                "band from the lowest to the highest seed."
            ),
            figure=learning_curves(frame, comparison, width=width),
            data=plotted.curves(frame),
        )
    for rows, columns in factor_pairs(frame)[:PAIRS]:
        name = _file_name(f"{rows}_{columns}")
        yield StudyFigure(
            name=f"factors_{name}",
            alt=f"Heat map of mean test accuracy by {rows} and {columns}; the numbers are in the table.",
            figure=factor_heat_map(frame, rows, columns, width=width),
            data=plotted.factors(frame, rows, columns),
        )
        yield StudyFigure(
            name=f"interaction_{name}",
            alt=f"Mean test accuracy across {rows}, a line for each level of {columns}.",
            figure=interaction_plot(frame, rows, columns, width=width),
            data=plotted.factors(frame, rows, columns),
        )
    shown = comparison[comparison["test_accuracy_mean"].notna()]
    for cost, label in COSTS.items():
        if cost in shown and shown[cost].nunique() > 1:
            yield StudyFigure(
                name=f"accuracy_{cost}",
                alt=f"Test accuracy in percent against {label}, with the Pareto front; the numbers are in the table.",
                figure=cost_plot(frame, comparison, cost, width=width),
                data=plotted.costs(shown, cost),
            )
    if "latency_ms" in comparison and comparison["macs"].notna().mul(comparison["latency_ms"].notna()).sum() > 1:
        yield StudyFigure(
            name="macs_latency",
            alt="Latency in milliseconds against MACs, a point for each variant; the numbers are in the table.",
            figure=latency_plot(frame, comparison, width=width),
            data=plotted.costs(comparison, "macs", "latency_ms"),
        )


def _accuracy_text(comparison: pd.DataFrame) -> str:
    return _spoken(
        "Test accuracy, each seed a point",
        [
            f"{row['variant']} {f.percent(row['test_accuracy_mean'])} %"
            for row in comparison.to_dict("records")
            if f.is_number(row["test_accuracy_mean"])
        ],
    )


def _differences_text(comparison: pd.DataFrame) -> str:
    return _spoken(
        "Paired differences from the baseline in percentage points, with 95 % intervals",
        [
            f"{row['variant']} {f.points(row['delta_mean'])}"
            f" {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}, {row['verdict']}"
            for row in comparison.to_dict("records")
            if row["verdict"] != "baseline" and f.is_number(row["delta_mean"])
        ],
    )


def _spoken(what: str, parts: list[str]) -> str:
    more = f"; and {len(parts) - SPOKEN} more, in the table" if len(parts) > SPOKEN else ""
    return f"{what}: {'; '.join(parts[:SPOKEN])}{more}."


def _file_name(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)[:60]
