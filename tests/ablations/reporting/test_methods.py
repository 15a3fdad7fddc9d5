"""The paragraph on methods has the numbers of its run, and the BibTeX entries are whole."""

from __future__ import annotations

import pytest

from ablations.reporting.front import display_front, front_table
from ablations.reporting.methods import bibtex, methods_paragraph
from tests import frames
from xception.base import version


def test_the_paragraph_has_the_numbers_of_the_run() -> None:
    frame = frames.cases()["half_finished"]
    environment = {"python": "3.11", "packages": {"torch": "2.11", "ray": None}, "commit": "abc"}
    comparison = frames.comparison(frame)
    text = methods_paragraph(frame, comparison, setup="Setup: cifar_tiny.", environment=environment)
    for part in (
        "We compared 3 variants with full on CIFAR-10 (JPEG).",
        "the same 5 seeds (0 to 4)",
        "Setup: cifar_tiny.",
        "Of 20 trainings 13 completed, 1 diverged (left out of the differences), 1 failed (their pairs are dropped), 5"
        " had not run.",
        "The test set of 1,000 images was read once per training",
        "simultaneous over the 3 comparisons (Bonferroni)",
        "shrunk towards the mean variance",
        "within ±0.5 pp",
        f"Software: xception-ablations {version.__version__}, commit abc, Python 3.11, torch 2.11.",
    ):
        assert part in text
    effect = comparison.set_index("variant").loc["entry only"]
    assert f"entry only: {100 * effect['delta_mean']:+.2f}".replace("-", "−") in text
    assert f"n = {effect['n']}, {effect['verdict']}" in text


@pytest.mark.parametrize("name", ["one_variant", "all_missing", "all_diverged", "two_hundred", "two_baselines"])
def test_the_odd_cases_have_a_paragraph_without_empty_numbers(name: str) -> None:
    frame = frames.cases()[name]
    text = methods_paragraph(frame, frames.comparison(frame), setup="", environment={})
    assert "nan" not in text
    assert "not measured" not in text
    assert text.endswith(f"Software: xception-ablations {version.__version__}.")
    assert ("We trained" in text) == (name == "one_variant")


def test_bibtex_entries_are_whole_whatever_the_study_is_called() -> None:
    frame = frames.cases()["normal"].assign(created_at="2026-03-04T05:06:07+00:00")
    text = bibtex("50% of_{all}\\", frame)
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    assert r"study 50\% of\_\{all\}" in text
    assert "year  = {2026}" in text
    assert [line for line in text.splitlines() if line.startswith("@")] == [
        "@misc{xception_ablations,",
        "@inproceedings{chollet2017xception,",
    ]


def test_the_front_names_each_variant_once_for_each_cost() -> None:
    frame = frames.cases()["half_finished"]
    table = front_table(frame, frames.comparison(frame))
    assert set(table["n"]) == {1}  # one seed is complete in all variants
    assert table["front_probability"].isna().all()
    frame = frames.cases()["normal"]
    table = front_table(frame, frames.comparison(frame))
    assert not table.duplicated(["cost", "variant"]).any()
    cheapest = table.loc[table.groupby("cost")["cost_value"].idxmin()]
    assert (cheapest["front_probability"] == 1).all()
    assert cheapest["is_on_front"].all()
    shown = display_front(table)
    assert shown is not None
    assert [row[0].text for row in shown.rows] == list(dict.fromkeys(table["variant"]))
    missing = frames.cases()["all_missing"]
    assert display_front(front_table(missing, frames.comparison(missing))) is None
