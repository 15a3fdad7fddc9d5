"""One comparison in five languages: the same numbers, nothing in a name taken for markup, bold only where it is borne
out.
"""

from __future__ import annotations

import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.reporting import tables
from ablations.reporting.columns import COLUMNS, TABLE_COLUMNS, documentation
from tests import frames
from xception.base import formatting
from xception.base.files import write_atomically

NORMAL = frames.cases()["normal"]
COMPARISON = frames.comparison(NORMAL)


@pytest.fixture(scope="module", params=[c for c in frames.cases() if c != "two_hundred"])
def case(request: pytest.FixtureRequest) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    frame = frames.cases()[request.param]
    return request.param, frame, frames.comparison(frame)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (8_399_882_600, "8.40 G"),
        (22_855_952, "22.9 M"),
        (125_000, "125 k"),
        (999_600, "1.00 M"),
        (999, "999"),
        (0, "0"),
        (9_996, "10.0 k"),
        (1_005, "1.00 k"),
        (np.nan, "not measured"),
        (pd.NA, "not measured"),
        (None, "not measured"),
    ],
)
def test_counts_have_three_digits_and_a_prefix(value: object, text: str) -> None:
    assert formatting.count(value) == text


def test_fractions_become_percent_and_points() -> None:
    assert formatting.percent(0.84125) == "84.12"
    assert formatting.points(-0.0123) == "−1.23"
    assert formatting.points(0.00001) == "0.00"
    assert formatting.points(-0.00001) == "0.00"
    assert formatting.interval(-0.01, 0.02, signed=True) == "[−1.00, +2.00]"
    assert formatting.interval(np.nan, 0.02) == "not measured"
    assert formatting.p_value(0.0004) == "<0.001"


