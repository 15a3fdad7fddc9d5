"""The tables and figures of Chollet 2017 (arXiv:1610.02357) cell by cell: the published value, ours, and what ours is
worth.

A cell is *reproduced* where the same quantity comes out (counts), a *proxy* where it is measured on other data, at
another scale or on another machine, which is named, and *not attempted* where it cannot be had, with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ablations.reporting.markup import Cell, Column, DisplayTable
from ablations.reporting.tables import write_table
from xception.base import formatting as f
from xception.base.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from ablations.records.store import Store

__all__ = [
    "PAPER_STUDIES",
    "PaperCell",
    "measure_steps",
    "paper_cells",
    "paper_markdown",
    "stored_steps",
    "unrun_cells",
    "write_paper",
]

PAPER_STUDIES = ("paper_table1", "paper_table2", "paper_table3", "paper_figures")

PAPER_SIZE = 299  # pixels
STEP_BATCH_SIZE = 2
_NETWORKS = {"Inception V3": "torchvision:inception_v3", "Xception": "paper"}
_UNTIMED = {"VGG-16": "torchvision:vgg16", "ResNet-152": "torchvision:resnet152"}
_TIMM = {"Inception V3": "timm:inception_v3", "Xception": "timm:legacy_xception"}
_JFT = "JFT is not public"
CAPTION = (
    "Chollet 2017, cell by cell: the published value and ours. Reproduced: the same quantity comes out; proxy: measured"
    " on other data, at another scale or on another machine; not attempted: for the reason given."
)


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One cell: where it stands, the value published there (None where the paper has none), ours (None where there is
    none).
    """

    row: str
    column: str
    published: float | str | None
    ours: float | str | None
    status: Literal["reproduced", "proxy", "not attempted"]
    note: str


def paper_cells(
    study: str, comparison: pd.DataFrame, frame: pd.DataFrame, steps: dict[str, dict[str, Any]]
) -> list[PaperCell]:
    """Return the cells of a paper study from its comparison, its records and the measured training steps
    (`stored_steps`).
    """
    makers: dict[str, Callable[[], Iterable[PaperCell]]] = {
        "paper_table1": lambda: _table1(comparison, frame),
        "paper_table2": lambda: _table2(comparison),
        "paper_table3": lambda: _table3(steps),
        "paper_figures": lambda: _figures(comparison),
    }
    return list(makers[study]())


def unrun_cells(study: str) -> list[PaperCell]:
    """Return the cells of a paper study of which no trial was trained; counts need none and are reproduced."""
    import pandas as pd

    nothing = pd.DataFrame(columns=pd.Index(["variant", "status", "test_accuracy", "test_top5_accuracy"]))
    return paper_cells(study, nothing.assign(test_accuracy_mean=None, delta_mean=None), nothing, {})


def write_paper(cells: list[PaperCell], folder: Path, *, study: str) -> None:
    """Write `paper.csv`, `paper.md` and `paper.tex` into a folder."""
    import pandas as pd

    write_table(folder, "paper", pd.DataFrame([asdict(cell) for cell in cells]), _display(cells), study=study)
    write_atomically(folder / "paper.md", paper_markdown(cells))  # which other pages take in below a caption of theirs


def paper_markdown(cells: list[PaperCell]) -> str:
    """Return the cells as a table in Markdown, one row per cell, without a caption."""
    from tabulate import tabulate

    table = _display(cells)
    rows = [[cell.text for cell in row] for row in table.rows]
    headers = [column.title for column in table.columns]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True) + "\n"


def _display(cells: list[PaperCell]) -> DisplayTable:
    titles = ("", "Column", "Published", "Ours", "Status", "What ours is")
    rows = [(c.row, c.column, _shown(c.published), _shown(c.ours), c.status, c.note) for c in cells]
    return DisplayTable(
        caption=CAPTION,
        columns=tuple(Column(title=title, numeric=title in ("Published", "Ours")) for title in titles),
        rows=tuple(tuple(Cell(text=text, order=text) for text in row) for row in rows),
    )


