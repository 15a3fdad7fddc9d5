"""Accuracy and loss of a network on images it is not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xception.data.dataset import Images


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Mean cross-entropy in nats, top-1 and top-5 accuracy as fractions, and each image's classes and confidence."""

    loss: float
    accuracy: float
    top5_accuracy: float
    predicted: Tensor  # (N,) int64, on the CPU, like the labels
    labels: Tensor
    confidence: Tensor  # (N,) float32, the probability of the predicted class

    @property
    def correct(self) -> Tensor:
        """Which images were classified correctly, (N,) bool."""
        return self.predicted == self.labels


@torch.no_grad()
def evaluate(predict: Callable[[Tensor], Tensor], part: Images, *, batch_size: int = 500) -> Evaluation:
    """Evaluate a function from uint8 images (B, C, H, W) to logits (B, num_classes) on some images.

    With fewer than five classes the top-5 accuracy counts all of them.

    Raises:
        ValueError: there are no images.
    """
    return evaluate_members(lambda images: [predict(images[0])], [part], batch_size=batch_size)[0]


@torch.no_grad()
def evaluate_members(
    predict: Callable[[list[Tensor]], Sequence[Tensor]], parts: Sequence[Images], *, batch_size: int = 500
) -> list[Evaluation]:
    """Evaluate several networks at once, each on its own images, equally many for each; `predict` maps one batch per
    network to one tensor of logits per network.

    Raises:
        ValueError: there are no images.
    """
    num = len(parts[0])
    if num == 0:
        raise ValueError("images: 0 are not allowed; at least 1 to evaluate on")
    tallies = [_Tally() for _ in parts]
    places = torch.arange(num, device=parts[0].storage.device)
    for start in range(0, num, batch_size):
        batches = [part.batch(places[start : start + batch_size]) for part in parts]
        for tally, logits, (_, labels) in zip(
            tallies, predict([images for images, _ in batches]), batches, strict=True
        ):
            tally.add(logits, labels)
    return [tally.total() for tally in tallies]


class _Tally:
    """The counts so far, kept on the device."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._top5: list[Tensor] = []
        self._confidence: list[Tensor] = []

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self._losses.append(F.cross_entropy(logits, labels, reduction="sum"))
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
        self._predicted.append(ranked[:, 0])
        self._labels.append(labels)
        self._confidence.append(logits.softmax(dim=1).amax(dim=1))
        self._top5.append((ranked == labels[:, None]).any(dim=1))

    def total(self) -> Evaluation:
        predicted, labels = torch.cat(self._predicted).cpu(), torch.cat(self._labels).cpu()
        return Evaluation(
            loss=float(torch.stack(self._losses).double().sum()) / len(labels),
            accuracy=int((predicted == labels).sum()) / len(labels),
            top5_accuracy=int(torch.cat(self._top5).sum()) / len(labels),
            predicted=predicted,
            labels=labels,
            confidence=torch.cat(self._confidence).float().cpu(),
        )
