"""Which convolution should an Xception module use?

The paper's Figures 1 to 4 lead from the Inception module over a simplified one to the separable
convolution, its extreme; the study puts each in the place of the separable convolution, and a regular
convolution beside them. Their sizes differ by up to a factor of nine: ask for `--match params` or
`--match macs` to compare at equal cost.

    python run_ablation.py --study operators

Four variants.
"""

from __future__ import annotations

from ablations.study import Study, one_at_a_time

STUDY = Study(
    name="operators",
    question="Do separable convolutions beat Inception modules and regular convolutions in the same network?",
    source="Chollet 2017, arXiv:1610.02357, sections 1 to 3, Figures 1 to 4",
    variants=one_at_a_time(
        "model.operator.kind",
        {
            "separable": "separable",
            "inception module": "inception",
            "simplified inception": "simplified_inception",
            "regular": "regular",
        },
    ),
    baseline="separable",
    varies=("model.operator.kind",),
)
