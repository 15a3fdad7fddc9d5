"""`python -m search` as a user runs it, with simulated trainings except in one long test.

One module, since all commands share the simulated trainings and one table of wrong use.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from ablations.design.trial import Trial
from ablations.execution.backend import Backend
from ablations.records.store import Store
from search.__main__ import main
from search.benchmark.tabular import Table
from search.engine.measure import Measured
from search.engine.search_plan import SearchPlan
from search.engine.solving import counted
from tests.command import call, run_folder
from tests.search.simulated import Killed, Simulated, accuracy_of
from xception.base.canonical import canonical_json, from_json
from xception.network.config import XceptionConfig
from xception.network.weights import load_xception

pytestmark = pytest.mark.usefixtures("svg_alone")

ONE = ("--space", "table", "--trials", "1")
SMOKE = ("--scale", "smoke", "--dataset", "synthetic")


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """Commands train nothing and measure no latency."""
    executor = Simulated()
    backend = Backend(executor=executor, device="cpu", own_device="cpu")
    monkeypatch.setattr("ablations.running.context.open_backend", lambda options, in_process: backend)
    monkeypatch.setattr("ablations.running.run_study.measure_costs", lambda designs, store, **asked: None)
    return executor


def test_search_ends_with_the_table_of_its_confirmed_winners(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--space",
        "table",
        "--trials",
        "6",
        "--objectives",
        "val_accuracy,macs",
        *SMOKE,
        "--out",
        str(tmp_path),
        "--confirm",
        "2",
        "--confirm-seeds",
        "3",
        "--max-macs",
        "20M",
        "--keep-weights",
        "--optuna-db",
        str(tmp_path / "optuna.db"),
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "baseline" in printed
    assert printed.count("as the mean of 3 fresh seeds") == 2
    table = pd.read_csv(run_folder(tmp_path, "search_table") / "table.csv")
    assert len(table) == 3
    assert (table["n"] == 3).all()
    runs = pd.read_csv(run_folder(tmp_path, "search_table") / "runs.csv")
    assert set(runs["seed"]) == {20_000, 20_001, 20_002}
    (folder,) = (tmp_path / "searches").iterdir()
    assert folder.name.startswith("table-val_accuracy-macs-max_macs-20")
    assert (pd.read_csv(folder / "trials.csv")["status"] == "complete").sum() == 6
    again = pd.read_csv(folder / "confirmation.csv")
    assert set(runs["val_accuracy"].groupby(runs["variant"]).mean().round(9)) >= set(
        again["val_accuracy_fresh"].round(9)
    )
    assert (tmp_path / "optuna.db").is_file()
    assert "Best of 6 candidates at no more than 20.0 M MACs:" in printed
    assert "The search cost 6.0 whole trainings" in printed
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert (
        page.index('id="confirmed"')
        < page.index('id="front"')
        < page.index('id="best-networks"')
        < page.index('id="all"')
    )
    assert "Best networks at no more than 20.0 M MACs" in page
    assert not re.search(r"\de\+\d|>(not known|True|False)<", page), "numbers and words as a reader writes them"
    assert "python run_ablation.py --study activation --dataset synthetic --scale smoke --preset" in page
    networks = sorted((folder / "best").glob("*.safetensors"))
    assert len(networks) == 2
    for path in networks:
        assert load_xception(path).config == from_json(XceptionConfig, path.with_suffix(".json").read_text())
    assert len(list((tmp_path / "networks").iterdir())) == 3 * 3  # three fresh seeds of two winners and the baseline
    best = sorted((folder / "best").glob("*.json"))
    described = json.loads(call("-m", "xception", "describe", "--config", str(best[0]), "--json").stdout)
    number = int(best[0].stem.removeprefix("candidate_"))
    trials = pd.read_csv(folder / "trials.csv").set_index("number")
    assert described["macs"] == trials.loc[number, "macs"]
    dry = call(
        "run_ablation.py", "--study", "aa", *SMOKE, "--preset", str(best[0]), "--dry-run", "--out", str(tmp_path)
    )
    assert len(dry.stdout.splitlines()) == 4


def test_winners_are_judged_at_another_budget_too(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--space", "table", "--trials", "6", *SMOKE, "--out", str(tmp_path), "--confirm", "2"]
    assert main([*words, "--confirm-seeds", "4", "--confirm-across", "recipe.epochs=4", "--epochs", "2"]) == 0
    printed = capsys.readouterr().out
    folder = run_folder(tmp_path, "search_table")
    assert {path.name for path in folder.iterdir() if path.is_dir()} >= {"epochs=2", "epochs=4"}
    for epochs in (2, 4):
        runs = pd.read_csv(folder / f"epochs={epochs}" / "runs.csv")
        assert set(runs["seed"]) == set(range(20_000, 20_004))
        assert runs["variant"].nunique() == 3
    answers = pd.read_csv(folder / "pooled.csv")
    assert len(answers) == 2
    (searched,) = (tmp_path / "searches").iterdir()
    page = (searched / "report.html").read_text(encoding="utf-8")
    for answer in answers.to_dict("records"):
        sentence = f"{answer['variant']}: {answer['sentence']}"
        assert sentence in printed
        assert html.escape(sentence) in page
    assert printed.count("as the mean of 4 fresh seeds") == 2, "compared at the budget of the search"


def test_exhaust_writes_a_table_and_goes_on_where_it_was(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["exhaust", "--space", "table", "--seeds", "1", *SMOKE, "--out", str(tmp_path)]
    assert main([*words, "--dry-run"]) == 0
    assert (
        "72 networks of table on synthetic at scale smoke, 1 seed: 72 trials, 0 stored, 72 to train"
        in capsys.readouterr().err
    )
    assert simulated.trained == []
    assert main(words) == 0
    assert len(simulated.trained) == 72
    assert main([*words, "--dry-run"]) == 0
    assert "72 trials, 72 stored, 0 to train" in capsys.readouterr().err
    table = Table.read(tmp_path / "table.parquet")
    assert table.query(table.design.model).num_seeds == 1  # type: ignore[arg-type]
    store = Store(f"sqlite:///{tmp_path / 'records.db'}")
    assert len(store.get()) == 72
    store.close()


def test_search_without_confirmation_ends_with_what_it_found(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "mine.py"
    space.write_text(
        "from dataclasses import replace\nfrom search.spaces.table import SPACE as BASE\n"
        "SPACE = replace(BASE, name='mine', question='Which of mine?')\n",
        encoding="utf-8",
    )
    words = ["--space", str(space), "--trials", "4", *SMOKE, "--out", str(tmp_path), "--confirm", "0"]
    words += ["--fix", "model.residual.kind=none", "--prior", "width=1.0:0.9"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Best of 4 candidates:" in printed
    (folder,) = (tmp_path / "searches").iterdir()
    assert folder.name.startswith("mine-model.residual.kind-none")
    trials = pd.read_csv(folder / "trials.csv")
    assert all('"residual":{"kind":"none"}' in model for model in trials["model"])
    assert "not trained again with fresh seeds" in (folder / "report.html").read_text(encoding="utf-8")


def test_exhaust_trains_more_of_some_and_exports_as_it_grows(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["exhaust", "--space", "table", "--seeds", "2", "--epochs", "9", *SMOKE, "--out", str(tmp_path)]
    words += ["--rungs", "--extra-seeds", "1", "--held-out", "5", "--longer", "3", "--longer-epochs", "18"]
    assert main(words) == 0
    assert len(simulated.trained) == 72 * 2 + 72 * 2 * 2 + 24 + 5 * 2 + 3 * 2
    told = capsys.readouterr().err
    assert told.index("seed 1 of every network") < told.index("3 epochs of every network")
    table = Table.read(tmp_path / "table.parquet")
    seeds = [len(table.seeds(values)) for values in table.grid]
    hidden = [len(table.all_seeds(values)) - len(table.seeds(values)) for values in table.grid]
    assert sorted(seeds) == [2] * 48 + [3] * 24
    assert sorted(hidden) == [0] * 67 + [2] * 5
    best = max(table.grid, key=lambda values: table.at(values).val_accuracy)
    assert table.trained(best, 0, 3).val_accuracy != table.at(best, 0, 3).val_accuracy  # a separate training
    assert set(table.frame["epochs"]) == {1, 3, 9, 18}
    (tmp_path / "speed.json").write_text('{"work_per_second": 1e9, "work": 1}')
    assert main([*words, "--dry-run", "--store", f"sqlite:///{tmp_path / 'empty.db'}"]) == 0
    planned = capsys.readouterr().err
    assert "72 networks of table" in planned
    assert f"{len(simulated.trained)} trials, 0 stored, {len(simulated.trained)} to train: about" in planned
    assert "core-hours" in planned
    assert "18 epochs of the best: 6 trials" in planned


def test_spaces_are_compared_at_equal_size(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare-spaces", "operators", "middle_flow", "--samples", "6", *SMOKE, "--out", str(tmp_path)]
    assert main(words) == 0
    folder = tmp_path / "spaces" / "operators-middle_flow"
    networks = pd.read_csv(folder / "networks.csv")
    assert networks.groupby("space").size().to_dict() == {"middle_flow": 6, "operators": 6}
    assert networks["macs"].max() / networks["macs"].min() < 1.11
    rows = pd.read_csv(folder / "comparison.csv").set_index("space")
    assert rows["beats_other"].sum() == pytest.approx(1)
    assert (rows["median_ci_low"] <= rows["median_error"]).all()
    assert (folder / "figures" / "distribution.svg").is_file()
    assert "beats_other" in capsys.readouterr().out


def test_contest_confirms_the_best_of_each_sampler_at_two_budgets(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["contest", "--space", "table", "--candidates", "4", "--samplers", "evolution,random", *SMOKE]
    words += ["--confirm-seeds", "3", "--longer-epochs", "5", "--out", str(tmp_path)]
    assert main(words) == 0
    for epochs in (2, 5):
        folder = run_folder(tmp_path, f"contest_table_{epochs}_epochs")
        assert folder.name.endswith("-epochs=5") == (epochs == 5)
        table = pd.read_csv(folder / "table.csv")
        assert table["variant"].iloc[0] == "baseline"
        assert (table["n"] == 3).all()
        assert (table["macs"] <= table["macs"].iloc[0]).all()
    searched = {path.name for path in (tmp_path / "searches").iterdir()}
    assert len(searched) == 2
    frame = pd.read_csv(tmp_path / "contest_table" / "contest.csv")
    assert set(frame["epochs"]) == {2, 5}
    assert (frame.loc[frame["network"] != "default", "candidates"] == 4).all()
    assert (tmp_path / "contest_table" / "figures" / "contest.svg").is_file()
    assert "In 5 epochs, against the default: best of" in capsys.readouterr().out
    trained = len(simulated.trained)
    before = (tmp_path / "contest_table" / "contest.csv").read_text()
    assert main([*words, "--report"]) == 0
    assert len(simulated.trained) == trained
    assert (tmp_path / "contest_table" / "contest.csv").read_text() == before


def test_contest_can_be_read_while_it_runs(simulated: Simulated, tmp_path: Path) -> None:
    words = ["contest", "--space", "table", "--candidates", "4", "--samplers", "evolution,random", *SMOKE]
    words += ["--confirm-seeds", "4", "--longer-epochs", "5", "--out", str(tmp_path)]

    def accuracy(trial: Trial) -> float:
        if (trial.recipe.epochs, trial.seed) == (5, 20_002):
            raise Killed
        return accuracy_of(trial)

    simulated.accuracy = accuracy
    with pytest.raises(Killed):
        main(words)
    assert main([*words, "--report"]) == 0
    text = (tmp_path / "contest_table" / "contest.md").read_text(encoding="utf-8")
    assert "So far 2 of 4 seeds are complete for all networks." in text
    frame = pd.read_csv(tmp_path / "contest_table" / "contest.csv")
    assert frame.groupby("epochs")["n"].min().to_dict() == {2: 4, 5: 2}


def test_contest_tells_its_cost_before_it_begins(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["contest", "--space", "table", "--candidates", "4", *SMOKE, "--out", str(tmp_path), "--dry-run"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "4 candidates with each of evolution, predictor and random, 2 epochs: 12 trainings at most" in printed
    assert "92 trainings: this machine's speed is not measured yet" in printed
    (tmp_path / "speed.json").write_text('{"work_per_second": 1e9, "work": 1}')
    assert main(words) == 0
    assert "92 trainings: about" in capsys.readouterr().out
    assert simulated.trained == []


def test_limit_that_no_measured_network_keeps_ends_in_one_line(
    simulated: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(plan: SearchPlan, network: XceptionConfig, *, store: Store, device: str) -> Measured:
        costs = counted(network, 32) | {"latency_ms": 2.0}
        return Measured(model=canonical_json(network), costs=costs, reason=None, seconds=0.0, num_measured=0)

    monkeypatch.setattr("search.engine.suggestions.measured_costs", measure)
    monkeypatch.setattr("search.engine.suggestions.MOST_MEASURED_REJECTIONS", 7)
    words = [
        "--space",
        "table",
        "--trials",
        "3",
        "--sampler",
        "random",
        "--max-latency-ms",
        "0.5",
        *SMOKE,
        "--out",
        str(tmp_path),
    ]
    for _ in range(2):  # a second time from what is stored
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        told = capsys.readouterr().err.strip().splitlines()[-1]
        assert "--max-latency-ms: none of " in told
        assert told.endswith(" suggestions is within the limits; the closest has 2 latency_ms, allowed: 0.5 at most")
    assert simulated.trained == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--space", "nowhere", "--trials", "1"], "--space: 'nowhere' is not known; allowed: family"),
        (["--trials", "1"], "--space: missing"),
        (["--space", "table"], "--trials: missing"),
        (["--space", "table", "--trials", "0"], "--trials: 0 is not allowed; 1 or more"),
        (["--space", "table", "--trials", "1", "--objectives", "speed"], "--objectives: 'speed' is not known"),
        (["--space", "table", "--trials", "1", "--sampler", "best"], "--sampler: 'best' is not known"),
        (["--space", "table", "--trials", "1", "--pruner", "best"], "--pruner: 'best' is not known"),
        (
            ["--space", "table", "--trials", "1", "--pruner", "median", "--objectives", "val_accuracy,macs"],
            "not allowed with several",
        ),
        (
            ["--space", "table", "--trials", "1", "--max-macs", "many"],
            "--max-macs: 'many' is not allowed; a number above 0 such as",
        ),
        (
            ["--space", "table", "--trials", "1", "--max-macs", "12"],
            "random networks of table is within the limits; the closest has",
        ),
        (["--space", "table", "--trials", "1", "--max-latency-ms", "-1"], "--max-latency-ms: -1 is not allowed"),
        (["--space", "table", "--trials", "1", "--proxies", "luck"], "--proxies: 'luck' is not known"),
        (["--space", "table", "--trials", "1", "--preset", "torchvision:resnet18"], "a search varies networks of ours"),
        (["--space", "table", "--trials", "1", "--confirm", "-1"], "--confirm: -1 is not allowed"),
        (["--space", "table", "--trials", "one"], "--trials"),
        ([*ONE, "--confirm", "0", "--confirm-seeds", "5"], "--confirm-seeds: 5 has no effect with --confirm 0"),
        ([*ONE, "--confirm", "0", "--confirm-across", "recipe.epochs=9"], "--confirm-across: has no effect with"),
        (
            [*ONE, "--confirm-across", "model.exit.width=9"],
            "--confirm-across: model.exit.width is not allowed",
        ),
        ([*ONE, "--confirm-across", "recipe.epoch=9"], "--confirm-across: 'recipe.epoch' is not a field"),
        ([*ONE, "--confirm-across", "recipe.epochs=2"], "--confirm-across recipe.epochs: 2 is the search's own"),
        ([*ONE, "--confirm-across", "recipe.epochs=many"], "recipe.epochs"),
        ([*ONE, "--fix", "depth=3"], "--fix: 'depth' is neither a dimension of table"),
        ([*ONE, "--fix", "width"], "--fix: 'width' is not allowed; FIELD=VALUE"),
        ([*ONE, "--fix", "width=3"], "--fix: width=3 is not allowed; one of 0.5, 1.0"),
        ([*ONE, "--prior", "width=1.0"], "--prior: width=1.0 is not allowed; VALUE:PROBABILITY"),
        ([*ONE, "--prior", "depth=1:0.5"], "--prior: 'depth' is not allowed; a dimension"),
        (["--space", "nowhere.py", "--trials", "1"], "--space: 'nowhere.py' does not exist"),
        (["--json"], "--json: goes with --list"),
        (["exhaust", "--space", "widths"], "--space: widths is not finite"),
        (["exhaust", "--space", "operators"], "--space: operators has 43,380 networks; a space with 1,000 at most"),
        (["exhaust", "--seeds", "0"], "--seeds: 0 is not allowed"),
        (["replay", "--table", "nowhere.parquet"], "--table: nowhere.parquet does not exist"),
        (["serch"], "'serch' is not a command; allowed: exhaust, replay"),
        (["compare-spaces", "family"], "compare-spaces: missing; the names of two spaces"),
        (["compare-spaces", "table", "table"], "compare-spaces: 'table' twice is not allowed"),
        (["contest", "--samplers", "best"], "--samplers: 'best' is not known"),
        (["contest", "--samplers", ""], "--samplers: '' is not allowed; each at most once"),
        (["contest", "--samplers", "random,random"], "--samplers: 'random,random' is not allowed"),
        (["contest", "--dry-run", "--report"], "--report: is not allowed with --dry-run"),
        (["contest", "--report"], "records.db does not exist; leave --report out"),
        (["contest", "--seed", "-1"], "--seed: -1 is not allowed; 0 or more"),
        (["contest", "--longer-epochs", "1"], "--longer-epochs: 1 is not allowed; more than the"),
    ],
)
def test_wrong_use_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.engine.search_plan._TRIES", 50)
    where = [] if words[0] in ("serch", "replay") else [*SMOKE, "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main([*words, *where])
    told = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2
    assert len(told) == 1
    assert message in told[0]
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("words", [["--list"], ["--list", "--json"], ["--help"]])
def test_listing_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys, io, contextlib, search.__main__ as command\nwith contextlib.redirect_stdout(io.StringIO()) as out,"
        " contextlib.suppress(SystemExit): command.main(sys.argv[1:])\nheavy = {'torch', 'pandas', 'sqlalchemy',"
        " 'scipy', 'matplotlib', 'optuna', 'numpy'} & set(sys.modules)\nprint(len(out.getvalue()) > 100, sorted(heavy))"
    )
    assert call("-c", code, *words).stdout.split("\n")[0] == "True []"


def test_list_describes_every_space() -> None:
    spaces = {space["name"]: space for space in json.loads(call("-m", "search", "--list", "--json").stdout)}
    assert spaces["table"]["num_configs"] == 72
    assert spaces["widths"]["num_configs"] is None
    assert all(space["question"].endswith("?") and space["dimensions"] for space in spaces.values())


@pytest.mark.long
def test_search_with_real_trainings_measured_costs_and_proxies(tmp_path: Path) -> None:
    done = call(
        "-m",
        "search",
        "--space",
        "table",
        "--trials",
        "3",
        *SMOKE,
        "--epochs",
        "1",
        "--train-size",
        "64",
        "--workers",
        "2",
        "--objectives",
        "val_accuracy,latency_ms,memory_mib",
        "--proxies",
        "grad_norm,synflow,naswot",
        "--confirm",
        "1",
        "--out",
        str(tmp_path),
    )
    assert "candidate" in done.stdout
    (path,) = (tmp_path / "searches").glob("table*/trials.csv")
    trials = pd.read_csv(path)
    assert trials[["latency_ms", "memory_mib", "grad_norm", "synflow", "naswot"]].notna().all().all()
