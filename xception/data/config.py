"""The part of a trial's key that concerns data: the images, their size and augmentation.

Plain Python, no torch. Defaults never change, so that a key outlives the code. A field that changes pixels or splits is
set only if it affects the data set.
"""

from __future__ import annotations

import re
from typing import Literal

from xception.base.canonical import Config

__all__ = ["AugmentConfig", "DatasetConfig"]


class DatasetConfig(Config):
    """The part of a data set that a trial uses.

    Raises:
        ValueError: a size is out of range, or the fingerprint is not a SHA-256.
    """

    fingerprint: str
    """SHA-256 of the content, in hexadecimal; never a path."""
    image_size: int
    """Height and width in pixels that images are resized to."""
    val_size: int
    """Images held out of the training set, for model selection."""
    train_size: int | None = None
    """Training images; None: all except those held out for validation."""
    test_size: int | None = None
    """Images of the test set; None: all."""
    channels: Literal[1, 3] = 3
    """1: grayscale."""
    orientation: Literal["ignored", "applied"] = "ignored"
    """Whether images are rotated upright by their EXIF tag, where they have one."""
    deep_bits: int = 16
    """Bits in use of images with more than 8 bits a pixel; the upper 8 of them are kept."""
    validation: Literal["held_out", "separate"] = "held_out"
    """Where validation images come from: the training set, or a split of their own where there is one."""
    stratified: bool = False
    """Whether images held out for validation are stratified by class."""

    def validate(self) -> None:
        """Check the ranges."""
        if not re.fullmatch(r"[0-9a-f]{64}", self.fingerprint):
            raise ValueError(
                f"DatasetConfig.fingerprint: {self.fingerprint!r} is not allowed; 64 hexadecimal digits in lower case"
            )
        if not 1 <= self.image_size <= 4096:
            raise ValueError(f"DatasetConfig.image_size: {self.image_size} is not allowed; 1 to 4096 pixels")
        if self.val_size < 0:
            raise ValueError(f"DatasetConfig.val_size: {self.val_size} is not allowed; 0 or more images")
        for name in ("train_size", "test_size"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"DatasetConfig.{name}: {size} is not allowed; 1 or more images, or None for all")
        if self.stratified and (self.validation == "separate" or self.val_size == 0):
            raise ValueError(
                "DatasetConfig.stratified: True has no effect without images held out of the training set; leave it"
                " out, or set validation='held_out' and val_size to 1 or more"
            )
        if not 1 <= self.deep_bits <= 32:
            raise ValueError(f"DatasetConfig.deep_bits: {self.deep_bits} is not allowed; 1 to 32")


class AugmentConfig(Config):
    """How training images are changed, in this order: flip, crop, RandAugment, cutout, then mixup or CutMix.

    Raises:
        ValueError: a value is out of range, or a magnitude is set where no operation would use it.
    """

    flip: bool = False
    """Horizontal flip with probability 1/2."""
    crop_padding: int = 0
    """Black pixels added on each side, before a random crop of the original size; 0: none."""
    cutout: int = 0
    """Side in pixels of a square set to the mean colour (DeVries and Taylor 2017); 0: none."""
    randaugment_operations: int = 0
    """RandAugment operations per image (Cubuk et al. 2020); 0: none."""
    randaugment_magnitude: int = 9
    """Magnitude of RandAugment, 0 to 30."""
    mixup_alpha: float = 0.0
    """Beta(alpha, alpha) of the mixing weight (Zhang et al. 2018); 0: none."""
    cutmix_alpha: float = 0.0
    """Beta(alpha, alpha) of the area kept (Yun et al. 2019); 0: none. With mixup: one of the two per batch."""

    def validate(self) -> None:
        """Check the ranges and that no setting is without effect."""
        for name, high in (
            ("crop_padding", 1024),
            ("cutout", 4096),
            ("randaugment_operations", 16),
            ("randaugment_magnitude", 30),
        ):
            if not 0 <= getattr(self, name) <= high:
                raise ValueError(f"AugmentConfig.{name}: {getattr(self, name)} is not allowed; 0 to {high}")
        for name in ("mixup_alpha", "cutmix_alpha"):
            alpha = getattr(self, name)
            if alpha != 0 and not 0.01 <= alpha <= 100:
                raise ValueError(f"AugmentConfig.{name}: {alpha} is not allowed; 0, or 0.01 to 100")
        if self.randaugment_operations == 0 and self.randaugment_magnitude != 9:
            raise ValueError(
                f"AugmentConfig.randaugment_magnitude: {self.randaugment_magnitude} has no effect without operations; "
                "set randaugment_operations to 1 or more"
            )
        if self.randaugment_operations and self.randaugment_magnitude == 0:
            raise ValueError(
                "AugmentConfig.randaugment_magnitude: 0 has no effect; 1 to 30, or randaugment_operations 0"
            )

    def check_size(self, image_size: int) -> None:
        """Check lengths against the size of the images.

        Raises:
            ValueError: padding or cutout is larger than the image.
        """
        for name in ("crop_padding", "cutout"):
            if getattr(self, name) > image_size:
                raise ValueError(
                    f"AugmentConfig.{name}: {getattr(self, name)} is not allowed; 0 to the image size of {image_size}"
                )

    @property
    def mixes_labels(self) -> bool:
        """Whether labels become probabilities `(N, num_classes)` rather than as class numbers `(N,)`."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0
