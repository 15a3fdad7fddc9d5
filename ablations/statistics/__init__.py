"""Paired effects, intervals, corrections, power, racing, verdicts: pure functions of arrays.

`decisions.decide` is the one way from differences to a verdict and `sequential.race` runs it look by look;
`ablations.compare` applies them to a frame of records and `benchmarks.statistics` to simulated studies.
"""

from __future__ import annotations

from ablations.statistics.calibration import calibration_error, overconfidence
from ablations.statistics.curves import area_under_curve, epochs_to_reach
from ablations.statistics.decisions import (
    ALPHA,
    EQUIVALENT,
    FEWEST_PAIRS,
    HELPS,
    HURTS,
    INCONCLUSIVE,
    SMALLEST_FAMILY,
    VERDICTS,
    Decisions,
    decide,
)
from ablations.statistics.examples import (
    Disagreement,
    crossed_interval,
    disagreement,
    pack_correct,
    seed_disagreement,
    unpack_correct,
)
from ablations.statistics.factorial import Contrast, contrasts, per_seed
from ablations.statistics.matched import VerticalDistance, vertical_distance
from ablations.statistics.paired import (
    Array,
    Interval,
    Moments,
    bootstrap_interval,
    difference_p,
    hedges_g,
    moments,
    probability_of_improvement,
    seed_correlation,
    sign_flip_p,
    t_interval,
    wins,
)
from ablations.statistics.planning import (
    FEASIBLE,
    MoreSeeds,
    difference_power,
    equivalence_power,
    more_seeds,
    sd_limit,
    seeds_needed,
)
from ablations.statistics.predictions import (
    Agreement,
    ChangedExamples,
    agreement,
    changed_examples,
    class_accuracy,
    confusion_shares,
)
from ablations.statistics.sentences import points, probability, sentence, verdict_words
from ablations.statistics.sequential import LOOKS, Look, Race, chance_of_verdict, race

__all__ = [
    "ALPHA",
    "EQUIVALENT",
    "FEASIBLE",
    "FEWEST_PAIRS",
    "HELPS",
    "HURTS",
    "INCONCLUSIVE",
    "LOOKS",
    "SMALLEST_FAMILY",
    "VERDICTS",
    "Agreement",
    "Array",
    "ChangedExamples",
    "Contrast",
    "Decisions",
    "Disagreement",
    "Interval",
    "Look",
    "Moments",
    "MoreSeeds",
    "Race",
    "VerticalDistance",
    "agreement",
    "area_under_curve",
    "bootstrap_interval",
    "calibration_error",
    "chance_of_verdict",
    "changed_examples",
    "class_accuracy",
    "confusion_shares",
    "contrasts",
    "crossed_interval",
    "decide",
    "difference_p",
    "difference_power",
    "disagreement",
    "epochs_to_reach",
    "equivalence_power",
    "hedges_g",
    "moments",
    "more_seeds",
    "overconfidence",
    "pack_correct",
    "per_seed",
    "points",
    "probability",
    "probability_of_improvement",
    "race",
    "sd_limit",
    "seed_correlation",
    "seed_disagreement",
    "seeds_needed",
    "sentence",
    "sign_flip_p",
    "t_interval",
    "unpack_correct",
    "verdict_words",
    "vertical_distance",
    "wins",
]
