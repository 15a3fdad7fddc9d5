"""How a network is trained: everything about optimisation that is part of a trial.

The paper's own recipe (Chollet 2017, section 4.3) is `PAPER`; the fields' defaults are what a
small image classifier is commonly trained with today.
"""

from __future__ import annotations

import math
import re
from typing import Literal

from xception.base.canonical import Config
from xception.data.config import AugmentConfig

__all__ = [
    "SGD",
    "AdamW",
    "Constant",
    "Continues",
    "Cosine",
    "Exponential",
    "Muon",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "Recipe",
    "Schedule",
    "Stable",
    "Transfer",
]


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{name}: {value!r} is not allowed; {allowed}")


class SGD(Config):
    """Stochastic gradient descent with momentum; `learning_rate` is the schedule's peak."""

    learning_rate: float = 0.1
    """The highest rate of the schedule."""
    momentum: float = 0.9
    """Weight of the earlier steps."""
    nesterov: bool = False
    """Whether the gradient is taken ahead of the momentum."""
    weight_decay: float = 0.0
    """Decay of weights, times the rate."""

    def validate(self) -> None:
        _require(self.learning_rate > 0, "SGD.learning_rate", self.learning_rate, "a number above 0")
        _require(0 <= self.momentum < 1, "SGD.momentum", self.momentum, "0 to below 1")
        _require(self.weight_decay >= 0, "SGD.weight_decay", self.weight_decay, "0 or more")
        _require(not (self.nesterov and self.momentum == 0), "SGD.nesterov", True, "only with a momentum above 0")


class RMSprop(Config):
    """RMSprop with momentum (Tieleman and Hinton 2012), as PyTorch computes it: ε is added to the root."""

    learning_rate: float = 0.001
    """The highest rate of the schedule."""
    momentum: float = 0.9
    """Weight of the earlier steps."""
    alpha: float = 0.9
    """Decay of the mean square of gradients."""
    epsilon: float = 1e-8
    """Added to the root of the mean square."""
    weight_decay: float = 0.0
    """Decay of weights, times the rate."""

    def validate(self) -> None:
        _require(self.learning_rate > 0, "RMSprop.learning_rate", self.learning_rate, "a number above 0")
        _require(0 <= self.momentum < 1, "RMSprop.momentum", self.momentum, "0 to below 1")
        _require(0 <= self.alpha < 1, "RMSprop.alpha", self.alpha, "0 to below 1")
        _require(self.epsilon > 0, "RMSprop.epsilon", self.epsilon, "a number above 0")
        _require(self.weight_decay >= 0, "RMSprop.weight_decay", self.weight_decay, "0 or more")


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    learning_rate: float = 0.001
    """The highest rate of the schedule."""
    beta1: float = 0.9
    """Decay of the mean of gradients."""
    beta2: float = 0.999
    """Decay of the mean square of gradients."""
    epsilon: float = 1e-8
    """Added to the root of the mean square."""
    weight_decay: float = 0.0
    """Decoupled decay of weights, times the rate."""

    def validate(self) -> None:
        _require(self.learning_rate > 0, "AdamW.learning_rate", self.learning_rate, "a number above 0")
        _require(0 <= self.beta1 < 1, "AdamW.beta1", self.beta1, "0 to below 1")
        _require(0 <= self.beta2 < 1, "AdamW.beta2", self.beta2, "0 to below 1")
        _require(self.epsilon > 0, "AdamW.epsilon", self.epsilon, "a number above 0")
        _require(self.weight_decay >= 0, "AdamW.weight_decay", self.weight_decay, "0 or more")


class Muon(Config):
    """Momentum with orthogonalised updates of weight matrices (Jordan et al. 2024), and SGD for all other parameters.

    Matrices are the weights of linear layers and convolutions, except depthwise kernels and the head.
    """

    learning_rate: float = 0.02
    """The highest rate of the schedule, of matrices."""
    momentum: float = 0.9
    """Weight of the earlier steps; the gradient is taken ahead of it."""
    weight_decay: float = 0.0
    """Decay of weights, times the rate; that of matrices is decoupled from the gradient."""
    other_learning_rate: float = 0.1
    """The highest rate of the schedule, of all other parameters."""

    def validate(self) -> None:
        _require(self.learning_rate > 0, "Muon.learning_rate", self.learning_rate, "a number above 0")
        _require(0 <= self.momentum < 1, "Muon.momentum", self.momentum, "0 to below 1")
        _require(self.weight_decay >= 0, "Muon.weight_decay", self.weight_decay, "0 or more")
        _require(self.other_learning_rate > 0, "Muon.other_learning_rate", self.other_learning_rate, "a number above 0")


