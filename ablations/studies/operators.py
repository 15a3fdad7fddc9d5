"""Which convolution should an Xception module use?

The paper's Figures 1 to 4 lead from the Inception module over a simplified one to the separable convolution, its
extreme; the study puts each in the place of the separable convolution, and a regular convolution beside them. Their
sizes differ by up to a factor of nine, so each stands there three times: as it is, and with the network's width chosen
so that parameters or multiply-accumulates are those of the separable network.

    python run_ablation.py --study operators

Ten variants; `--match params` leaves the four at equal parameters.
"""

from __future__ import annotations

from ablations.design.study import Match, Study, Variant

MATCHES: tuple[Match, ...] = ("none", "params", "macs")
OTHERS = {"inception module": "inception", "simplified inception": "simplified_inception", "regular": "regular"}

STUDY = Study(
    name="operators",
    question="Do separable convolutions beat Inception modules and regular convolutions in the same network?",
    source="Chollet 2017, arXiv:1610.02357, sections 1 to 3, Figures 1 to 4",
    variants=(
        Variant(name="separable"),
        *(
            Variant(name=name, changes={"model.operator.kind": kind}, match=match)
            for match in MATCHES
            for name, kind in OTHERS.items()
        ),
    ),
    baseline="separable",
    varies=("model.operator.kind",),
)
