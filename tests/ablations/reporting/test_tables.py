"""One comparison in five languages: the same numbers, nothing in a name interpreted as markup, bold only where the
contrasts support it.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablations.reporting import markup, tables
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
    assert "not measured" in markup.to_markdown(tables.display_table(table, title="x"))


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
        ([0, 0.05, 0.0505, 0.02], ["none", "entry only"]),  # no paired contrast separates the first two
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


def test_pairs_identify_the_best_where_intervals_overlap() -> None:
    """Two variants with a noisy baseline: their intervals overlap, but the difference between them is precise."""
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


def test_the_display_table_has_both_intervals() -> None:
    text = markup.to_markdown(tables.display_table(COMPARISON, title="x"))
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


def test_an_interval_that_is_not_centred_is_written_out() -> None:
    table = COMPARISON.assign(test_accuracy_ci_low=COMPARISON["test_accuracy_ci_low"] - 0.01)
    people = tables.display_table(table, title="x")
    assert "±" not in people.rows[0][2].text
    assert "[" in people.rows[0][2].text


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


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, "new")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
