"""The estimated cost of an unpublished study."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.published_cost import estimated_hours, training_rate


def trainings(seconds: dict[str, float], train_size: int = 5000) -> pd.DataFrame:
    rows = [(f"{variant} {train_size}", variant, 6, train_size, "complete", took) for variant, took in seconds.items()]
    return pd.DataFrame(rows, columns=pd.Index(["key", "variant", "epochs", "train_size", "status", "train_seconds"]))


def test_the_rate_is_that_of_trainings_of_the_size() -> None:
    alone = training_rate([("precision", trainings({"float32": 100.0, "bfloat16": 100.0}))])
    others = [("precision", trainings({"float32": 1.0, "bfloat16": 1.0}, train_size=2000))]
    named = [("precision", trainings({"another variant": 1.0}))]
    assert training_rate([("precision", trainings({"float32": 100.0})), *others, *named]) == alone
    assert alone is not None
    assert training_rate([("precision", trainings({"float32": 50.0}))]) == pytest.approx(2 * alone)


def test_without_trainings_no_rate_is_known() -> None:
    assert training_rate([("precision", trainings({"float32": 1.0}, train_size=2000))]) is None


def test_hours_are_those_of_all_trials() -> None:
    rate = training_rate([("precision", trainings({"float32": 3600.0, "bfloat16": 3600.0}))])
    assert rate is not None
    assert estimated_hours("precision", rate) == pytest.approx(2 * 3)  # two variants, three seeds, an hour each
    assert estimated_hours("depth", rate) > 3 * 6  # the deepest of six has four times the modules


def test_source_networks_of_transfer_count() -> None:
    rate = training_rate([("precision", trainings({"float32": 3600.0}))])
    assert rate is not None
    assert estimated_hours("transfer", rate) > 0