def measure_steps(store: Store, *, device: str) -> None:
    """Time training steps of the paper's two networks at full size where that was not done yet; run it while nothing
    trains.
    """
    from xception.network import presets
    from xception.profile.latency import measure_latency, measurement_key

    protocol, shape = _step_protocol(), (3, PAPER_SIZE, PAPER_SIZE)
    models = {name: presets.get(preset) for name, preset in _NETWORKS.items()}
    keys = {name: measurement_key(model, shape, device, protocol) for name, model in models.items()}
    if all(store.measurement(key) is not None for key in keys.values()):
        return
    for row in measure_latency(models, protocol, input_shape=shape, device=device):
        values = {
            "network": row.name,
            "status": row.status,
            "reason": row.reason,
            "step_ms": row.latency_ms,
            "device": row.latency_device,
        }
        store.put_measurement(
            keys[row.name], "paper training step", values | {"low_ms": row.low_ms, "high_ms": row.high_ms, "n": row.n}
        )


def stored_steps(store: Store) -> dict[str, dict[str, Any]]:
    """Return the latest measured training step of each of the paper's networks."""
    return {row["network"]: row for row in reversed(store.measurements("paper training step"))}


def _step_protocol() -> Any:
    from xception.profile.protocol import LatencyProtocol

    return LatencyProtocol(mode="training", batch_size=STEP_BATCH_SIZE, memory_format="channels_last", warm_up_s=0.0)


def _table1(comparison: pd.DataFrame, frame: pd.DataFrame) -> Iterable[PaperCell]:
    published = {
        "VGG-16": (0.715, 0.901),
        "ResNet-152": (0.770, 0.933),
        "Inception V3": (0.782, 0.941),
        "Xception": (0.790, 0.945),
    }
    own = frame[frame["status"] == "complete"].groupby("variant")[["test_accuracy", "test_top5_accuracy"]].mean()
    for row, values in published.items():
        for column, value, name in zip(("Top-1", "Top-5"), values, own.columns, strict=True):
            if row in own.index:
                ours = float(own[name].to_dict()[row])
                yield PaperCell(
                    row=row, column=column, published=value, ours=ours, status="proxy", note=_data(comparison, row)
                )
            else:
                cell = _missing(row, column, value, comparison)
                counted = f"{_num_parameters((_NETWORKS | _UNTIMED)[row]):,} trainable parameters"
                yield replace(cell, note=f"{cell.note}; {counted}")


def _table2(comparison: pd.DataFrame) -> Iterable[PaperCell]:
    rows = {
        "Inception V3 - no FC layers": (6.36, "no FC, Inception modules@params"),
        "Xception - no FC layers": (6.70, "no FC, Xception"),
        "Inception V3 with FC layers": (6.50, "FC, Inception modules@params"),
        "Xception with FC layers": (6.78, "FC, Xception"),
    }
    for row, (value, _) in rows.items():
        yield PaperCell(
            row=row, column="FastEval14k MAP@100", published=value, ours=None, status="not attempted", note=_JFT
        )
    for row, (_, variant) in rows.items():
        accuracy = _accuracy(comparison, variant)
        if accuracy is None:
            yield _missing(row, "Test accuracy", None, comparison)
        else:
            note = f"another task; {variant}, {_data(comparison, variant)}"
            yield PaperCell(row=row, column="Test accuracy", published=None, ours=accuracy, status="proxy", note=note)


def _table3(steps: dict[str, dict[str, Any]]) -> Iterable[PaperCell]:
    published = {"Inception V3": (23_626_728, 31), "Xception": (22_855_952, 28)}
    for row, (count, _) in published.items():
        ours = _num_parameters(_NETWORKS[row])
        exact = ours == count
        inception = (
            "torchvision's Inception V3 without its auxiliary tower; no public Inception V3 has the paper's count"
        )
        yield PaperCell(
            row=row,
            column="Parameter count",
            published=count,
            ours=ours,
            status="reproduced" if exact else "proxy",
            note="trainable parameters" if exact else inception,
        )
    for row, (count, _) in published.items():
        yield _count_of_timm(row, count)
    for row, (_, speed) in published.items():
        measured = steps.get(row)
        if measured is None or measured["step_ms"] is None:
            reason = "not measured" if measured is None else measured["reason"]
            yield PaperCell(
                row=row, column="Steps/second", published=speed, ours=None, status="not attempted", note=reason
            )
            continue
        note = (
            f"{measured['device']}, batch {STEP_BATCH_SIZE}, float32, {PAPER_SIZE}×{PAPER_SIZE} pixels; the paper's"
            " figure is that of 60 K80 GPUs, so only the ratio of the two rows can be compared"
        )
        yield PaperCell(
            row=row, column="Steps/second", published=speed, ours=1000 / measured["step_ms"], status="proxy", note=note
        )


