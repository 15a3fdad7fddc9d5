"""Figures: every seed a point, nothing covered, the data and n stated, in the normal case and in edge cases."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ablations.reporting import accuracy_plots as accuracy
from ablations.reporting import cost_plots as cost
from ablations.reporting import curve_plots as curves
from ablations.reporting import factor_plots as factors
from ablations.reporting import figures as plots
from ablations.reporting import plotted, style
from ablations.reporting.plot_rows import counted, references, seed_offsets
from ablations.statistics.pareto import hypervolume, pareto_front
from search.results import plots as search
from tests import frames

CASES = {name: frame for name, frame in frames.cases().items() if name != "two_hundred"}
COMPARISONS = {name: frames.comparison(frame) for name, frame in CASES.items()}
MAKERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame], Figure]] = {
    "strip": accuracy.strip_plot,
    "forest": accuracy.forest_plot,
    "macs": lambda f, c: cost.cost_plot(f, c, "macs"),
    "params": lambda f, c: cost.cost_plot(f, c, "params"),
    "latency": cost.latency_plot,
    "curves": curves.learning_curves,
}


def _texts(figure: Figure) -> list[Text]:
    """All visible texts; of the tick labels, those inside the limits."""
    figure.draw_without_rendering()
    texts = list(figure.texts)
    for axes in figure.axes:
        if not axes.axison:
            continue
        texts += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        if (legend := axes.get_legend()) is not None:
            texts += [*legend.get_texts(), legend.get_title()]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                tick.label1
                for tick in axis.get_major_ticks()
                if low <= tick.get_loc() <= high and tick.label1.get_visible()
            ]
    return [t for t in texts if t.get_visible() and t.get_text().strip()]


def _all_text(figure: Figure) -> str:
    return " ".join(t.get_text().replace("\n", " ") for t in _texts(figure))


def _points(figure: Figure) -> np.ndarray:
    """All seeds that are drawn as points, (N, 2)."""
    return np.vstack(
        [
            np.asarray(c.get_offsets())
            for axes in figure.axes
            for c in axes.collections
            if len(np.asarray(c.get_offsets())) > 1
        ]
    )


@functools.cache
def _made(case: str, maker: str) -> Figure:
    return MAKERS[maker](CASES[case], COMPARISONS[case])


@pytest.mark.parametrize(
    ("case", "maker"),
    [
        *itertools.product(["normal", "half_finished", "hostile", "twelve_long"], MAKERS),
        *itertools.product(["all_diverged", "variant_diverged", "one_seed", "two_baselines"], ["strip", "forest"]),
        ("one_variant", "strip"),
        ("one_variant", "macs"),
        ("one_variant", "curves"),
        ("all_diverged", "curves"),
    ],
)
def test_every_case_is_drawn_inside_the_figure_with_its_data_and_no_text_on_another(case: str, maker: str) -> None:
    figure = _made(case, maker)
    assert CASES[case]["dataset"].iloc[0] in _all_text(figure)
    assert "scale: quick" in _all_text(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert figure.get_figwidth() == style.COLUMN_WIDTH
    for text in _texts(figure):
        box = Text.get_window_extent(text)  # the bounds of an annotation without its line
        assert box.x0 >= -2, text.get_text()
        assert box.x1 <= width + 2, text.get_text()
        assert box.y0 >= -2, text.get_text()
        assert box.y1 <= height + 2, text.get_text()
    _assert_apart(figure)


@pytest.mark.parametrize("maker", ["forest", "latency"])
def test_one_variant_cannot_be_compared(maker: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        _made("one_variant", maker)


def _assert_apart(figure: Figure) -> None:
    boxes = [(t.get_text(), Text.get_window_extent(t)) for t in _texts(figure)]
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert not (across > 1 and up > 1), f"{one!r} covers {other!r}"


def test_the_strip_shows_every_seed_at_its_value() -> None:
    frame = CASES["normal"]
    drawn = np.sort(_points(accuracy.strip_plot(frame, COMPARISONS["normal"]))[:, 0])
    np.testing.assert_allclose(drawn, np.sort(100 * frame["test_accuracy"].to_numpy(dtype=float)))


def test_the_forest_shows_every_pair_at_its_difference() -> None:
    frame = CASES["normal"]
    wide = frame.pivot(index="seed", columns="variant", values="test_accuracy")
    expected = 100 * wide.drop(columns="full").sub(wide["full"], axis=0).to_numpy().ravel()
    drawn = _points(accuracy.forest_plot(frame, COMPARISONS["normal"]))[:, 0]
    np.testing.assert_allclose(np.sort(drawn), np.sort(expected), atol=1e-9)


def test_a_diverged_trial_is_shown_at_chance() -> None:
    frame = CASES["half_finished"]
    rows = counted(frame)
    assert rows.loc[rows["status"] == "diverged", "percent"].tolist() == [10.0]
    assert "drawn at chance, in no mean" in _all_text(accuracy.strip_plot(frame, COMPARISONS["half_finished"]))


def test_each_variant_is_compared_with_its_own_baseline() -> None:
    frame = CASES["two_baselines"]
    pairs = accuracy.paired_differences(counted(frame), references(frame))
    wide = frame.pivot(index="seed", columns="variant", values="test_accuracy")
    assert set(pairs["variant"]) == {"small, without", "large, without", "large, half"}
    for variant, baseline in (("small, without", "small, with"), ("large, half", "large, with")):
        np.testing.assert_allclose(
            pairs[pairs["variant"] == variant].sort_values("seed")["points"], 100 * (wide[variant] - wide[baseline])
        )


def test_the_verdicts_and_the_interval_are_in_the_forest() -> None:
    said = _all_text(accuracy.forest_plot(CASES["normal"], COMPARISONS["normal"]))
    for part in (
        "hurts",
        "inconclusive",
        "n = 5 pairs",
        "thick bars: 90 %",
        "simultaneous over 3 comparisons",
        "±δ = ±0.50 pp",
    ):
        assert part in said


def test_a_difference_has_a_thin_and_a_thick_bar() -> None:
    comparison = COMPARISONS["normal"]
    axes = accuracy.forest_plot(CASES["normal"], comparison).axes[0]
    bars = {tuple(np.round(np.asarray(line.get_xdata(), dtype=float), 9)): line.get_linewidth() for line in axes.lines}
    for row in comparison.iloc[1:].to_dict("records"):
        thin, thick = (
            bars[tuple(np.round([100 * row[f"{name}_ci_{end}"] for end in ("low", "high")], 9))]
            for name in ("delta", "equivalence")
        )
        assert thick > 2 * thin


@pytest.mark.long
def test_two_hundred_variants_make_figures_of_one_page() -> None:
    frame = frames.records([f"variant_{i:03d}" for i in range(200)], seeds=2)
    comparison = frames.comparison(frame)
    for maker in ("strip", "forest", "params", "curves"):
        assert MAKERS[maker](frame, comparison).get_figheight() < 11
    assert "200 variants, best on top" in _all_text(accuracy.strip_plot(frame, comparison))


def test_without_results_there_is_a_line_and_no_figure() -> None:
    frame, comparison = CASES["all_missing"], COMPARISONS["all_missing"]
    assert plots.study_figures(frame, comparison) == []
    with pytest.raises(ValueError, match="no trial has ended with a result"):
        accuracy.strip_plot(frame, comparison)
    with pytest.raises(ValueError, match="no trial has a curve"):
        curves.learning_curves(frame, comparison)


@pytest.mark.parametrize(
    ("costs", "values", "front"),
    [
        ([1, 2, 3], [1, 2, 3], [0, 1, 2]),
        ([1, 2, 3], [3, 2, 1], [0]),
        ([2, 1, 1], [5, 1, 4], [2, 0]),
        ([1, 1], [2, 2], [0]),
        ([1], [1], [0]),
    ],
)
def test_the_front_holds_what_no_other_beats(costs: list[float], values: list[float], front: list[int]) -> None:
    assert pareto_front(costs, values) == front


def test_hypervolume_agrees_with_counting_cells() -> None:
    rng = np.random.default_rng(0)
    for dimensions in (1, 2, 3):
        points = rng.integers(0, 8, (6, dimensions)).astype(float)
        cells = np.stack(np.meshgrid(*[np.arange(8) + 0.5] * dimensions), axis=-1).reshape(-1, dimensions)
        covered = np.asarray((cells[:, None] > points[None]).all(axis=2)).any(axis=1).sum()
        assert hypervolume(points, np.full(dimensions, 8.0)) == pytest.approx(covered)
    assert hypervolume(np.array([[9.0, 1.0]]), np.array([8.0, 8.0])) == 0


def test_search_figures_show_every_trial() -> None:
    trials = frames.searched()
    made = [
        search.history_plot(trials, "val_accuracy"),
        search.front_over_time(trials, ("val_accuracy", "macs"), maximise=(True, False)),
        search.hypervolume_plot(trials, ("val_accuracy", "macs"), maximise=(True, False)),
        search.space_distribution(trials),
        search.importance_plot({"middle.num_modules": 0.6, "stem.width": 0.4}, objective="val_accuracy"),
    ]
    assert len(_points(made[0])) == len(_points(made[1])) == 57
    assert "3 trials that did not complete" in _all_text(made[0])
    for figure in made:
        _assert_apart(figure)


def test_search_figures_refuse_what_is_not_there() -> None:
    trials = frames.searched()
    with pytest.raises(ValueError, match="no column latency"):
        search.history_plot(trials, "latency")
    with pytest.raises(ValueError, match="none of 60 is complete"):
        search.history_plot(trials.assign(status="failed"), "val_accuracy")
    with pytest.raises(ValueError, match="importances"):
        search.importance_plot({}, objective="val_accuracy")


def test_factors_are_drawn_for_factorial_studies_only() -> None:
    frame = frames.factorial()
    assert factors.factor_pairs(frame) == [("depth of the middle flow", "normalisation")]
    assert factors.factor_pairs(CASES["normal"]) == []
    names = [figure.name for figure in plots.study_figures(frame, frames.comparison(frame))]
    assert "factors_depth_of_the_middle_flow_normalisation" in names
    assert "interaction_depth_of_the_middle_flow_normalisation" in names
    heat = factors.factor_heat_map(frame, "depth of the middle flow", "normalisation")
    mean = 100 * frame.loc[frame["variant"] == "8 modules, none", "test_accuracy"].mean()
    assert f"{mean:.2f}" in _all_text(heat)
    with pytest.raises(ValueError, match="no trial has levels"):
        factors.interaction_plot(CASES["normal"].assign(levels=None), "depth", "norm")


def test_figures_are_saved_as_all_kinds_and_the_same_twice(tmp_path: Path) -> None:
    few = [
        plots.save_figures(frames.few_figures(CASES["normal"], COMPARISONS["normal"]), tmp_path / name)
        for name in ("a", "b")
    ]
    first, second = few
    for one, other in zip(first, second, strict=True):
        assert one.svg.read_bytes() == other.svg.read_bytes()
        assert one.png.read_bytes() == other.png.read_bytes()
        assert one.pdf.read_bytes() == other.pdf.read_bytes()
        assert b"/FontFile2" in one.pdf.read_bytes()  # the font is embedded
        with Image.open(one.png) as image:
            assert image.width == 990  # 3.3 inches at 300 dots each
        assert one.alt.endswith(".")


def test_a_study_gets_the_figures_it_has_data_for() -> None:
    names = [figure.name for figure in plots.study_figures(CASES["normal"], COMPARISONS["normal"])]
    costs = ["accuracy_macs", "accuracy_params", "accuracy_latency_ms", "macs_latency"]
    assert names == ["differences", "accuracy", "learning_curves", *costs]


def test_each_figure_has_the_numbers_that_it_draws(tmp_path: Path) -> None:
    frame, comparison = CASES["half_finished"], COMPARISONS["half_finished"]
    differences = plotted.differences(frame, comparison).set_index(["variant", "seed"])
    own = frame.set_index(["variant", "seed"])["test_accuracy"]
    assert differences.loc[("entry only", 3), "difference"] == pytest.approx(own["entry only", 3] - own["full", 3])
    assert differences.loc[("none", 1), "difference"] == pytest.approx(0.1 - own["full", 1])  # diverged: at chance
    assert differences.loc[("none", 1), "diverged"]
    assert len(differences) == 5 + 3 + 1
    accuracies = plotted.accuracies(frame, comparison)
    assert len(accuracies) == 14  # 13 complete and one diverged
    figure = plots.StudyFigure(name="drawn", alt="Drawn.", figure=style.new_figure(1.0), data=accuracies)
    plots.save_figure(figure, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "drawn.csv"), accuracies, check_dtype=False, check_exact=False)
    assert all(one.data is not None and len(one.data) for one in plots.study_figures(frame, comparison))


def test_figures_leave_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.save_figures(frames.few_figures(CASES["one_seed"], COMPARISONS["one_seed"]), tmp_path)
    assert dict(mpl.rcParams) == before


def test_names_import_no_plotting() -> None:
    modules = "ablations, ablations.reporting.figures, ablations.reporting.report, ablations.reporting.tables"
    code = f"import sys, {modules}; print({{'matplotlib', 'seaborn', 'jinja2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_verdicts_differ_in_shape_where_colour_is_lost() -> None:
    marks = list(style.VERDICT_MARKS.values())
    assert len({mark.marker for mark in marks}) == len(marks)


def test_the_paper_style_has_neither_title_nor_note_and_writes_them_for_a_caption(tmp_path: Path) -> None:
    few = frames.few_figures(CASES["normal"], COMPARISONS["normal"])
    heights = [figure.figure.get_figheight() for figure in few]
    saved = plots.save_figures(few, tmp_path, figure_style="paper")
    for figure, height, files in zip(few, heights, saved, strict=True):
        assert figure.figure.get_suptitle() == ""
        assert not figure.figure.get_supxlabel() or figure.figure.get_supxlabel().startswith("1  ")
        assert figure.figure.get_figheight() < height
        caption = (tmp_path / f"{figure.name}.txt").read_text(encoding="utf-8")
        assert "Data:" in caption
        assert files.pdf.is_file()


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5, 10, 30])
def test_no_seed_is_drawn_where_intervals_are(num_seeds: int) -> None:
    offsets = seed_offsets(pd.Series(range(num_seeds)))
    assert len(set(offsets)) == num_seeds
    assert (abs(offsets) >= 0.13).all()
    assert (abs(offsets) <= 0.26).all()
