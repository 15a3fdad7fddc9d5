"""Where do separable convolutions pay?

The paper rests on a hypothesis (section 1.1): that cross-channel and spatial correlations are decoupled enough to be
mapped separately. On the synthetic images κ sets this entanglement: at κ = 0 a class is recognised by its colour alone
or its shape alone, at κ = 1 only by which colour goes with which shape. At each κ a network of regular convolutions, at
its own size and at the parameters of the separable one, is compared with the separable network; the interactions show
where the difference changes.

    python run_ablation.py --study correlations

Fifteen variants, a baseline for each of five κ. It has its own data set, so `--dataset` is refused.
"""

from __future__ import annotations

from ablations.design.study import Match, Study, Variant

KAPPAS = (0.0, 0.25, 0.5, 0.75, 1.0)
OPERATORS: tuple[tuple[str, Match], ...] = (("separable", "none"), ("regular", "none"), ("regular", "params"))

STUDY = Study(
    name="correlations",
    question="Do separable convolutions pay only where cross-channel and spatial correlations are decoupled?",
    reference="Chollet 2017, arXiv:1610.02357, section 1.1",
    variants=tuple(
        Variant(
            name=f"κ {kappa:g}, {operator}",
            changes={"model.operator.kind": operator},
            levels={"kappa": f"{kappa:g}", "operator": operator if match == "none" else f"{operator}@{match}"},
            match=match,
            dataset=f"synthetic:kappa={kappa:g}",
        )
        for kappa in KAPPAS
        for operator, match in OPERATORS
    ),
    baseline="κ 0, separable",
    varies=("model.operator.kind",),
    within=("kappa",),
    dataset="synthetic",
)