class Constant(Config):
    """The same rate at every step."""

    def factor(self, step: int, num_steps: int, steps_per_epoch: int) -> float:
        """Return the multiple of the peak rate at a step, counted from 0."""
        return 1.0


class OneCycle(Config):
    """Linear rise from 0 over a fraction of the steps, then linear fall towards 0 at the end."""

    warmup_fraction: float = 0.25
    """Part of all steps over which the rate rises."""
    reaches_peak: bool = False
    """Whether the rise takes a whole number of steps, at least one, so that short schedules reach the peak too."""

    def validate(self) -> None:
        _require(0 <= self.warmup_fraction < 1, "OneCycle.warmup_fraction", self.warmup_fraction, "0 to below 1")

    def factor(self, step: int, num_steps: int, steps_per_epoch: int) -> float:
        """Return the multiple of the peak rate at a step, counted from 0."""
        rise = self.warmup_fraction * num_steps
        if self.reaches_peak:
            rise = max(1, round(rise))
        if step + 1 <= rise:
            return (step + 1) / rise
        return (num_steps - step) / (num_steps - rise + 1)


class Cosine(Config):
    """Linear rise over some epochs, then half a cosine down towards 0 (Loshchilov and Hutter 2017)."""

    warmup_epochs: float = 0.0
    """Epochs over which the rate rises."""

    def validate(self) -> None:
        _require(self.warmup_epochs >= 0, "Cosine.warmup_epochs", self.warmup_epochs, "0 or more")

    def factor(self, step: int, num_steps: int, steps_per_epoch: int) -> float:
        """Return the multiple of the peak rate at a step, counted from 0."""
        rise = min(self.warmup_epochs * steps_per_epoch, num_steps)
        if step + 1 <= rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(num_steps - rise, 1)))


