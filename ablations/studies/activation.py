"""Which activation should the network use?

The paper uses ReLU (Figure 5). Others have since been found better, on larger networks than those of a quick study.

    python run_ablation.py --study activation

Seven variants; the initial values of weights are the same for all.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="activation",
    question="Is ReLU the right activation for this network?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5",
    variants=one_at_a_time(
        "model.activation",
        {
            "ReLU": "relu",
            "leaky ReLU": "leaky_relu",
            "ELU": "elu",
            "SiLU": "silu",
            "GELU": "gelu",
            "hard swish": "hard_swish",
            "Mish": "mish",
        },
    ),
    baseline="ReLU",
    varies=("model.activation",),
)
