"""Does dropout before the classifier help?

The paper drops half of the features before the classifier on ImageNet, and none on JFT, whose size makes it unnecessary
(section 4.4).

    python run_ablation.py --study dropout

Four variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="dropout",
    question="Does dropout before the classifier help?",
    reference="Chollet 2017, arXiv:1610.02357, section 4.4",
    variants=one_at_a_time(
        "model.head.dropout", {"no dropout": 0.0, "dropout 0.1": 0.1, "dropout 0.25": 0.25, "dropout 0.5": 0.5}
    ),
    baseline="no dropout",
    varies=("model.head.dropout",),
)