class Exponential(Config):
    """The rate is multiplied by `rate` once in every `every_epochs` epochs, in discrete steps as in the paper."""

    rate: float = 0.94
    """Factor on the rate at each decay."""
    every_epochs: int = 2
    """Epochs between two decays."""

    def validate(self) -> None:
        _require(0 < self.rate <= 1, "Exponential.rate", self.rate, "above 0, 1 at most")
        _require(self.every_epochs >= 1, "Exponential.every_epochs", self.every_epochs, "1 or more")

    def factor(self, step: int, num_steps: int, steps_per_epoch: int) -> float:
        """Return the multiple of the peak rate at a step, counted from 0."""
        return float(self.rate ** (step // (self.every_epochs * steps_per_epoch)))


class Stable(Config):
    """Linear rise over some epochs, a constant rate, and a linear fall over the last epochs (warm-up, stable, decay).

    Until the fall begins, nothing depends on how many epochs there are: a longer training can continue from there, with
    the same result as if trained from its start.
    """

    decay_epochs: int
    """Epochs at the end over which the rate falls."""
    warmup_epochs: float = 0.5
    """Epochs at the beginning over which the rate rises."""

    def validate(self) -> None:
        _require(self.decay_epochs >= 1, "Stable.decay_epochs", self.decay_epochs, "1 or more")
        _require(self.warmup_epochs >= 0, "Stable.warmup_epochs", self.warmup_epochs, "0 or more")

    def factor(self, step: int, num_steps: int, steps_per_epoch: int) -> float:
        """Return the multiple of the peak rate at a step, counted from 0."""
        fall = self.decay_epochs * steps_per_epoch
        rise = self.warmup_epochs * steps_per_epoch
        up = min(1.0, (step + 1) / rise) if rise else 1.0
        return min(up, (num_steps - step) / (fall + 1), 1.0)


class Continues(Config):
    """Continue from the state of another trial, the parent, as it was after some epochs and before its rate fell.

    The result has the same bits as training from the start. If the parent's state is not available, training starts
    there.
    """

    parent: str
    """Key of the trial that is continued."""
    epoch: int
    """Epochs of that trial after which this one continues."""

    def validate(self) -> None:
        fits = re.fullmatch(r"[0-9a-f]{64}", self.parent) is not None
        _require(fits, "Continues.parent", self.parent, "a trial's key: 64 hexadecimal digits")
        _require(self.epoch >= 1, "Continues.epoch", self.epoch, "1 or more")


class Transfer(Config):
    """Training that begins with the weights of another network, whose head is replaced.

    `source` names them by content: `trial:KEY` for the network of a trial, `file:SHA-256` for a file; None until it is
    known. `freeze` keeps the backbone (a linear probe) or the norms as loaded, until `thaw_epoch` (counted from 0) if
    that is given. The backbone trains at `backbone_rate` times the learning rate.
    """

    source: str | None = None
    """The network that training begins with: `trial:KEY` or `file:SHA-256`."""
    freeze: Literal["none", "backbone", "norms"] = "none"
    """What keeps the values that it came with."""
    thaw_epoch: int | None = None
    """Epoch, counted from 0, from which nothing is frozen; None: never."""
    backbone_rate: float = 1.0
    """The backbone's learning rate, as a factor on the head's."""

    def validate(self) -> None:
        if self.source is not None:
            kind, _, name = self.source.partition(":")
            _require(
                kind in ("trial", "file") and re.fullmatch(r"[0-9a-f]{64}", name) is not None,
                "Transfer.source",
                self.source,
                "trial: or file: and 64 hexadecimal digits, or None",
            )
        if self.thaw_epoch is not None:
            _require(self.thaw_epoch >= 1, "Transfer.thaw_epoch", self.thaw_epoch, "1 or more, or None")
            _require(self.freeze != "none", "Transfer.thaw_epoch", self.thaw_epoch, "only where something is frozen")
        _require(self.backbone_rate > 0, "Transfer.backbone_rate", self.backbone_rate, "a number above 0")
        probes = self.freeze == "backbone" and self.thaw_epoch is None
        _require(
            not probes or self.backbone_rate == 1,
            "Transfer.backbone_rate",
            self.backbone_rate,
            "1 where the backbone is frozen",
        )


Optimizer = SGD | RMSprop | AdamW | Muon
Schedule = OneCycle | Cosine | Exponential | Constant | Stable


class Recipe(Config):
    """One training recipe: the same for every variant of a study unless the study is about it."""

    epochs: int
    """Passes over the training images."""
    batch_size: int = 128
    """Images in a step."""
    optimizer: Optimizer = SGD()
    """How a step updates the weights."""
    schedule: Schedule = OneCycle()
    """The learning rate over the steps."""
    decay: Literal["weights", "dense_weights", "all"] = "weights"
    """Weight decay on `weights` alone (matrices and kernels), on those except depthwise kernels, or on `all`
    parameters, norms and biases included.
    """
    label_smoothing: float = 0.0
    """Probability spread over the wrong classes in the loss."""
    ema_decay: float = 0.0
    """Decay per step of the running average of weights that is evaluated (Polyak averaging); 0 evaluates the weights
    themselves.
    """
    gradient_clip: float | None = None
    """Largest norm of the whole gradient; None leaves it as it is."""
    augment: AugmentConfig = AugmentConfig()
    """How training images are augmented."""
    batch_norm_shares: int = 1
    """Shares of a batch over which batch norm computes statistics separately. 1: over the whole batch, synchronised
    between the GPUs of a training, so that a result does not depend on their number; more: in exactly as many
    processes, each over its own share.
    """
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of convolutions and matrix products; weights, norms' statistics and the loss stay float32."""
    transfer: Transfer | None = None
    """Begin with another network's weights; None begins with random ones."""
    continues: Continues | None = None
    """Continue from the state of a shorter training with the schedule Stable; None starts from epoch 0."""

    def validate(self) -> None:
        _require(self.epochs >= 1, "Recipe.epochs", self.epochs, "1 or more")
        _require(self.batch_size >= 2, "Recipe.batch_size", self.batch_size, "2 or more")
        fits = self.batch_norm_shares >= 1 and self.batch_size % self.batch_norm_shares == 0
        _require(
            fits,
            "Recipe.batch_norm_shares",
            self.batch_norm_shares,
            f"1 or another divisor of the batch of {self.batch_size}",
        )
        _require(0 <= self.label_smoothing < 1, "Recipe.label_smoothing", self.label_smoothing, "0 to below 1")
        _require(0 <= self.ema_decay < 1, "Recipe.ema_decay", self.ema_decay, "0 to below 1")
        if self.gradient_clip is not None:
            _require(self.gradient_clip > 0, "Recipe.gradient_clip", self.gradient_clip, "a number above 0, or None")
        if self.transfer is not None and self.transfer.thaw_epoch is not None:
            late = self.transfer.thaw_epoch >= self.epochs
            _require(
                not late,
                "Transfer.thaw_epoch",
                self.transfer.thaw_epoch,
                f"below the {self.epochs} epochs of the recipe",
            )
        stable = self.epochs - self.schedule.decay_epochs if isinstance(self.schedule, Stable) else 0
        if isinstance(self.schedule, Stable):
            _require(
                stable >= 0, "Stable.decay_epochs", self.schedule.decay_epochs, f"at most the {self.epochs} epochs"
            )
        if self.continues is not None:
            _require(
                self.continues.epoch <= stable,
                "Continues.epoch",
                self.continues.epoch,
                f"only with the schedule Stable, and at most the {max(stable, 0)} epochs before its rate falls",
            )
        _require(
            not (self.decay != "weights" and self.optimizer.weight_decay == 0),
            "Recipe.decay",
            self.decay,
            "only with a weight decay above 0",
        )
