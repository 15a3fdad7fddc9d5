"""Training images augmented at random and normalised, a batch at a time, on their own device.

Every draw comes from the generator that is passed, so the same generator state gives the same bits on one kind of
device. Flip, crop and cutout differ between the images of a batch; RandAugment, mixup and CutMix are torchvision's v2
transforms, which draw once a call: RandAugment is called on groups of 16 images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from xception.data.config import AugmentConfig
from xception.data.dataset import ChannelStatistics

__all__ = ["Share", "augment", "normalise"]

RANDAUGMENT_GROUP = 16


def normalise(images: Tensor, statistics: ChannelStatistics) -> Tensor:
    """Return uint8 images `(B, C, H, W)` as float32, each channel normalised by its mean and standard deviation, in the
    images' memory format.
    """
    scale, shift = _scale_and_shift(statistics, images.device)
    return images.to(torch.float32).mul_(scale).add_(shift)


@cache
def _scale_and_shift(statistics: ChannelStatistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """(x / 255 − mean) / std as x × scale + shift, each `(1, C, 1, 1)`."""
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (statistics.mean, statistics.std))
    return (1 / (255 * std)).float().to(device), (-mean / std).float().to(device)


@dataclass(frozen=True)
class Share:
    """The images of a whole batch that one of several processes has: `start` to `stop` − 1 of `total`.

    Every image is the same as in the whole batch. Where labels are mixed an image needs the one before it, which is
    read too and dropped from the result.
    """

    total: int
    start: int
    stop: int

    def rows(self, config: AugmentConfig) -> Tensor:
        """Return the positions in the batch of the images to be read, `(B,)` or `(1 + B,)`, int64."""
        first = self.start - 1 if config.mixes_labels else self.start
        return torch.arange(first, self.stop) % self.total


def augment(
    images: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    generator: torch.Generator | Sequence[torch.Generator],
    *,
    statistics: ChannelStatistics,
    num_classes: int,
    share: Share | None = None,
) -> tuple[Tensor, Tensor]:
    """Return augmented, normalised float32 images `(B, C, H, W)` and their labels.

    `images` are uint8 `(B, C, H, W)`; with a share, those that its `rows` name. Labels are returned unchanged, `(B,)`
    int64, or as probabilities `(B, num_classes)` float32 where mixup or CutMix is on. Draws are made on the generator's
    device: a CPU generator gives the same augmentation on every device. With several generators the images are one
    batch for each in a row, and every batch is the same as it would be alone.
    """
    generators = (generator,) if isinstance(generator, torch.Generator) else tuple(generator)
    if share is None:
        batch = _Batch(len(images) // len(generators), None, generators, images.device)
    else:
        batch = _Batch(share.total, share.rows(config), generators, images.device)
    if config.flip:
        images = torch.where(batch.draw(2)[:, None, None, None].bool(), images.flip(-1), images)
    if config.crop_padding:
        images = _crop(images, config.crop_padding, batch)
    if config.randaugment_operations:
        images = _randaugment(images, config, batch)
    out = normalise(images, statistics)
    if config.cutout:
        out = _cutout(out, config.cutout, batch)
    if config.mixes_labels:
        parts = zip(out.chunk(len(generators)), labels.chunk(len(generators)), generators, strict=True)
        mixed = [_mix(part, its_labels, config, own, num_classes) for part, its_labels, own in parts]
        out, labels = (torch.cat(both) for both in zip(*mixed, strict=True))
        return (out, labels) if share is None else (out[1:], labels[1:])
    return out, labels


@dataclass(frozen=True)
class _Batch:
    """Draws for a whole batch, of which some images are here, or for several batches one after the other."""

    total: int
    rows: Tensor | None  # (B,): positions in the batch of the images that are here; None: all of it
    generators: tuple[torch.Generator, ...]
    device: torch.device

    def draw(self, bound: int, num: int | None = None) -> Tensor:
        """Whole numbers from 0 to bound − 1 for each image that is here, `(B,)`, or `num` of them for each, `(num,
        B)`.
        """
        shape = (self.total,) if num is None else (num, self.total)
        each = [
            torch.randint(bound, shape, generator=generator, device=generator.device) for generator in self.generators
        ]
        drawn = each[0] if len(each) == 1 else torch.cat(each, dim=-1)
        here = drawn if self.rows is None else drawn[..., self.rows.to(drawn.device)]
        if self.device.type == "cuda" and here.device.type == "cpu":  # from pinned memory the copy is asynchronous
            here = here.pin_memory()
        return here.to(self.device, non_blocking=True)


def _crop(images: Tensor, padding: int, batch: _Batch) -> Tensor:
    """Each image's window of the old size at its own place in the padded image."""
    num, _, height, width = images.shape
    places = batch.draw(2 * padding + 1, 2)
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (B, C, 2p + 1, 2p + 1, H, W), a view
    return windows[torch.arange(num, device=images.device), :, places[0], places[1]]


def _cutout(images: Tensor, side: int, batch: _Batch) -> Tensor:
    """A square set to 0, the mean colour after normalising; its centre is anywhere in the image, so it may reach beyond
    the edge.
    """
    _, _, height, width = images.shape
    inside = []
    for length in (height, width):
        start = batch.draw(length)[:, None] - side // 2
        place = torch.arange(length, device=images.device)
        inside.append((place >= start) & (place < start + side))
    return images.masked_fill_((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.0)


def _randaugment(images: Tensor, config: AugmentConfig, batch: _Batch) -> Tensor:
    from torchvision.transforms import v2

    transform = v2.RandAugment(num_ops=config.randaugment_operations, magnitude=config.randaugment_magnitude)
    rows = torch.arange(batch.total) if batch.rows is None else batch.rows
    out = torch.empty_like(images)
    elsewhere = images.new_zeros((1, 3, 8, 8))  # a group without an image here still draws
    for number, generator in enumerate(batch.generators):
        with _seeded(generator):
            for start in range(0, batch.total, RANDAUGMENT_GROUP):
                here = ((rows >= start) & (rows < start + RANDAUGMENT_GROUP)).nonzero()[:, 0].to(
                    images.device
                ) + number * batch.total
                if len(here):
                    out[here] = transform(images[here])
                else:
                    transform(elsewhere)
    return out


def _mix(
    images: Tensor, labels: Tensor, config: AugmentConfig, generator: torch.Generator, num_classes: int
) -> tuple[Tensor, Tensor]:
    from torchvision.transforms import v2

    choices: list[torch.nn.Module] = []
    if config.mixup_alpha:
        choices.append(v2.MixUp(alpha=config.mixup_alpha, num_classes=num_classes))
    if config.cutmix_alpha:
        choices.append(v2.CutMix(alpha=config.cutmix_alpha, num_classes=num_classes))
    with _seeded(generator):
        chosen = choices[int(torch.randint(len(choices), ()))]
        mixed, soft = chosen(images, labels)
    return mixed, soft


@contextlib.contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Seed the global CPU generator, from which torchvision's transforms draw, by a draw of ours; restore it
    afterwards.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
