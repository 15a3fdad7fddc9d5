"""Figures of a study in several settings show every setting, the intervals and the sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablations.analysis.settings import compare_settings
from ablations.reporting.settings_plots import decision_plot, effect_over_budget, settings_forest
from tests.ablations.analysis.test_settings import two_by_two

RESULT = compare_settings(two_by_two())


def texts(figure: Figure) -> str:
    own = [text.get_text() for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels(), axes.title)]
    return "\n".join(own + [axes.get_title(loc="left") for axes in figure.axes])


def test_the_forest_has_a_row_per_setting_below_the_sentence_of_each_variant() -> None:
    figure = settings_forest(RESULT, title="t", note="n")
    (axes,) = figure.axes
    assert len(axes.get_yticklabels()) == 12
    assert "reverses on dataset=cifar10" in texts(figure)
    assert "recipe.epochs=6, dataset=imagenette" in texts(figure)
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() in (0.9, 2.2)]  # type: ignore[arg-type]
    assert len(bars) == 24, "a thin and a thick bar for each"


def test_effects_over_a_budget_have_a_line_for_each_combination_of_the_rest() -> None:
    figure = effect_over_budget(RESULT, "recipe.epochs", title="t", note="n")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["without residuals", "ELU", "same"]
    assert [_solid(axes) for axes in panels] == [2, 2, 2]
    assert "imagenette" in texts(figure)
    with pytest.raises(ValueError, match=r"^field: 'dataset' is not allowed"):
        effect_over_budget(RESULT, "dataset", title="t", note="n")


def _solid(axes: Axes) -> int:
    return sum(line.get_marker() not in ("None", None, "") for line in axes.lines)


def test_decision_accuracy_is_drawn_over_training_time() -> None:
    figure = decision_plot(RESULT, title="t", note="n")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert sorted(text.get_text() for text in axes.texts) == ["24", "24", "6", "6"]


def test_budgets_that_take_about_as_long_share_a_label() -> None:
    close = replace(RESULT, decisions=RESULT.decisions.assign(train_seconds=100.0, accuracy=1.0))
    (axes,) = decision_plot(close, title="t", note="n").axes
    assert {text.get_text() for text in axes.texts} == {"6, 24"}
