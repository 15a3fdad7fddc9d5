"""How a study was made, ready to paste into a paper: a paragraph with the numbers of this run, and BibTeX entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ablations import statistics as st
from xception.base import formatting as f
from xception.base.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["bibtex", "methods_paragraph"]

SHOWN_PACKAGES = ("torch", "torchvision", "numpy", "scipy")
TITLE = "Xception ablations: architecture ablations and searches around one parameterised Xception generator"
CHOLLET = """\
@inproceedings{chollet2017xception,
  author    = {Fran{\\c{c}}ois Chollet},
  title     = {Xception: Deep Learning with Depthwise Separable Convolutions},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
  pages     = {1251--1258},
  year      = {2017}
}"""


def methods_paragraph(
    frame: pd.DataFrame, comparison: pd.DataFrame, *, setup: str, environment: Mapping[str, object]
) -> str:
    """Return design, seeds, data, statistics and versions of a study as one paragraph of plain text."""
    sentences = [
        *_design(frame, comparison),
        *([setup] if setup else []),
        *_endings(frame),
        *_statistics(frame, comparison),
        *_outcome(comparison),
        *_versions(environment),
    ]
    return " ".join(sentences)


def bibtex(study: str, frame: pd.DataFrame) -> str:
    """Return the BibTeX entries of this program and of the paper that the network is from; the year is that of the
    last record.
    """
    made = sorted(str(value) for value in frame.get("created_at", []) if isinstance(value, str) and value)
    fields = {
        "title": f"{{{TITLE}}}",
        "note": f"Version {__version__}, study {_latex(study)}",
        **({"year": made[-1][:4]} if made else {}),
    }
    width = max(len(name) for name in fields)
    lines = ",\n".join(f"  {name.ljust(width)} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{xception_ablations,\n{lines}\n}}\n\n{CHOLLET}\n"


def _design(frame: pd.DataFrame, comparison: pd.DataFrame) -> list[str]:
    compared = comparison[comparison["verdict"] != "baseline"]
    baselines = [str(name) for name in comparison.loc[comparison["verdict"] == "baseline", "variant"]]
    data = f.join_words(str(name) for name in dict.fromkeys(frame["dataset"].dropna())) or "data that no record names"
    seeds = sorted({int(seed) for seed in frame["seed"]})
    spread = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    what = (
        f"{f.plural(len(compared), 'variant')} with {f.join_words(baselines)}"
        if len(compared)
        else f.join_words(baselines)
    )
    return [
        f"We {'compared' if len(compared) else 'trained'} {what} on {data}.",
        f"Every variant was to be trained with the same {f.plural(len(seeds), 'seed')} ({spread}). A seed fixes the"
        " validation split, the order of the images, their augmentation and the initial value of each parameter by its"
        " name, so differences are paired.",
    ]


def _endings(frame: pd.DataFrame) -> list[str]:
    counts = {
        status: int((frame["status"] == status).sum()) for status in ("complete", "diverged", "failed", "missing")
    }
    text = f"Of {f.plural(len(frame), 'training')} {counts['complete']} completed"
    if counts["diverged"]:
        text += f", {counts['diverged']} diverged (left out of the differences)"
    if counts["failed"]:
        text += f", {counts['failed']} failed (their pairs are dropped)"
    if counts["missing"]:
        text += f", {counts['missing']} had not run"
    images = sorted({int(n) for n in frame["num_test"].dropna()}) if "num_test" in frame else []
    tested = f" of {f.join_words(f'{n:,}' for n in images)} images" if images else ""
    return [f"{text}. The test set{tested} was read once per training, after its last epoch."]


def _statistics(frame: pd.DataFrame, comparison: pd.DataFrame) -> list[str]:
    family = int((comparison["verdict"] != "baseline").sum())
    if not family:
        return []
    is_sequential = "seeds_mode" in frame and (frame["seeds_mode"] == "auto").any()
    together = f", simultaneous over the {family} comparisons (Bonferroni)" if family > 1 else ""
    out = [
        "An effect is the mean per-seed difference in test accuracy, with a 95 % and a 90 % Student t"
        f" interval{together}."
    ]
    if family >= st.SMALLEST_FAMILY:
        out.append(
            "Their variances are shrunk towards the mean variance of the comparisons, upwards only, as in a moderated t"
            " test (Smyth 2004)."
        )
    if is_sequential:
        looks = f.join_words(f"{look.seeds} (α = {look.alpha:g})" for look in st.LOOKS)
        out.append(f"The data were looked at after {looks} seeds, and the intervals are those of repeated looks.")
    margins = sorted({float(m) for m in comparison["delta_margin"].dropna()})
    if margins:
        shown = f.join_words(f"{100 * margin:g}" for margin in margins)
        out.append(
            f"A variant has no meaningful effect where the 90 % interval is within ±{shown} pp; otherwise it helps or"
            " hurts where the 95 % interval excludes 0; otherwise the comparison is inconclusive."
        )
    return out


def _outcome(comparison: pd.DataFrame) -> list[str]:
    compared = comparison[comparison["verdict"] != "baseline"]
    if not len(compared):
        return []
    parts = [
        f"{row['variant']}: {f.points(row['delta_mean'])} pp"
        f" {f.interval(row['delta_ci_low'], row['delta_ci_high'], signed=True)}, n = {row['n']}, {row['verdict']}"
        for row in compared.head(12).to_dict("records")
        if f.is_number(row["delta_mean"])
    ]
    more = f"; and {len(compared) - 12} more" if len(compared) > 12 else ""
    return [f"Effects with 95 % intervals: {'; '.join(parts)}{more}."] if parts else []


def _versions(environment: Mapping[str, object]) -> list[str]:
    packages: Any = environment.get("packages")
    known = packages if isinstance(packages, Mapping) else {}
    parts = [f"xception-ablations {__version__}"]
    parts += [f"commit {environment['commit']}"] if environment.get("commit") else []
    parts += [f"Python {environment['python']}"] if environment.get("python") else []
    parts += [f"{name} {known[name]}" for name in SHOWN_PACKAGES if known.get(name)]
    return [f"Software: {', '.join(parts)}."]


def _latex(text: str) -> str:
    return "".join(f"\\{c}" if c in "&%$#_{}" else "" if c in "\\\n\r" else c for c in text)
