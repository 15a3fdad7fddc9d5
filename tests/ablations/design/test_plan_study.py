"""Plans: resolved options, the command that repeats the run, sizes and costs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from ablations import studies
from ablations.costs import training_cost as cost
from ablations.design.matching import size
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.design.study import Study, Variant
from ablations.records.store import Store
from ablations.reporting.results_folder import write_results
from ablations.running.library import run
from xception.base.canonical import difference
from xception.network.config import NormConfig, XceptionConfig

pytestmark = pytest.mark.usefixtures("svg_alone")


def plan(name: str = "residuals", **options: Any) -> Any:
    return plan_study(studies.get_study(name), Options(**{"scale": "smoke", "dataset": "synthetic", **options}))


def test_the_command_asks_for_the_same_run_again() -> None:
    from ablations.design.options import selected
    from run_ablation import Arguments
    from xception.base.command_line import parse

    asked = Options(
        scale="smoke",
        dataset="synthetic",
        seeds=4,
        preset="cifar_small",
        epochs=3,
        train_size=200,
        classes="2-7",
        match="macs",
        tune=2,
        data_dir=Path("/data"),
        out=Path("/out"),
        store="sqlite:////tmp/x.db",
    )
    again = parse(Arguments, ["--study", "residuals", *asked.arguments()], prog="x", description="x")
    assert selected(Options, again) == asked
    for name in (
        "scale",
        "dataset",
        "seeds",
        "preset",
        "epochs",
        "train_size",
        "classes",
        "match",
        "tune",
        "data_dir",
        "out",
        "store",
    ):
        assert getattr(asked, name) != getattr(Options(), name), f"{name} was not asked for"


def test_overrides_come_into_the_trials() -> None:
    base, other = plan(), plan(seeds=5, epochs=3, train_size=100, preset="cifar_small", classes="4")
    assert len(base.trials()) == 4
    assert len(other.trials()) == 10
    trial = other.trials()["with residuals", 4]
    assert (trial.recipe.epochs, trial.dataset.train_size, trial.model.num_classes, trial.seed) == (3, 100, 4, 4)
    assert trial.dataset.fingerprint != base.source.fingerprint


def test_a_batch_is_no_larger_than_the_training_set() -> None:
    assert plan(train_size=10).designs["with residuals"].recipe.batch_size == 10


def test_all_of_the_training_set_is_the_same_trial_as_none_named() -> None:
    one = plan(scale="standard", train_size=10_800)
    all_of_it = plan(scale="standard")
    assert {t.key for t in one.trials().values()} == {t.key for t in all_of_it.trials().values()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs: 0 is not allowed; 1 to 1,000,000"),
        ({"seeds": 0}, "--seeds: 0 is not allowed; 1 to 10,000, or auto"),
        ({"train_size": 1}, "--train-size: 1 is not allowed; 2 to 1,000,000,000,000"),
        (
            {"train_size": 12_000},
            "--train-size: 12000 is not allowed; synthetic leaves 2 to 11936 after 64 for validation",
        ),
        ({"tune": -1}, "--tune: -1 is not allowed"),
        ({"scale": "huge"}, "--scale: 'huge' is not known"),
        ({"preset": "nowhere"}, "preset: 'nowhere' is not allowed"),
    ],
)
def test_wrong_options_are_reported_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        plan(**options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_matched_variants_say_how_far_off_they_are() -> None:
    planned = plan("operators")
    towers = ("inception module", "simplified inception")
    names = (*towers, *(f"linear {name}" for name in towers), "regular")
    assert set(planned.mismatch) == {f"{name}@{match}" for name in names for match in ("params", "macs")}
    assert all(abs(off) < 0.02 for off in planned.mismatch.values())
    assert planned.merged == {f"{name}@macs": f"{name}@params" for name in ("linear simplified inception", "regular")}
    assert not set(planned.merged) & set(planned.designs)
    same = "linear simplified inception@macs is the same network as linear simplified inception@params"
    assert planned.remarks[0] == f"{same}, which represents both"
    assert planned.described().remarks == planned.remarks


def test_variants_that_cannot_be_matched_are_reported() -> None:
    study = Study(
        name="own",
        question="?",
        baseline="a",
        varies=("model.middle.modules", "model.head.hidden"),
        variants=(
            Variant(name="a", changes={"model.middle.modules": 0}),
            Variant(name="b", changes={"model.head.hidden": (4096, 4096)}, match="params"),
        ),
    )
    remark, *_ = plan_study(study, Options(scale="smoke", dataset="synthetic")).remarks
    assert remark.startswith("b@params cannot be brought closer than ")


def test_a_function_of_the_design_gets_the_changes_before_it() -> None:
    study = Study(
        name="own",
        question="?",
        baseline="a",
        varies=("recipe",),
        variants=(
            Variant(name="a"),
            Variant(
                name="b", changes={"recipe.batch_size": 8, "recipe.epochs": lambda design: design.recipe.batch_size}
            ),
        ),
    )
    designs = plan_study(study, Options(scale="smoke", dataset="synthetic")).designs
    assert difference(designs["a"], designs["b"]) == {"recipe.batch_size": (32, 8), "recipe.epochs": (2, 8)}


def test_the_estimate_grows_with_the_work_and_needs_a_measured_speed(tmp_path: Path) -> None:
    small, large = plan(), plan(epochs=4, seeds=4)
    assert cost.read_speed(tmp_path) is None
    assert cost.estimate_seconds([], None) is None
    cost.write_speed(tmp_path, work=1e9, work_per_second=2e9)
    speed = cost.read_speed(tmp_path)
    seconds = [cost.estimate_seconds(((t, p.source_of(t)) for t in p.trials().values()), speed) for p in (small, large)]
    assert seconds[0] is not None
    assert seconds[1] is not None
    assert (
        3 < seconds[1] / seconds[0] < 4
    )  # twice the epochs, twice the seeds; the test set is read once whatever the epochs


def test_a_short_run_does_not_replace_a_speed_measured_over_a_long_one(tmp_path: Path) -> None:
    cost.write_speed(tmp_path, work=1e12, work_per_second=5.0)
    cost.write_speed(tmp_path, work=1e9, work_per_second=1.0)
    assert cost.read_speed(tmp_path) == 5.0
    cost.write_speed(tmp_path, work=1e12, work_per_second=6.0)
    assert cost.read_speed(tmp_path) == 6.0
    (tmp_path / "speed.json").write_text("{}")
    assert cost.read_speed(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "macs", "size"),
    [("vgg16", 15.47e9, 224), ("resnet152", 11.51e9, 224), ("inception_v3", 5.71e9, 299), ("resnet18", 1.81e9, 224)],
)
def test_networks_that_are_not_ours_have_a_cost_too(name: str, macs: float, size: int) -> None:
    from xception.network import presets

    model = presets.get(f"torchvision:{name}")
    assert cost.forward_work(model, size) == pytest.approx(macs)
    assert cost.forward_work(model, size // 2) < macs / 3


def test_durations_are_rough() -> None:
    assert [cost.duration(s) for s in (12, 600, 7_200, 400_000)] == ["12 s", "10 min", "2.0 h", "4.6 days"]


REGULAR_IN_STEPS = {"model.norm": NormConfig(kind="group", groups=16), "model.operator.kind": "regular"}


def unmatchable(baseline: str = "separable", **more: Any) -> Study:
    """Regular convolutions in steps of 16 channels reach at best 97 % of the baseline's MACs."""
    variants = (Variant(name="separable"), Variant(name="regular", changes=REGULAR_IN_STEPS, match="macs"))
    return Study(
        name="steps",
        question="?",
        variants=variants,
        baseline=baseline,
        varies=("model.norm", "model.operator"),
        **more,
    )


