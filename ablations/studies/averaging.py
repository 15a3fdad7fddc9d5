"""Does averaging the weights help?

The paper evaluates a running average of the weights (Polyak and Juditsky 1992; section 4.3). The decays are those of an
exponential average per step, so the larger ones need more steps to forget the start.

    python run_ablation.py --study averaging

Four variants. The study changes only the recipe and leaves a network of torchvision or timm unchanged.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="averaging",
    question="Does averaging the weights over training help?",
    reference="Chollet 2017, arXiv:1610.02357, section 4.3; Polyak and Juditsky 1992",
    variants=one_at_a_time(
        "recipe.ema_decay", {"off": 0.0, "decay 0.9": 0.9, "decay 0.99": 0.99, "decay 0.999": 0.999}
    ),
    baseline="off",
    varies=("recipe.ema_decay",),
)
