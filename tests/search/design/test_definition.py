"""The definition of a search: names, numbers and combinations that are refused, and the messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search.simulated import make_plan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "annealing"}, "--sampler: 'annealing' is not known; allowed: random"),
        ({"pruner": "ash"}, "--pruner: 'ash' is not known"),
        ({"objectives": ("accuracy",)}, "--objectives: 'accuracy' is not known; allowed: val_accuracy"),
        ({"objectives": ("macs", "macs")}, "each at most once"),
        ({"objectives": ()}, "--objectives"),
        (
            {"pruner": "median", "objectives": ("val_accuracy", "macs")},
            "--pruner: 'median' is not allowed with several objectives; asha or none",
        ),
        ({"pruner": "asha", "epochs": 9, "seeds_per_candidate": 2}, "which continues one training"),
        ({"sampler": "predictor", "objectives": ("macs",)}, "--sampler: 'predictor' has nothing to learn from"),
        ({"pruner": "median", "objectives": ("macs",)}, "has no effect where nothing is trained"),
        ({"pruner": "asha", "epochs": 2}, "nothing to stop in trainings of 2 epochs"),
        ({"pruner": "wilcoxon"}, "--seeds-per-candidate 5 or more"),
        ({"sampler": "cmaes"}, "--sampler: 'cmaes' needs dimensions that are all numbers"),
        ({"limits": (("macs", -1.0),)}, "--max-macs: -1 is not allowed"),
        ({"seed": -1}, "--seed: -1 is not allowed; 0 or more"),
        ({"seeds_per_candidate": 0}, "--seeds-per-candidate: 0 is not allowed"),
        ({"accuracy_at_most": 1.5}, "--accuracy-at-most: 1.5 is not allowed"),
        ({"population": 30}, "--population: 30 has no effect with --sampler tpe; leave it out, or use nsga2"),
        ({"accuracy_at_most": 0.5}, "--accuracy-at-most: 0.5 has no effect without val_accuracy and another objective"),
        (
            {"objectives": ("macs",), "seeds_per_candidate": 2},
            "--seeds-per-candidate: 2 has no effect where nothing is trained",
        ),
        ({"objectives": ("macs",), "filter": "synflow"}, "--filter: 'synflow' has no effect where nothing is trained"),
        ({"warm_start": "luck"}, "--warm-start: 'luck' is not known; allowed: grad_norm, synflow, naswot"),
    ],
)
def test_wrong_use_is_named(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make_plan(tmp_path, **options)  # type: ignore[arg-type]
    assert message in str(caught.value)