def test_a_baseline_is_trained_at_several_widths_where_none_of_the_variant_matches() -> None:
    planned = plan_study(unmatchable(), Options(scale="smoke", dataset="synthetic", seeds="auto"))
    assert abs(planned.mismatch["regular@macs"]) > 0.02
    (curve,) = planned.curves
    assert (curve.baseline, curve.variants) == ("separable", ("regular@macs",))
    macs = {
        name: size(cast("XceptionConfig", design.model), "macs", 32)
        for name, design in (planned.designs | planned.widths).items()
    }
    on_curve = sorted([macs["separable"], *(macs[name] for name in curve.widths)])
    assert len(on_curve) == 3
    assert on_curve[0] <= macs["regular@macs"] <= on_curve[-1]
    for name, design in curve.widths.items():
        changed = difference(planned.designs["separable"], design)
        assert list(changed) == ["model.width_multiplier"], name
    assert len(planned.trials()) == 10 * (2 + len(curve.widths))
    assert len(planned.trials({"separable": 5, "regular@macs": 2})) == 5 + 2 + 2 * len(curve.widths)
    assert any("is compared with separable's accuracy over MACs" in line for line in planned.remarks)


def test_what_matches_needs_no_other_widths() -> None:
    planned = plan("operators", match="params")
    assert planned.curves == ()
    assert set(planned.designs) == {variant for variant, _ in planned.trials()}