@pytest.mark.parametrize(
    ("value", "text"),
    [(8.13, "8.1 s"), (59.96, "1 min 00 s"), (154, "2 min 34 s"), (3599.7, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_show_two_units(value: float, text: str) -> None:
    assert formatting.seconds(value) == text


def test_decimal_points_stand_below_each_other() -> None:
    cells = formatting.aligned(["8.40 G", "22.9 M", "125 k", "not measured", "7"])
    points = {
        len(cell) - (cell.find(".") if "." in cell else cell.find(formatting.PUNCTUATION_SPACE))
        for cell in cells
        if cell != "not measured"
    }
    assert points == {len(".40 G")}
    assert [c.replace(formatting.FIGURE_SPACE, "").replace(formatting.PUNCTUATION_SPACE, "") for c in cells] == [
        "8.40 G",
        "22.9 M",
        "125 k",
        "not measured",
        "7",
    ]


def test_a_long_name_is_broken_and_none_of_it_lost() -> None:
    for name in frames.LONG:
        lines = formatting.wrapped(name, 24).split("\n")
        assert all(len(line) <= 24 for line in lines)
        assert "".join(lines) == name
    assert formatting.wrapped("x" * 60, 24).replace("\n", "") == "x" * 60


def test_the_table_has_the_contracts_columns_first_and_round_trips() -> None:
    table = tables.table_frame(COMPARISON)
    assert tuple(table.columns[: len(tables.TABLE_COLUMNS)]) == tables.TABLE_COLUMNS
    read = pd.read_csv(io.StringIO(tables.csv_text(table)))
    np.testing.assert_array_equal(read["test_accuracy_mean"], COMPARISON["test_accuracy_mean"])
    np.testing.assert_array_equal(read["delta_mean"], COMPARISON["delta_mean"])
    base = read[read["verdict"] == "baseline"].iloc[0]
    assert base[["delta_mean", "delta_ci_low", "delta_ci_high", "p_adjusted"]].isna().all()
    assert "not measured" not in tables.csv_text(table)


def test_a_comparison_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict"):
        tables.table_frame(COMPARISON.drop(columns="verdict"))
    with pytest.raises(ValueError, match="no variants"):
        tables.display_table(COMPARISON.iloc[:0], title="x")


def test_what_is_measured_elsewhere_may_be_missing() -> None:
    table = tables.table_frame(COMPARISON.drop(columns=["latency_ms", "latency_device", "fvcore_total"]))
    assert table["latency_ms"].isna().all()
    assert "not measured" in tables.to_markdown(tables.display_table(table, title="x"))


def test_runs_and_curves_have_one_row_per_trial_and_epoch() -> None:
    frame = frames.cases()["half_finished"]
    runs, curves = tables.runs_frame(frame), tables.curves_frame(frame)
    assert tuple(runs.columns) == tables.RUN_COLUMNS
    assert tuple(curves.columns) == tables.CURVE_COLUMNS
    assert len(runs) == (frame["status"] != "missing").sum() == 15
    assert set(runs["status"]) == {"complete", "diverged", "failed"}
    assert runs["key"].is_unique
    assert len(curves) == 13 * 6 + 2


@pytest.mark.parametrize(
    ("effects", "best"),
    [
        ([0, -0.09, 0.001, -0.002], []),
        ([0, 0.05, 0.08, 0.05], ["entry only"]),
        ([0, 0.05, 0.0505, 0.02], ["none", "entry only"]),  # no paired contrast tells the first two apart
        ([0, -0.1, -0.2, -0.3], ["full"]),
    ],
)
def test_bold_is_what_paired_contrasts_call_best(effects: list[float], best: list[str]) -> None:
    table = frames.comparison(frames.records(effects=effects))
    assert table.loc[table["is_best"], "variant"].tolist() == best
    people = tables.display_table(table, title="x")
    bold = {row[0].text for row in people.rows if any(cell.bold for cell in row)}
    assert bold == set(best)
    assert ("Bold:" in people.caption) == bool(best)


def test_best_is_told_apart_by_pairs_where_intervals_overlap() -> None:
    """Two variants that a noisy baseline hides: their intervals overlap, and the difference between them is sharp."""
    noise = np.array([-0.01, 0.012, -0.004, 0.006, -0.004])
    results = {"base": 0.5 + noise, "good": np.full(5, 0.55), "better": 0.56 + noise / 100}
    frame = frames.records(list(results), effects=[0, 0, 0])
    frame["test_accuracy"] = [results[v][s] for v, s in zip(frame["variant"], frame["seed"], strict=True)]
    table = frames.comparison(frame).set_index("variant")
    assert table["verdict"].tolist() == ["baseline", "helps", "helps"]
    assert table["delta_ci_high"]["good"] > table["delta_ci_low"]["better"]
    assert table["is_best"].tolist() == [False, False, True]


def test_every_column_is_one_entry() -> None:
    text = tables.csv_text(tables.table_frame(COMPARISON))
    assert tuple(text.splitlines()[0].split(",")[: len(TABLE_COLUMNS)]) == TABLE_COLUMNS
    assert {c.name for c in COLUMNS} <= set(COMPARISON.columns)
    page = Path(__file__).parents[3] / "docs" / "files.md"
    assert documentation() in page.read_text(encoding="utf-8")


def test_people_see_both_intervals() -> None:
    text = tables.to_markdown(tables.display_table(COMPARISON, title="x"))
    row = COMPARISON.iloc[1]
    for name in ("delta_ci", "equivalence_ci"):
        assert formatting.interval(row[f"{name}_low"], row[f"{name}_high"], signed=True) in text


def test_an_unstable_variant_has_its_success_rate_and_second_line() -> None:
    table = frames.comparison(frames.cases()["half_finished"])
    people = tables.display_table(table, title="x")
    titles = [column.title for column in people.columns]
    cells = dict(zip(titles, [cell.text for cell in people.rows[1]], strict=True))
    assert cells["Above chance (%)"].endswith("80 [28, 99]")
    assert cells["Δ with diverged at chance (pp)"].startswith("−")
    assert "Above chance (%)" not in [c.title for c in tables.display_table(COMPARISON, title="x").columns]


def test_where_no_trial_is_above_chance_the_caption_says_so_and_no_column_counts_them() -> None:
    ended = {"num_collapsed": 2, "success_rate": 0.0, "success_ci_low": 0.0, "success_ci_high": 0.84}
    people = tables.display_table(COMPARISON.assign(**ended), title="x")
    assert not {"At chance", "Above chance (%)"} & {column.title for column in people.columns}
    assert "No trial ended above chance" in people.caption


@pytest.mark.parametrize(("load", "high", "is_busy"), [(0.5, 1.02, False), (0.5, 1.5, True), (9.0, 1.02, True)])
def test_a_busy_machine_is_known_by_its_load_or_by_the_spread_of_latencies(
    load: float, high: float, is_busy: bool
) -> None:
    table = COMPARISON.assign(latency_ms=1.0, latency_ci_low_ms=1.0, latency_ci_high_ms=high, latency_load=load)
    assert bool(tables.busy_sentence(table)) == is_busy


def test_the_caption_says_what_all_means() -> None:
    caption = tables.display_table(COMPARISON, title="Does it help?").caption
    for part in (
        "Does it help? ",
        "CIFAR-10 (JPEG)",
        "scale: quick",
        "± half the width of its 95 %",
        "from full",
        "all 3 comparisons",
        "δ = 0.50 pp",
    ):
        assert part in caption
    assert "Synthetic" not in caption
    synthetic = tables.display_table(COMPARISON.assign(dataset="synthetic shapes"), title="x").caption
    assert "say nothing about photographs" in synthetic


def test_an_interval_that_is_not_centred_is_written_out() -> None:
    table = COMPARISON.assign(test_accuracy_ci_low=COMPARISON["test_accuracy_ci_low"] - 0.01)
    people = tables.display_table(table, title="x")
    assert "±" not in people.rows[0][2].text
    assert "[" in people.rows[0][2].text


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_names_are_never_markup() -> None:
    people = tables.display_table(frames.comparison(frames.cases()["hostile"]), title="<i>t</i> & $")
    page = _Page()
    page.feed(tables.to_html(people))
    around = {"html", "head", "meta", "title", "style", "body", "main"}
    assert set(page.tags) - around == {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong"}
    for name in frames.HOSTILE:
        assert name in page.text
    markdown = tables.to_markdown(people)
    assert not re.search(r"<(?![\d.])", markdown)  # "<0.001" begins no tag
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}) == 1


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3|cmd", "'-2+3|cmd"),
        ("\tx", "'\tx"),
        ("-residual", "-residual"),
        ("+se block", "+se block"),
        ("plain", "plain"),
    ],
)
def test_a_spreadsheet_computes_no_name(name: str, written: str) -> None:
    read = pd.read_csv(io.StringIO(tables.csv_text(pd.DataFrame({"variant": [name], "delta": [-0.5]}))))
    assert read["variant"].item() == written
    assert read["delta"].item() == -0.5


