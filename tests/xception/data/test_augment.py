"""Augmentation in batches against a slow reference, one image at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from xception.data import AugmentConfig, ChannelStatistics
from xception.data.augment import augment, normalise

pytestmark = pytest.mark.numeric

STATISTICS = ChannelStatistics(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
EVERYTHING = AugmentConfig(
    flip=True, crop_padding=4, cutout=8, randaugment_operations=2, mixup_alpha=0.2, cutmix_alpha=1.0
)


def batch(num: int = 20, size: int = 32, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (num, 3, size, size), generator=generator, dtype=torch.uint8)
    return images.to(device), (torch.arange(num) % 10).to(device)


def run(
    config: AugmentConfig, seed: int = 0, num: int = 20, device: str = "cpu", generator_device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator(generator_device).manual_seed(seed)
    return augment(*batch(num, device=device), config, generator, statistics=STATISTICS, num_classes=10)


def reference_normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (STATISTICS.mean, STATISTICS.std))
    return (images.double() / 255 - mean) / std


def test_grayscale_images_go_through_every_operation() -> None:
    images, labels = batch()
    statistics = ChannelStatistics(mean=(0.5,), std=(0.25,))
    generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
    for generator in generators:
        out, mixed = augment(
            images[:, :1].contiguous(), labels, EVERYTHING, generator, statistics=statistics, num_classes=10
        )
        assert out.shape == (20, 1, 32, 32)
        assert torch.isfinite(out).all()
        assert torch.allclose(mixed.sum(1), torch.ones(20))


def test_normalising() -> None:
    images, _ = batch()
    out = normalise(images, STATISTICS)
    assert out.dtype == torch.float32
    assert torch.allclose(out.double(), reference_normalised(images), atol=1e-6)
    strided = images.contiguous(memory_format=torch.channels_last)
    assert normalise(strided, STATISTICS).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalise(strided, STATISTICS), out)


def test_nothing_configured_changes_nothing_but_the_scale() -> None:
    images, labels = batch()
    before = images.clone()
    out, same = run(AugmentConfig())
    assert torch.equal(out, normalise(images, STATISTICS))
    assert torch.equal(same, labels)
    assert torch.equal(images, before)


def test_flip_is_each_image_or_its_mirror() -> None:
    images, _ = batch(200)
    out, _ = run(AugmentConfig(flip=True), num=200)
    plain = (out == normalise(images, STATISTICS)).flatten(1).all(1)
    mirrored = (out == normalise(images.flip(-1), STATISTICS)).flatten(1).all(1)
    assert (plain ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


@pytest.mark.parametrize("padding", [1, 4])
def test_crop_is_a_window_of_the_padded_image_at_a_place_of_its_own(padding: int) -> None:
    images, _ = batch(200)
    out, _ = run(AugmentConfig(crop_padding=padding), num=200)
    places = set()
    for image, cropped in zip(F.pad(images, (padding,) * 4), out, strict=True):
        matches = [
            (y, x)
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
            if torch.equal(normalise(image[None, :, y : y + 32, x : x + 32], STATISTICS)[0], cropped)
        ]
        assert len(matches) == 1
        places.add(matches[0])
    assert {y for y, _ in places} == set(range(2 * padding + 1)) == {x for _, x in places}


def test_cutout_is_one_square_of_the_mean_colour_that_may_reach_beyond_the_edge() -> None:
    images, _ = batch(300)
    out, _ = run(AugmentConfig(cutout=8), num=300)
    original = normalise(images, STATISTICS)
    heights = set()
    for i in range(300):
        cut = (out[i] == 0).all(0)
        rows, columns = cut.any(1).nonzero().flatten(), cut.any(0).nonzero().flatten()
        assert 4 <= len(rows) <= 8
        assert 4 <= len(columns) <= 8
        assert (rows.diff() == 1).all()
        assert (columns.diff() == 1).all()
        assert cut.sum() == len(rows) * len(columns)
        assert torch.equal(out[i][:, ~cut], original[i][:, ~cut])
        heights.add(len(rows))
    assert heights == {4, 5, 6, 7, 8}


def test_mixup_mixes_images_as_it_mixes_labels() -> None:
    images, labels = batch()
    out, soft = run(AugmentConfig(mixup_alpha=1.0))
    assert soft.shape == (20, 10)
    assert torch.allclose(soft.sum(1), torch.ones(20))
    share = soft[torch.arange(20), labels].max()
    original = normalise(images, STATISTICS)
    assert torch.allclose(out, share * original + (1 - share) * original.roll(1, 0), atol=1e-5)


def test_cutmix_takes_the_share_of_the_labels_from_the_area() -> None:
    images, labels = batch()
    original = normalise(images, STATISTICS)
    mixed = 0
    for seed in range(5):
        out, soft = run(AugmentConfig(cutmix_alpha=1.0), seed)
        from_other = (out != original).any(1)
        assert torch.equal(torch.where(from_other[:, None], original.roll(1, 0), original), out)
        share = from_other[0].float().mean()
        assert torch.allclose(soft[torch.arange(20), labels], 1 - share.expand(20), atol=1e-6)
        mixed += bool(0 < share < 1)
    assert mixed >= 3


def test_with_both_some_batches_are_mixup_and_some_cutmix() -> None:
    images, _ = batch()
    original = normalise(images, STATISTICS)
    kinds = set()
    for seed in range(10):
        out, _ = run(AugmentConfig(mixup_alpha=1.0, cutmix_alpha=1.0), seed)
        kinds.add(bool(((out == original) | (out == original.roll(1, 0))).all()))
    assert kinds == {True, False}


def test_randaugment_is_torchvisions_on_groups_of_the_batch() -> None:
    from torchvision.transforms import v2

    images, labels = batch()
    config = AugmentConfig(randaugment_operations=2, randaugment_magnitude=12)
    out, same = run(config)
    assert torch.equal(same, labels)
    transform = v2.RandAugment(num_ops=2, magnitude=12)
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(0)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = torch.cat([transform(images[:16]), transform(images[16:])])
    assert torch.equal(out, normalise(expected, STATISTICS))
    assert not torch.equal(out, normalise(images, STATISTICS))


@pytest.mark.parametrize(
    "change",
    [
        {"flip": True},
        {"crop_padding": 4},
        {"cutout": 8},
        {"randaugment_operations": 2},
        {"mixup_alpha": 0.4},
        {"cutmix_alpha": 1.0},
    ],
    ids=lambda c: next(iter(c)),
)
def test_each_setting_changes_the_step_and_the_generator_alone_decides_how(change: dict[str, object]) -> None:
    config = AugmentConfig().replace(**change)
    torch.manual_seed(5)
    (first, first_labels), state = run(config), torch.random.get_rng_state()
    torch.manual_seed(6)
    again, again_labels = run(config)
    assert torch.equal(first, again)
    assert torch.equal(first_labels, again_labels)
    assert not torch.equal(first, run(AugmentConfig())[0])
    assert not torch.equal(first, run(config, seed=1)[0])
    torch.manual_seed(5)
    assert torch.equal(state, torch.random.get_rng_state())  # the global generator is left as it was


def test_everything_at_once_keeps_shape_and_format() -> None:
    out, soft = run(EVERYTHING)
    assert out.shape == (20, 3, 32, 32)
    assert out.dtype == torch.float32
    assert soft.shape == (20, 10)
    assert torch.isfinite(out).all()


@pytest.mark.gpu
def test_a_cpu_generator_gives_a_gpu_the_same_augmentation() -> None:
    config = AugmentConfig(flip=True, crop_padding=4, cutout=8)
    on_cpu, _ = run(config)
    on_gpu, _ = run(config, device="cuda")
    assert torch.allclose(on_cpu, on_gpu.cpu(), atol=1e-6)


@pytest.mark.gpu
def test_everything_runs_on_a_gpu_and_repeats_there() -> None:
    for generator_device in ("cpu", "cuda"):
        first, labels = run(EVERYTHING, device="cuda", generator_device=generator_device)
        again, _ = run(EVERYTHING, device="cuda", generator_device=generator_device)
        assert first.device.type == labels.device.type == "cuda"
        assert torch.equal(first, again)
