"""The paper's Figures 6 to 10: learning curves against Inception V3, without residual connections, and with an
activation in between.

Figure 6 (Inception V3 on ImageNet), Figure 9 (without residual connections) and Figure 10 (ReLU or ELU between
depthwise and pointwise convolution) are drawn from the curves of this study's trials, on the data and at the scale of
the run. Inception V3 is represented by the same network of Inception modules as published (norm and activation after
every convolution) at equal parameters. Figures 7 and 8 are of JFT, which is not public.

    python run_ablation.py --study paper_figures

Five variants; trials are those of `residuals`, `intermediate_activation` and `operators`, and none is trained twice.
"""

from __future__ import annotations

from ablations.design.changes import RESIDUAL_FIELDS, between, residuals
from ablations.design.study import Study, Variant
from ablations.studies.operators import TOWER_FIELDS, published

SEPARABLE = {"model.operator.kind": "separable", **between("none")}

STUDY = Study(
    name="paper_figures",
    question="Do the learning curves of the paper's figures come out the same way here?",
    reference="Chollet 2017, arXiv:1610.02357, Figures 6 to 10",
    variants=(
        Variant(name="Xception", changes={**SEPARABLE, **residuals("projection")}),
        Variant(
            name="Inception modules", changes={**published("inception"), **residuals("projection")}, match="params"
        ),
        Variant(name="without residuals", changes={**SEPARABLE, **residuals("none")}),
        Variant(name="ReLU between", changes={**SEPARABLE, **residuals("projection"), **between("relu")}),
        Variant(name="ELU between", changes={**SEPARABLE, **residuals("projection"), **between("elu")}),
    ),
    baseline="Xception",
    varies=(*TOWER_FIELDS, *RESIDUAL_FIELDS),
)
