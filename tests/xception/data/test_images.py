"""Images of any kind become squares of RGB, and what cannot be decoded is named."""

from __future__ import annotations

import io
import random
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.xception.data.data_builders import encoded, pixels
from xception.data.images import BrokenImageError, decode, header_size, quiet

GRADIENT = np.linspace(0, 255, 32).astype(np.uint8)[None, :].repeat(32, 0)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_an_image_of_the_right_size_keeps_its_pixels_to_the_bit(kind: str) -> None:
    image = pixels(1)[0]
    assert (decode(encoded(image, kind), 32) == image.transpose(2, 0, 1)).all()
    assert header_size(encoded(image, kind)) == (32, 32)


def test_arrays_are_taken_as_they_are_or_resized_like_files() -> None:
    image = pixels(1, size=(40, 48))[0]
    array = image.transpose(2, 0, 1)
    assert (decode(array, 16) == decode(encoded(image), 16)).all()
    square = np.ascontiguousarray(array[:, :40, :40])
    assert (decode(square, 40) == square).all()


def test_resizing_is_that_of_torchvision_with_antialiasing() -> None:
    import torch
    from torchvision.transforms import v2

    image = np.asarray(Image.fromarray(pixels(1, size=(12, 18))[0]).resize((90, 60), Image.Resampling.BICUBIC))
    theirs = v2.Compose([v2.Resize(24, antialias=True), v2.CenterCrop(24)])(
        torch.from_numpy(image.copy()).permute(2, 0, 1)
    )
    difference = np.abs(decode(encoded(image), 24).astype(int) - theirs.numpy().astype(int))
    assert difference.max() <= 1


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_every_mode_becomes_rgb_of_the_same_picture(mode: str) -> None:
    gray = Image.fromarray(GRADIENT)
    if mode == "I;16":
        content = saved(Image.fromarray(GRADIENT.astype(np.uint16) * 257), "PNG")
    elif mode == "I":
        content = saved(Image.fromarray(GRADIENT.astype(np.int32) * 257), "TIFF")
    elif mode in ("CMYK", "YCbCr"):
        content = saved(gray.convert("RGB").convert(mode), "JPEG", quality=100)
    else:
        content = saved(gray.convert(mode), "PNG")
    out = decode(content, 32)
    assert out.shape == (3, 32, 32)
    assert out.dtype == np.uint8
    if mode == "1":
        assert set(np.unique(out)) == {0, 255}
    else:
        assert np.abs(out.astype(int) - GRADIENT.astype(int)).max() <= 3


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[:4, :, 3] = 255
    out = decode(saved(Image.fromarray(rgba), "PNG"), 8)
    assert (out[:, :4] == 0).all()
    assert (out[:, 4:] == 255).all()
    palette = Image.fromarray(rgba[..., 0]).convert("P")
    assert (decode(saved(palette, "PNG", transparency=bytes([0] * 256)), 8) == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5)])
def test_tiny_images_and_slivers(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, dtype=np.uint8)
    assert (decode(encoded(image), 32) == 77).all()


def test_a_large_jpeg_decoded_at_a_fraction_is_the_same_picture() -> None:
    image = np.asarray(Image.fromarray(pixels(1, size=(8, 8))[0]).resize((640, 640), Image.Resampling.BICUBIC))
    content = encoded(image, "JPEG", quality=95)
    slow = np.asarray(Image.open(io.BytesIO(content)).resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(decode(content, 32).astype(int) - slow.astype(int)).max() <= 4


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.fromarray(np.full((8, 8), value, dtype=np.uint8)) for value in (10, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content, 8) == 10).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8",
        b"GIF89a",
        b"not an image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        encoded(pixels(1)[0])[:200],
        encoded(pixels(1)[0], "JPEG")[:300],
    ],
    ids=["empty", "jpeg of two bytes", "gif of six", "text", "postscript", "half a png", "half a jpeg"],
)
def test_what_cannot_be_decoded_is_named(content: bytes) -> None:
    with pytest.raises(BrokenImageError, match=r"\w"):
        decode(content, 32)


def test_pillows_warnings_about_a_broken_image_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "TIFF")
    entry = struct.pack("<HHIH", 277, 3, 1, 3)  # samples per pixel: a short, 3
    content = out.getvalue().replace(entry, struct.pack("<HHIH", 277, 3, 1, 127))
    assert content != out.getvalue()
    with quiet(), pytest.raises(BrokenImageError):
        decode(content, 8)
    assert caplog.records == []


def test_a_decompression_bomb_is_not_unpacked() -> None:
    bomb = bytearray(saved(Image.new("1", (8, 8)), "PNG"))
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(BrokenImageError, match=r"bomb|pixels"):
        decode(bytes(bomb), 32)


def test_floating_point_pixels_are_refused_by_name() -> None:
    with pytest.raises(BrokenImageError, match="floating-point"):
        decode(saved(Image.fromarray(np.zeros((8, 8), dtype=np.float32)), "TIFF"), 8)


def fuzz(rounds: int) -> int:
    """Damage images at random; return how many still decode. Anything but a picture or BrokenImageError is a
    failure.
    """
    rng = random.Random(0)
    image = pixels(1, size=(20, 24))[0]
    seeds = [encoded(image, kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")]
    modes = (("P", "PNG"), ("CMYK", "JPEG"), ("LA", "PNG"), ("CMYK", "TIFF"))
    seeds += [saved(Image.fromarray(image).convert(mode), kind) for mode, kind in modes]
    decoded = 0
    for _ in range(rounds):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.3:
            del content[rng.randrange(len(content)) :]
        try:
            out = decode(bytes(content), 8)
        except BrokenImageError:
            continue
        assert out.shape == (3, 8, 8)
        decoded += 1
    return decoded


def test_damaged_images_give_a_picture_or_a_named_reason() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        assert 100 < fuzz(1000) < 1000


@pytest.mark.long
def test_many_damaged_images() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        assert fuzz(60_000) > 5000