def _count_of_timm(row: str, published: int) -> PaperCell:
    preset = _TIMM[row]
    cell = PaperCell(
        row=row, column="Parameter count in timm", published=published, ours=None, status="not attempted", note=preset
    )
    try:
        ours = _num_parameters(preset)
    except ValueError as error:  # timm is not installed
        return replace(cell, note=str(error))
    return replace(cell, ours=ours, status="reproduced" if ours == published else "proxy")


def _figures(comparison: pd.DataFrame) -> Iterable[PaperCell]:
    claims = {
        "Figure 6": ("Inception V3 below Xception on ImageNet (−0.8 pp top-1)", "Inception modules@params"),
        "Figure 9": ("without residual connections: slower, and lower in the end", "without residuals"),
        "Figure 10, ReLU": ("ReLU between depthwise and pointwise: slower, and lower in the end", "ReLU between"),
        "Figure 10, ELU": ("ELU between: between ReLU and none", "ELU between"),
    }
    for figure, (claim, variant) in claims.items():
        row = comparison[comparison["variant"] == variant]
        if row.empty or not f.is_number(row["delta_mean"].iloc[0]):
            yield _missing(figure, "Effect on accuracy", claim, comparison)
            continue
        low, high = row["delta_ci_low"].iloc[0], row["delta_ci_high"].iloc[0]
        ours = (
            f"{f.points(row['delta_mean'].iloc[0])} pp {f.interval(low, high, signed=True)}: {row['verdict'].iloc[0]}"
        )
        note = f"{variant} against Xception, {_data(comparison, variant)}"
        yield PaperCell(row=figure, column="Effect on accuracy", published=claim, ours=ours, status="proxy", note=note)
    for figure, claim in (
        ("Figure 7", "Xception above Inception V3 on JFT"),
        ("Figure 8", "the same with fully connected layers"),
    ):
        yield PaperCell(
            row=figure, column="Effect on accuracy", published=claim, ours=None, status="not attempted", note=_JFT
        )


@functools.cache
def _num_parameters(preset: str) -> int:
    """The trainable parameters of a preset, counted without memory for them."""
    import torch

    from xception.network import presets
    from xception.network.config import XceptionConfig
    from xception.network.model import build

    config = presets.get(preset)
    if isinstance(config, XceptionConfig):
        from xception.network.closed_form import complexity

        return complexity(config, PAPER_SIZE).params
    with torch.device("meta"):
        return sum(p.numel() for p in build(config).parameters())


def _accuracy(comparison: pd.DataFrame, variant: str) -> float | None:
    values = comparison.loc[comparison["variant"] == variant, "test_accuracy_mean"]
    return float(values.iloc[0]) if len(values) and f.is_number(values.iloc[0]) else None


def _data(comparison: pd.DataFrame, variant: str) -> str:
    """What our value was measured on."""
    row = comparison[comparison["variant"] == variant].iloc[0]
    return f"{row['dataset']} at scale {row['scale']}, mean of {row['n']} seeds"


def _missing(row: str, column: str, published: float | str | None, comparison: pd.DataFrame) -> PaperCell:
    where = "not run"
    if not comparison.empty:
        data, scale = comparison["dataset"].iloc[0], comparison["scale"].iloc[0]
        where = f"no trial of it has completed on {data} at scale {scale}"
    return PaperCell(row=row, column=column, published=published, ours=None, status="not attempted", note=where)


def _shown(value: float | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
