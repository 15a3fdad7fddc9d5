"""How wide should the network be?

All widths of stem and flows are multiplied alike (Howard et al. 2017, arXiv:1704.04861, call it the width multiplier).

    python run_ablation.py --study width

Five variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="width",
    question="What does a wider or narrower network gain or lose?",
    source="Howard et al. 2017, arXiv:1704.04861, section 3.3",
    variants=one_at_a_time("model.width_multiplier", {"×0.5": 0.5, "×0.75": 0.75, "×1": ..., "×1.5": 1.5, "×2": 2.0}),
    baseline="×1",
    varies=("model.width_multiplier",),
)
