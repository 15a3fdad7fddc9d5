"""Accuracy and loss of a network on images it is not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xception.data.dataset import Images


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Mean cross-entropy in nats, top-1 and top-5 accuracy as fractions, and which images were right."""

    loss: float
    accuracy: float
    top5_accuracy: float
    correct: Tensor  # (N,) bool, on the CPU


@torch.no_grad()
def evaluate(predict: Callable[[Tensor], Tensor], part: Images, *, batch_size: int = 500) -> Evaluation:
    """Evaluate a function from uint8 images (B, C, H, W) to logits (B, num_classes) on some images.

    With fewer than five classes the top-5 accuracy counts all of them.

    Raises:
        ValueError: there are no images.
    """
    num = len(part)
    if num == 0:
        raise ValueError("images: 0 are not allowed; at least 1 to evaluate on")
    losses, top1, top5 = [], [], []
    places = torch.arange(num, device=part.storage.device)
    for start in range(0, num, batch_size):
        images, labels = part.batch(places[start : start + batch_size])
        logits = predict(images)
        losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        top1.append(ranked[:, 0])
        top5.append(ranked.any(dim=1))
    correct = torch.cat(top1).cpu()
    return Evaluation(
        loss=float(torch.stack(losses).double().sum()) / num,
        accuracy=int(correct.sum()) / num,
        top5_accuracy=int(torch.cat(top5).sum()) / num,
        correct=correct,
    )
