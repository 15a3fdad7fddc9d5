"""Where should normalisation stand?

The paper normalises after every convolution (Figure 5, caption); the aligned Xceptions (Chen et al. 2018,
arXiv:1802.02611) also normalise between depthwise and pointwise; He et al. 2016 (arXiv:1603.05027) do so before the
activation.

    python run_ablation.py --study norm_placement

Five variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="norm_placement",
    question="Does it matter where batch normalisation stands in a module?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5; He et al. 2016, arXiv:1603.05027",
    variants=one_at_a_time(
        "model.norm.placement",
        {
            "after convolution": "after_convolution",
            "after each convolution": "each_convolution",
            "before activation": "before_activation",
            "after activation": "after_activation",
            "after sum": "after_sum",
        },
    ),
    baseline="after convolution",
    varies=("model.norm.placement",),
)
