"""How do the paper's optimisers fare against today's?

The paper (section 4.3) trains on ImageNet with SGD, momentum 0.9, a rate of 0.045 times 0.94 every 2 epochs, and on JFT
with RMSprop, momentum 0.9, a rate of 0.001 times 0.9 every 3,000,000 images, both with weight decay 1e-5. Those
schedules were made for tens and hundreds of epochs; in today's short recipes the rate warms up and decays within a few.

    python run_ablation.py --study optimizer

Four variants. All fields of optimiser and schedule are set here, so the scale's own are not used; a network of
torchvision or timm is unchanged.
"""

from __future__ import annotations

from ablations.design.study import Design, Study, Variant
from xception.train.recipe import SGD, AdamW, Cosine, Exponential, OneCycle, RMSprop

JFT_IMAGES_PER_DECAY = 3_000_000


def _today(design: Design) -> SGD:
    """A rate of 0.2 at batches of 128 images, scaled linearly with the batch size."""
    return SGD(learning_rate=0.2 * design.recipe.batch_size / 128, nesterov=True, weight_decay=5e-4)


def _every_so_many_images(design: Design) -> Exponential:
    images_per_epoch = design.dataset.train_size or 50_000
    return Exponential(rate=0.9, every_epochs=max(1, round(JFT_IMAGES_PER_DECAY / images_per_epoch)))


STUDY = Study(
    name="optimizer",
    question="How do the paper's optimisers and schedules fare against today's?",
    reference="Chollet 2017, arXiv:1610.02357, section 4.3",
    variants=(
        Variant(name="SGD, one cycle", changes={"recipe.optimizer": _today, "recipe.schedule": OneCycle()}),
        Variant(
            name="AdamW, cosine",
            changes={
                "recipe.optimizer": AdamW(learning_rate=0.003, weight_decay=0.05),
                "recipe.schedule": Cosine(warmup_epochs=1),
            },
        ),
        Variant(
            name="SGD as for ImageNet",
            changes={"recipe.optimizer": SGD(learning_rate=0.045, weight_decay=1e-5), "recipe.schedule": Exponential()},
        ),
        Variant(
            name="RMSprop as for JFT",
            changes={
                "recipe.optimizer": RMSprop(learning_rate=0.001, weight_decay=1e-5),
                "recipe.schedule": _every_so_many_images,
            },
        ),
    ),
    baseline="SGD, one cycle",
    varies=("recipe.optimizer", "recipe.schedule"),
)
