"""When does it pay to begin with a trained network?

Features of one task help another, the more so the less data that has (Yosinski et al. 2014, arXiv:1411.1792; Kornblith
et al. 2019, arXiv:1805.08974). A network is trained on the first half of the classes; on the second half, with all
training images, a quarter and a sixteenth of them, it is then compared with training from scratch: as a linear probe
(frozen backbone), fine-tuned, and fine-tuned with frozen norms. Every arm sees the same number of images in all.

    python run_ablation.py --study transfer
    python run_ablation.py --study transfer --weights FILE     # begin with these weights, on all classes

Twelve variants, a baseline for each of three sizes, and one source network per seed.
"""

from __future__ import annotations

from ablations.design.study import Study, Variant
from xception.train.recipe import Transfer

FRACTIONS = {"all images": 1.0, "1/4 of images": 1 / 4, "1/16 of images": 1 / 16}
BEGINNINGS = {
    "from scratch": None,
    "linear probe": Transfer(freeze="backbone"),
    "fine-tuned": Transfer(backbone_rate=0.1),
    "fine-tuned, norms frozen": Transfer(backbone_rate=0.1, freeze="norms"),
}

STUDY = Study(
    name="transfer",
    question="When does it pay to begin with a trained network?",
    reference="Yosinski et al. 2014, arXiv:1411.1792; Kornblith et al. 2019, arXiv:1805.08974",
    variants=tuple(
        Variant(
            name=f"{size}, {beginning}",
            changes={"recipe.transfer": transfer},
            levels={"training images": size, "beginning": beginning},
            train_fraction=fraction,
        )
        for size, fraction in FRACTIONS.items()
        for beginning, transfer in BEGINNINGS.items()
    ),
    baseline="all images, from scratch",
    varies=("recipe.transfer",),
    within=("training images",),
    transfers=True,
)
