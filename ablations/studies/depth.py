"""How deep should the middle flow be?

The paper repeats the middle module eight times (Figure 5) and gives no reason. Here it has none to sixteen, at the
scale's own widths.

    python run_ablation.py --study depth

Six variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="depth",
    question="How many modules should the middle flow have?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5",
    variants=one_at_a_time(
        "model.middle.modules", {f"{n} module{'' if n == 1 else 's'}": n for n in (0, 1, 2, 4, 8, 16)}
    ),
    baseline="4 modules",
    varies=("model.middle.modules",),
)
