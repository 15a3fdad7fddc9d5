"""Every study of the catalogue trained at smoke scale, in one process: each variant is complete, and its training is
not its baseline's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ablations import studies
from ablations.analysis.frame import plan_frame
from ablations.design.options import Options
from ablations.design.plan_study import plan_study
from ablations.execution.backend import Backend
from ablations.execution.executor import SerialExecutor
from ablations.records.store import Store
from ablations.reporting.extras import write_extras
from ablations.reporting.results_folder import comparison_with_costs
from ablations.running.context import Context
from ablations.running.training import train
from tests.trials import RecordingDisplay

pytestmark = pytest.mark.long

# Less than smoke: one epoch of 64 images is enough to see that two trainings differ.
SMALLER = {"scale": "smoke", "dataset": "synthetic", "epochs": 1, "train_size": 64, "seeds": 1}
SETS_ITS_OWN_DATA = {"correlations"}
# Without norms, with norms frozen before they have settled, or at 152 layers after two steps, a network may lose its
# loss.
MAY_DIVERGE = {"no norm", "norms frozen", "VGG-16", "ResNet-152"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("catalogue")


@pytest.fixture(scope="module")
def store(out: Path) -> Iterator[Store]:
    """One store for all studies, so that what they share is trained once."""
    opened = Store(f"sqlite:///{out / 'records.db'}")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", studies.names())
def test_a_study_runs(name: str, store: Store, out: Path) -> None:
    plan = plan_study(studies.get_study(name), Options(out=out, **SMALLER))  # type: ignore[arg-type]
    backend = Backend(executor=SerialExecutor(), device="cpu", own_device="cpu")
    outcome = train(Context(plan=plan, store=store, backend=backend, display=RecordingDisplay()))
    assert outcome.num_failed == 0
    frame = plan_frame(store, outcome.plan)
    records = frame.set_index("variant")
    references = plan.study.references()
    assert set(records.index) == set(plan.designs)
    for variant, record in records.iterrows():
        may_diverge = any(words in str(variant) for words in MAY_DIVERGE)
        assert record["status"] == "complete" or (may_diverge and record["status"] == "diverged"), (
            f"{variant}: {record['reason']}"
        )
        reference = records.loc[references[str(variant)]]
        if variant == references[str(variant)]:
            continue
        seen = [(r["curves"], r["test_loss"], r["correct"]) for r in (record, reference)]
        assert seen[0] != seen[1], f"{variant} trains as {references[str(variant)]} does"
    comparison = comparison_with_costs(store, outcome.plan, frame)
    assert list(comparison["variant"]) == list(plan.designs)
    assert set(comparison.loc[comparison["verdict"] == "baseline", "variant"]) == set(references.values())
    folder = out / name
    folder.mkdir()
    write_extras(store, outcome.plan, frame, comparison, folder)
    assert (folder / "effects.md").exists() == (len({len(v.levels) for v in plan.study.variants} - {0, 1}) > 0)
    assert (folder / "paper.md").exists() == name.startswith("paper_")
