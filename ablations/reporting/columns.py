"""Every column of `table.csv`, once: its name, unit, meaning and display.

To add a column, add one entry to COLUMNS (and, where it is computed, its value to the comparison). The CSV and Parquet
files, the tables in Markdown, LaTeX and HTML, and `docs/files.md` are derived from these entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xception.base import formatting as f
from xception.base.suggestions import did_you_mean

__all__ = ["COLUMNS", "DASH", "TABLE_COLUMNS", "TableColumn", "chosen_columns", "documentation"]

DASH = "\N{EN DASH}"
Row = Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """A column: `name`, `unit` and `meaning` are those of the files; with a `title` it is in display tables, with the
    text that `show` returns.

    `show` gets the whole row, so that one display column can combine several of the files. `of_baseline` is what the
    baseline's cell shows instead. A column that is `rare` is shown only if one of its values is above 0, one that is
    `optional` only if `--columns` names it; one that is `measured_later` may be missing from a comparison, and one that
    is `extra` follows those of the contract.
    """

    name: str
    meaning: str
    unit: str = ""
    title: str | None = None
    show: Callable[[Row], str] | None = None
    of_baseline: str | None = None
    numeric: bool = True
    whole: bool = False
    aligned: bool = True
    rare: bool = False
    optional: bool = False
    measured_later: bool = False
    extra: bool = False

    def text(self, row: Row) -> str:
        """Return the text of a row in this column."""
        if self.of_baseline is not None and row["verdict"] == "baseline":
            return self.of_baseline
        if self.show is not None:
            return self.show(row)
        value = row[self.name]
        if self.whole:
            return str(int(value)) if f.is_number(value) else f.NOT_MEASURED
        return _line(value)


def _line(value: object) -> str:
    """Text on one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in str(value)).strip()


def _one(show: Callable[[object], str], name: str) -> Callable[[Row], str]:
    return lambda row: show(row[name])


def _interval(name: str) -> Callable[[Row], str]:
    return lambda row: f.interval(row[f"{name}_low"], row[f"{name}_high"], signed=True)


def _latency(row: Row) -> str:
    median, low, high = (row.get(name) for name in ("latency_ms", "latency_ci_low_ms", "latency_ci_high_ms"))
    if not (f.is_number(median) and f.is_number(low) and f.is_number(high)):
        return f.milliseconds(median)
    return f"{f.milliseconds(median)} [{f.milliseconds(low)}, {f.milliseconds(high)}]"


def _accuracy(row: Row) -> str:
    mean, low, high = (row[f"test_accuracy_{part}"] for part in ("mean", "ci_low", "ci_high"))
    if not f.is_number(low):
        return f.percent(mean)
    is_centred = abs((low + high) / 2 - mean) < 5e-5
    return f"{f.percent(mean)} {f'± {f.percent((high - low) / 2)}' if is_centred else f.interval(low, high)}"


def _success(row: Row) -> str:
    interval = f.interval(row["success_ci_low"], row["success_ci_high"], 0)
    return f"{f.percent(row['success_rate'], 0)} {interval}" if f.is_number(row["success_rate"]) else f.NOT_MEASURED


def _at_chance(row: Row) -> str:
    if not f.is_number(row["delta_mean_at_chance"]):
        return f.NOT_MEASURED
    interval = f.interval(row["delta_ci_low_at_chance"], row["delta_ci_high_at_chance"], signed=True)
    return f"{f.points(row['delta_mean_at_chance'])} {interval}"


def _count_of_seeds(value: object) -> str:
    return f"{float(value):.0f}" if f.is_number(value) else DASH  # type: ignore[arg-type]