def test_widths_are_trained_and_reported_but_are_no_variants(tmp_path: Path) -> None:
    results = run(unmatchable(), scale="smoke", dataset="synthetic", train_size=40, epochs=1, seeds=2, out=tmp_path)
    assert list(results.comparison["variant"]) == ["separable", "regular@macs"]
    assert set(results.frame["variant"]) == {"separable", "regular@macs"}
    trained = pd.read_csv(results.folder / "runs.csv")
    assert trained.groupby("variant").size().to_dict() == {
        "separable": 2,
        "regular@macs": 2,
        "separable at width 0.93": 2,
        "separable at width 1.05": 2,
    }
    told = pd.read_csv(results.folder / "distances.csv").iloc[0]
    by = trained.set_index(["variant", "seed"])["test_accuracy"]
    macs = trained.groupby("variant")["macs"].first()
    low, high = (
        ("separable at width 0.93", "separable")
        if told["macs"] < macs["separable"]
        else ("separable", "separable at width 1.05")
    )
    share = math.log(told["macs"] / macs[low]) / math.log(macs[high] / macs[low])
    expected = [by["regular@macs", seed] - (1 - share) * by[low, seed] - share * by[high, seed] for seed in (0, 1)]
    assert told["mean"] == pytest.approx(sum(expected) / 2)
    assert told["n"] == 2
    assert (results.folder / "figures" / "distances.png").is_file()
    assert "regular@macs" in (results.folder / "distances.md").read_text()
    assert "accuracy over MACs" in (results.folder / "report.html").read_text()


def test_a_curve_that_is_not_trained_yet_gives_no_numbers(tmp_path: Path) -> None:
    planned = plan_study(unmatchable(), Options(scale="smoke", dataset="synthetic", seeds=2))
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    stored = planned.stored_plan()
    store.put_plan(stored)
    folder = write_results(store, stored, tmp_path).folder
    store.close()
    told = pd.read_csv(folder / "distances.csv")
    assert told["n"].tolist() == [0]
    assert told["mean"].isna().all()
    assert not (folder / "figures" / "distances.png").exists()


def test_inception_modules_are_those_of_the_papers_and_linear_ones_have_a_name_of_their_own() -> None:
    designs = plan("operators").designs
    towers = {name: designs[name].model.at("operator") for name in designs if "inception" in name and "@" not in name}
    assert {name: (o.tower_norm, o.tower_activation) for name, o in towers.items()} == {
        "inception module": (True, "relu"),
        "simplified inception": (True, "relu"),
        "linear inception module": (None, None),
        "linear simplified inception": (None, None),
    }
    for study in ("paper_table2", "paper_table3", "paper_figures"):
        modules = [design.model.at("operator") for name, design in plan(study).designs.items() if "Inception" in name]
        assert modules
        assert all((o.kind, o.tower_norm, o.tower_activation) == ("inception", True, "relu") for o in modules)
