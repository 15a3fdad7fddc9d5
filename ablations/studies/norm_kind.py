"""Which normalisation, and does that depend on the batch size?

The paper uses batch normalisation throughout (Figure 5). Group normalisation (Wu and He 2018, arXiv:1803.08494) and
layer normalisation do not depend on the batch, so small batches should favour them. Each kind is trained at the scale's
batch size and at an eighth of it, with the learning rate an eighth as well (Goyal et al. 2017, arXiv:1706.02677), and
compared with batch normalisation at the same batch size.

    python run_ablation.py --study norm_kind

Eight variants, a baseline for each of two batch sizes. Networks without any norm may diverge at the common rate, which
is counted.
"""

from __future__ import annotations

from ablations.design.study import Design, Study, factorial
from xception.train.recipe import Optimizer


def _batch_size(design: Design) -> int:
    return max(2, design.recipe.batch_size // 8)


def _optimizer(design: Design) -> Optimizer:
    """The same with an eighth of all its rates."""
    optimizer = design.recipe.optimizer
    names = [name for name in ("learning_rate", "other_learning_rate") if hasattr(optimizer, name)]
    return optimizer.replace(**{name: getattr(optimizer, name) / 8 for name in names})


STUDY = Study(
    name="norm_kind",
    question="Which normalisation is best, and does that depend on the batch size?",
    reference="Chollet 2017, arXiv:1610.02357, Figure 5; Wu and He 2018, arXiv:1803.08494",
    variants=factorial(
        {
            "batch size": {
                "full batch": {},
                "batch / 8": {"recipe.batch_size": _batch_size, "recipe.optimizer": _optimizer},
            },
            "norm": {
                "batch norm": {"model.norm.kind": "batch"},
                "group norm": {"model.norm.kind": "group"},
                "layer norm": {"model.norm.kind": "layer"},
                "no norm": {"model.norm.kind": "none"},
            },
        }
    ),
    baseline="full batch, batch norm",
    varies=("model.norm.kind", "recipe.batch_size", "recipe.optimizer"),
    within=("batch size",),
)