FRACTION = "fraction"
COLUMNS = (
    TableColumn(name="variant", meaning="Name of the variant.", title="Variant", numeric=False),
    TableColumn(
        name="n",
        meaning="Completed pairs behind the difference; of a baseline, its completed trials.",
        title="n",
        whole=True,
    ),
    TableColumn(
        name="test_accuracy_mean",
        meaning="Mean test accuracy of the completed trials.",
        unit=FRACTION,
        title="Test accuracy (%)",
        show=_accuracy,
    ),
    TableColumn(
        name="test_accuracy_ci_low", meaning="Lower end of its 95 % interval over seeds (Student's t).", unit=FRACTION
    ),
    TableColumn(name="test_accuracy_ci_high", meaning="Upper end of that interval.", unit=FRACTION),
    TableColumn(
        name="delta_mean",
        meaning="Mean of the per-seed differences from the baseline, among completed pairs.",
        unit=FRACTION,
        title="Δ (pp)",
        show=_one(f.points, "delta_mean"),
        of_baseline=DASH,
    ),
    TableColumn(
        name="delta_ci_low",
        meaning="Lower end of the 95 % interval of the difference, simultaneous over the study's comparisons.",
        unit=FRACTION,
        title="95 % interval of Δ (pp)",
        show=_interval("delta_ci"),
        of_baseline=DASH,
        aligned=False,
    ),
    TableColumn(name="delta_ci_high", meaning="Upper end of that interval.", unit=FRACTION),
    TableColumn(
        name="equivalence_ci_low",
        meaning="Lower end of the 90 % interval, simultaneous and inside the former; within ±δ there is no meaningful"
        " effect.",
        unit=FRACTION,
        title="90 % interval of Δ (pp)",
        show=_interval("equivalence_ci"),
        of_baseline=DASH,
        aligned=False,
    ),
    TableColumn(name="equivalence_ci_high", meaning="Upper end of that interval.", unit=FRACTION),
    TableColumn(
        name="p_adjusted",
        meaning="Adjusted p of no difference, dual to the 95 % interval: below .05 exactly where that excludes 0.",
        title="p",
        show=_one(f.p_value, "p_adjusted"),
        of_baseline=DASH,
    ),
    TableColumn(
        name="verdict",
        meaning="Read off the two intervals: `no meaningful effect`, else `helps` or `hurts`, else `inconclusive`;"
        " `baseline` in the baseline's row.",
        title="Verdict",
        numeric=False,
    ),
    TableColumn(name="baseline", meaning="Name of the variant that it is compared with.", numeric=False),
    TableColumn(name="delta_margin", meaning="δ, the smallest difference that matters.", unit=FRACTION),
    TableColumn(name="at_least_margin", meaning="Whether the whole 95 % interval is beyond δ.", numeric=False),
    TableColumn(
        name="more_seeds",
        meaning="Fresh seeds that settle an inconclusive comparison, by the median estimate of its spread; empty where"
        " more than 200.",
        title="More seeds",
        show=_one(_count_of_seeds, "more_seeds"),
        of_baseline=DASH,
        optional=True,
        whole=True,
    ),
    TableColumn(
        name="params",
        meaning="Trainable parameters.",
        title="Params",
        show=_one(f.count, "params"),
        whole=True,
    ),
    TableColumn(
        name="macs",
        meaning="Multiply-accumulates of convolutions and linear layers for one image.",
        title="MACs",
        show=_one(f.count, "macs"),
        whole=True,
    ),
    TableColumn(
        name="fvcore_total",
        meaning="fvcore's own sum for one image.",
        title="fvcore total",
        show=_one(f.count, "fvcore_total"),
        optional=True,
        whole=True,
        measured_later=True,
    ),
    TableColumn(
        name="latency_ms",
        meaning="Median latency of eager float32 inference, batch 1, channels-last, from one interleaved measurement.",
        unit="ms",
        title="Latency (ms)",
        show=_latency,
        measured_later=True,
    ),
    TableColumn(name="latency_device", meaning="Device of the latency.", numeric=False, measured_later=True),
    TableColumn(
        name="train_seconds",
        meaning="Mean training time of a trial.",
        unit="s",
        title="Training per trial",
        show=_one(f.seconds, "train_seconds"),
        aligned=False,
    ),
    TableColumn(name="num_diverged", meaning="Trials whose loss became NaN.", title="Diverged", whole=True, rare=True),
    TableColumn(
        name="num_failed",
        meaning="Trials that failed (an exception, a killed worker); their pairs are dropped.",
        title="Failed",
        whole=True,
        rare=True,
    ),
    TableColumn(name="dataset", meaning="Name of the data set.", numeric=False),
    TableColumn(name="scale", meaning="Name of the scale.", numeric=False),
    TableColumn(
        name="num_collapsed",
        meaning="Completed trials whose final validation accuracy is not above chance (binomial, 99 %).",
        title="At chance",
        whole=True,
        rare=True,
        extra=True,
    ),
    TableColumn(
        name="success_rate",
        meaning="Trials that neither diverged nor ended at chance (`num_collapsed`), among those that ended, with a"
        " 95 % interval (Clopper–Pearson) in `success_ci_low` and `success_ci_high`.",
        unit=FRACTION,
        title="Above chance (%)",
        show=_success,
        extra=True,
    ),
    TableColumn(
        name="delta_mean_at_chance",
        meaning="The difference with diverged trials at chance accuracy, its 95 % interval in `delta_ci_low_at_chance`"
        " and `delta_ci_high_at_chance`.",
        unit=FRACTION,
        title="Δ with diverged at chance (pp)",
        show=_at_chance,
        of_baseline=DASH,
        extra=True,
    ),
    TableColumn(
        name="more_seeds_limit",
        meaning="The same as `more_seeds` by the upper 80 % limit of the spread.",
        whole=True,
        extra=True,
    ),
    TableColumn(
        name="probability_of_improvement",
        meaning="Share of all pairs of runs in which the variant beats the baseline (Mann–Whitney, as in rliable).",
        unit=FRACTION,
        title="Probability of improvement (%)",
        show=lambda row: f.percent(row["probability_of_improvement"], 0),
        of_baseline=DASH,
        optional=True,
        extra=True,
    ),
    TableColumn(
        name="example_ci_low",
        meaning="Lower end of the interval of the difference for new seeds and new test images, upper end in"
        " `example_ci_high`.",
        unit=FRACTION,
        title="95 % interval of Δ for new test images (pp)",
        show=_interval("example_ci"),
        of_baseline=DASH,
        aligned=False,
        optional=True,
        extra=True,
    ),
    TableColumn(
        name="is_best",
        meaning="Whether it is bold: best by paired contrasts with the variant of the largest effect.",
        numeric=False,
        extra=True,
    ),
    TableColumn(
        name="looked_before",
        meaning="Numbers of pairs at which this comparison was read before, where that makes its error uncontrolled.",
        numeric=False,
        extra=True,
    ),
)
TABLE_COLUMNS = tuple(column.name for column in COLUMNS if not column.extra)
UNSTEADY = ("success_rate", "delta_mean_at_chance")  # displayed only where a trial diverged or collapsed


