"""Would the suite find an effect where there is none?

Both variants are the same network with the same recipe on the same split; the second has another draw of initial
values, order and augmentation. Any effect found is an error of the method, and the interval shows what such a study can
resolve.

    python run_ablation.py --study aa

Two variants; it runs on any network, those of torchvision and timm unchanged: `--preset torchvision:resnet18`.
"""

from __future__ import annotations

from ablations.design.study import Study, Variant

STUDY = Study(
    name="aa",
    question="Does the suite find an effect where there is none?",
    reference="Kohavi et al. 2009, Controlled experiments on the web: survey and practical guide (A/A test)",
    variants=(Variant(name="first draw", changes={"stream": 0}), Variant(name="second draw", changes={"stream": 1})),
    baseline="first draw",
    varies=("stream",),
)
