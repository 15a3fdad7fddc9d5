"""Does attention over channels help an Xception?

Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) and efficient channel attention (Wang et al. 2020,
arXiv:1910.03151) multiply each channel at the end of a module's branch by a factor computed from all channels. Both
papers report gains on ImageNet with networks of other blocks; the separable convolution already has a 1×1 convolution
over all channels.

    python run_ablation.py --study attention

Three variants; parameters grow by a few percent with squeeze-and-excitation and by a few numbers with ECA.
"""

from __future__ import annotations

from ablations.design.study import Study, one_at_a_time

STUDY = Study(
    name="attention",
    question="Does attention over channels help this network?",
    reference="Hu et al. 2018, arXiv:1709.01507; Wang et al. 2020, arXiv:1910.03151",
    variants=one_at_a_time(
        "model.attention.kind", {"no attention": "none", "squeeze-and-excitation": "se", "ECA": "eca"}
    ),
    baseline="no attention",
    varies=("model.attention.kind",),
)
