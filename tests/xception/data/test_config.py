"""Configs of data: neutral by default, strict about ranges, and no setting without effect."""

from __future__ import annotations

from typing import Any

import pytest

from xception.base.canonical import canonical_json, from_json
from xception.data import AugmentConfig, DatasetConfig

FINGERPRINT = "0123456789abcdef" * 4


def test_what_is_neutral_is_not_in_the_key() -> None:
    assert canonical_json(AugmentConfig()) == "{}"
    config = DatasetConfig(fingerprint=FINGERPRINT, image_size=32, val_size=1000)
    assert canonical_json(config) == f'{{"fingerprint":"{FINGERPRINT}","image_size":32,"val_size":1000}}'
    assert from_json(DatasetConfig, canonical_json(config.replace(train_size=5))) == config.replace(train_size=5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("channels", 1), ("orientation", "applied"), ("deep_bits", 12), ("validation", "separate"), ("stratified", True)],
)
def test_what_changes_pixels_or_splits_is_in_the_key(field: str, value: Any) -> None:
    plain = DatasetConfig(fingerprint=FINGERPRINT, image_size=32, val_size=1000)
    changed = plain.replace(**{field: value})
    assert f'"{field}":' not in canonical_json(plain)
    assert f'"{field}":' in canonical_json(changed)
    assert from_json(DatasetConfig, canonical_json(changed)) == changed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", "x"),
        ("fingerprint", FINGERPRINT.upper()),
        ("image_size", 0),
        ("image_size", 5000),
        ("val_size", -1),
        ("train_size", 0),
        ("test_size", 0),
        ("train_size", 1.5),
        ("channels", 2),
        ("channels", True),
        ("orientation", "upright"),
        ("deep_bits", 0),
        ("deep_bits", 33),
        ("validation", "none"),
    ],
)
def test_data_out_of_range(field: str, value: Any) -> None:
    good: dict[str, Any] = {"fingerprint": FINGERPRINT, "image_size": 32, "val_size": 0}
    with pytest.raises(ValueError, match=rf"^DatasetConfig\.{field}: .* (is|not) .*allowed"):
        DatasetConfig(**{**good, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop_padding", -1),
        ("cutout", -1),
        ("randaugment_operations", 17),
        ("mixup_alpha", -0.1),
        ("mixup_alpha", 1e-5),
        ("cutmix_alpha", 1e9),
        ("flip", 1),
        ("crop_padding", True),
    ],
)
def test_augmentation_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^AugmentConfig\.{field}: {value!r} is not allowed"):
        AugmentConfig(**{field: value})


def test_settings_without_effect_are_errors() -> None:
    data = DatasetConfig(fingerprint=FINGERPRINT, image_size=32, val_size=1000)
    for idle in ({"val_size": 0}, {"validation": "separate"}):
        with pytest.raises(ValueError, match=r"DatasetConfig\.stratified: True has no effect"):
            data.replace(stratified=True, **idle)
    with pytest.raises(ValueError, match=r"randaugment_magnitude: 5 has no effect without operations"):
        AugmentConfig(randaugment_magnitude=5)
    with pytest.raises(ValueError, match=r"randaugment_magnitude: 0 has no effect"):
        AugmentConfig(randaugment_operations=2, randaugment_magnitude=0)
    assert AugmentConfig(randaugment_operations=2, randaugment_magnitude=5).randaugment_magnitude == 5


def test_lengths_against_the_image() -> None:
    AugmentConfig(crop_padding=32, cutout=32).check_size(32)
    for field in ("crop_padding", "cutout"):
        with pytest.raises(ValueError, match=rf"{field}: 33 is not allowed; 0 to the image size of 32"):
            AugmentConfig().replace(**{field: 33}).check_size(32)


def test_labels_are_mixed_by_mixup_and_cutmix_alone() -> None:
    assert AugmentConfig(mixup_alpha=0.2).mixes_labels
    assert AugmentConfig(cutmix_alpha=1.0).mixes_labels
    assert not AugmentConfig(flip=True, cutout=8, randaugment_operations=2).mixes_labels
