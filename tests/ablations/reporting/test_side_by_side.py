"""Fixed and tuned results in one table: every variant once, the recipe that won, and the trials it took."""

from __future__ import annotations

import pandas as pd
import pytest

from ablations.analysis.comparison import compare
from ablations.reporting.markup import to_latex, to_markdown
from ablations.reporting.side_by_side import display_side_by_side, side_by_side
from tests import frames


def test_both_comparisons_stand_in_one_row() -> None:
    fixed = compare(frames.records(("full", "none"), effects=(0.0, -0.05)))
    tuned = compare(frames.records(("full", "none"), effects=(0.0, -0.02), base=0.86))
    trials = pd.DataFrame(
        {
            "variant": ["full", "none", "full", "none"],
            "seed": [0, 0, 0, 0],
            "trial": [0, 0, 1, 1],
            "learning_rate": [0.1, 0.1, 0.2, 0.05],
            "weight_decay": [5e-4, 5e-4, 1e-4, 1e-3],
            "val_accuracy": [0.7, 0.6, 0.7, 0.65],
        }
    )
    table = side_by_side(fixed, tuned, trials).set_index("variant")
    assert list(table.index) == ["full", "none"]
    assert table.loc["none", "fixed_delta_mean"] == fixed["delta_mean"][1]
    assert table.loc["none", "tuned_delta_mean"] == tuned["delta_mean"][1]
    assert list(table["learning_rate"]) == [0.1, 0.05]  # of equals the earlier trial
    assert list(table["tuning_trials"]) == [2, 2]
    text = to_markdown(display_side_by_side(table.reset_index()))
    assert text.partition("\n\n")[0].count("baseline") == 2
    assert r"\shortstack{Learning\\rate, median}" in to_latex(display_side_by_side(table.reset_index()), label="tab:x")
    assert f"{100 * fixed['test_accuracy_mean'][0]:.2f}" in text
    assert pytest.approx(fixed["delta_mean"][1], abs=0.02) == -0.05
