"""How results are shown: chosen columns in every table for people, and figures as wide as asked."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ablations.analysis.settings import compare_settings
from ablations.design.options import Options, PresentationOptions
from ablations.reporting import figures as plots
from ablations.reporting import style
from ablations.reporting.columns import chosen_columns
from ablations.reporting.presentation import Presentation, presentation_of
from ablations.reporting.settings_plots import decision_plot, effect_over_budget, settings_forest
from ablations.reporting.tables import TABLE_COLUMNS, display_table, write_tables
from tests import frames
from tests.ablations.analysis.test_settings import two_by_two
from tests.ablations.reporting.test_figures import _texts
from tests.command import call_here

FRAME = frames.cases()["normal"]
COMPARISON = frames.comparison(FRAME)


def test_chosen_columns_are_in_every_table_for_people_and_all_in_the_csv(tmp_path: Path) -> None:
    columns = chosen_columns("verdict, delta_mean,params")
    assert columns == ("variant", "verdict", "delta_mean", "params")
    people = write_tables(COMPARISON, tmp_path, title="Which?", columns=columns)
    assert [column.title for column in people.columns] == ["Variant", "Verdict", "Δ (pp)", "Params"]
    assert tuple(pd.read_csv(tmp_path / "table.csv").columns[: len(TABLE_COLUMNS)]) == TABLE_COLUMNS
    for name in ("table.md", "table.tex", "table.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "Verdict" in text
        assert "Latency" not in text
        assert "Training per trial" not in text


def test_the_caption_explains_what_is_shown_alone() -> None:
    whole = display_table(COMPARISON, title="Which?").caption
    assert "Latency: median" in whole
    assert whole.endswith(
        "Params: trainable. MACs: multiply-accumulates of convolutions and linear layers for one image."
    )
    few = display_table(COMPARISON, title="Which?", columns=("variant", "test_accuracy_mean", "macs")).caption
    assert "Test accuracy: mean over n seeds" in few
    for part in ("Latency", "Params", "The verdict", "Δ:"):
        assert part not in few
    assert "δ = 0.50 pp" in few


def test_some_columns_are_shown_only_where_they_are_named() -> None:
    assert "Probability of improvement (%)" not in {c.title for c in display_table(COMPARISON, title="x").columns}
    named = display_table(COMPARISON, title="x", columns=chosen_columns("probability_of_improvement,more_seeds"))
    assert [column.title for column in named.columns] == ["Variant", "Probability of improvement (%)", "More seeds"]
    assert named.rows[0][1].text == "–"  # the baseline's


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variant,speed", "--columns: 'speed' is not allowed; names from variant, n, test_accuracy_mean"),
        ("", "--columns: '' is not allowed"),
        ("delta_ci_high", "--columns: 'delta_ci_high' is not allowed"),  # shown with its lower end
        ("macs,params,macs", "--columns: 'macs' is given twice; each name once"),
    ],
)
def test_other_columns_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        presentation_of(PresentationOptions(columns=text))


@pytest.mark.parametrize(
    ("asked", "inches"), [("one", style.COLUMN_WIDTH), ("two", style.FULL_WIDTH), (5.5, 5.5), (None, None)]
)
def test_a_width_is_that_of_one_or_two_columns_or_in_inches(asked: object, inches: float | None) -> None:
    assert presentation_of(PresentationOptions(figure_width=asked)).figure_width == inches  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [2.9, 10.1, float("nan"), float("inf")])
def test_other_widths_are_refused(width: float) -> None:
    with pytest.raises(ValueError, match=r"--figure-width: .* is not allowed; one, two, or 3 to 10 inches"):
        presentation_of(PresentationOptions(figure_width=width))


def test_how_results_are_shown_changes_no_trial() -> None:
    shown = Options(columns="variant", figure_style="paper", figure_width="two")
    assert shown.overrides() == []
    assert presentation_of(shown) == Presentation(columns=("variant",), figure_style="paper", figure_width=6.9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--columns", "speed"), "--columns: 'speed' is not allowed; names from variant"),
        (("--figure-width", "three"), "--figure-width: 'three' is not allowed; a number, or one, two"),
        (("--figure-width", "30"), "--figure-width: 30.0 is not allowed; one, two, or 3 to 10 inches"),
    ],
)
def test_a_mistake_ends_in_one_line_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    asked = ("--study", "residuals", "--scale", "smoke", "--dataset", "synthetic", "--out", str(tmp_path), *words)
    assert message in call_here(capsys, *asked, expect=2).err
    assert not list(tmp_path.glob("records.db"))


WIDE = [
    *((case, width) for case in ("normal", "half_finished", "hostile", "twelve_long") for width in (3.0, 6.9)),
    ("two_hundred", 6.9),
]


@pytest.mark.parametrize(("case", "width"), WIDE)
def test_every_figure_of_a_study_has_the_width_with_its_text_inside_and_readable(case: str, width: float) -> None:
    frame = frames.cases()[case]
    drawn = plots.study_figures(frame, frames.comparison(frame), width)
    assert drawn
    for one in drawn:
        assert one.figure.get_figwidth() == width
        _assert_readable(one.figure)


@pytest.mark.parametrize("width", [3.3, 6.9])
def test_figures_of_settings_have_the_width_too(width: float) -> None:
    result = compare_settings(two_by_two())
    for figure in (
        settings_forest(result, title="t", note="n", width=width),
        effect_over_budget(result, "recipe.epochs", title="t", note="n", width=width),
        decision_plot(result, title="t", note="n", width=width),
    ):
        assert figure.get_figwidth() == width
        _assert_readable(figure)


def _assert_readable(figure: Figure) -> None:
    right, top = figure.get_size_inches() * figure.dpi
    for text in _texts(figure):
        box = Text.get_window_extent(text)
        assert float(text.get_fontsize()) >= 5, text.get_text()
        assert box.x0 >= -3, text.get_text()
        assert box.x1 <= right + 3, text.get_text()
        assert box.y0 >= -3, text.get_text()
        assert box.y1 <= top + 3, text.get_text()