def chosen_columns(text: str) -> tuple[str, ...]:
    """Return the columns that `--columns` names, in its order; `variant`, which names a row, is first.

    Raises:
        ValueError: a name is not that of a display column, or is given twice.
    """
    allowed = [column.name for column in COLUMNS if column.title is not None]
    names = [name.strip() for name in text.split(",")]
    for place, name in enumerate(names):
        if name not in allowed:
            raise ValueError(
                f"--columns: {name!r} is not allowed; names from {', '.join(allowed)}{did_you_mean(name, allowed)}"
            )
        if name in names[:place]:
            raise ValueError(f"--columns: {name!r} is given twice; each name once")
    return ("variant", *(name for name in names if name != "variant"))


def documentation() -> str:
    """Return the columns as a section of `docs/files.md`."""
    lines = [
        "## Columns of `table.csv`",
        "",
        "One row per variant. Accuracies and differences are fractions in files, percent and percentage points (pp) in"
        " display tables. What was not measured is an empty cell. `--columns` takes the names of columns with an"
        " entry under *In display tables*; some of these are shown only if they are named.",
        "",
        "| Column | Unit | In display tables | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for c in COLUMNS:
        title = f"{c.title} (with `--columns`)" if c.optional else c.title or ""
        lines.append(f"| `{c.name}` | {c.unit} | {title} | {c.meaning} |")
    return "\n".join(lines) + "\n"