def test_every_case_is_written_whole(case: tuple[str, pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    name, frame, comparison = case
    tables.write_tables(comparison, tmp_path, title=name)
    tables.write_runs(frame, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "curves.csv",
        "runs.csv",
        "table.csv",
        "table.html",
        "table.md",
        "table.parquet",
        "table.tex",
    ]
    parquet = pd.read_parquet(tmp_path / "table.parquet")
    assert list(parquet["variant"]) == list(comparison["variant"])
    for text in ((tmp_path / n).read_text(encoding="utf-8").lower() for n in ("table.md", "table.tex", "table.html")):
        assert "nan" not in re.findall(r"[a-z]+", text)
        assert "<na>" not in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX engine on this machine")
@pytest.mark.parametrize("name", ["normal", "hostile", "twelve_long", "two_hundred"])
def test_latex_compiles_alone_and_inside_a_paper(name: str, tmp_path: Path) -> None:
    frame = (
        frames.cases()[name] if name != "two_hundred" else frames.records([f"variant_{i}" for i in range(60)], seeds=1)
    )
    people = tables.display_table(frames.comparison(frame), title="100% of $ & #")
    (tmp_path / "table.tex").write_text(tables.to_latex(people, label="tab:a_b{"), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx,longtable}\\begin{document}Before.\\input{table.tex}After.\\end{document}"
    )
    for file in ("table.tex", "paper.tex"):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", file],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, done.stdout[-600:]
    assert r"\toprule" in (tmp_path / "table.tex").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
