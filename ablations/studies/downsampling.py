"""How should modules reduce resolution?

The paper uses max pooling (Figure 5); the aligned Xceptions (Chen et al. 2018, arXiv:1802.02611) use a stride in the
last separable convolution; anti-aliased pooling blurs between maximum and subsampling (Zhang 2019, arXiv:1904.11486).

    python run_ablation.py --study downsampling

Four variants.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="downsampling",
    question="How should modules reduce resolution?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5; Chen et al. 2018, arXiv:1802.02611;"
    " Zhang 2019, arXiv:1904.11486",
    variants=one_at_a_time(
        "model.downsampling",
        {
            "max pooling": "max_pool",
            "strided convolution": "strided",
            "average pooling": "average_pool",
            "anti-aliased": "anti_aliased",
        },
    ),
    baseline="max pooling",
    varies=("model.downsampling",),
)
