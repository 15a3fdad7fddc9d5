"""One image file to one square of pixels: shorter side resized with antialiasing, then the centre."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xception.base.errors import DataError, is_system_error, printable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DECODER_VERSION",
    "DEFAULT_PIXELS",
    "BrokenImageError",
    "Depth",
    "Picture",
    "Pixels",
    "decode",
    "header_size",
    "is_turned",
    "measure_depth",
    "quiet",
    "read_picture",
]

DECODER_VERSION = 1  # raised when the same file gives other pixels
# Only formats that are pure data: Pillow passes EPS, for example, to an interpreter.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 128 * 1024 * 1024
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# All errors that Pillow's readers have raised on damaged files.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    EOFError,
    ZeroDivisionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


class BrokenImageError(ValueError):
    """An image that cannot be decoded; the message gives the reason in a few words."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How the pixels of a file are read; the defaults are those of `DatasetConfig`."""

    channels: int = 3  # 1: grayscale
    upright: bool = False  # whether the EXIF orientation is applied
    deep_bits: int = 16  # bits in use of images with more than 8 bits a pixel


@dataclass(frozen=True)
class Picture:
    """A decoded image and properties of its file."""

    pixels: npt.NDArray[np.uint8]  # (C, S, S)
    height: int
    width: int
    mode: str  # Pillow's name of the file's own pixel format, such as RGB, L or I;16


@dataclass(frozen=True)
class Depth:
    """Bits in use of an image with more than 8 bits a pixel, and whether it is in colour."""

    bits: int
    is_colour: bool


DEFAULT_PIXELS = Pixels()


def header_size(content: Any) -> tuple[int, int] | None:
    """Return height and width from an image's header (or a `(3, H, W)` array); None if it cannot be read."""
    if not isinstance(content, bytes):
        return int(content.shape[1]), int(content.shape[2])
    with _opened(content) as image:
        return None if image is None else (image.size[1], image.size[0])


def is_turned(content: Any) -> bool:
    """Return whether an image file has an orientation tag that rotates or mirrors it."""
    if not isinstance(content, bytes) or not any(
        mark in content for mark in (b"Exif", b"eXIf", b"EXIF", b"rientation")
    ):
        return False
    with _opened(content) as image:
        if image is None or image.format == "TIFF":  # Pillow rotates TIFF upright itself
            return False
        try:
            return image.getexif().get(0x0112, 1) in range(2, 9)
        except DECODE_ERRORS as error:
            _raise_system_error(error)
            return False


def measure_depth(content: Any) -> Depth | None:
    """Return the bits in use of an image with more than 8 bits a pixel; None for any other, or a broken one."""
    import numpy as np

    if not isinstance(content, bytes):
        return None
    is_png = content[:8] == b"\x89PNG\r\n\x1a\n" and content[24:25] == b"\x10"
    if not is_png and content[:4] not in (b"II*\0", b"MM\0*"):
        return None
    with _opened(content) as image:
        if image is None or image.width * image.height > MAX_PIXELS:
            return None
        try:
            if image.mode.startswith("I"):
                image.load()
                return Depth(int(np.asarray(image).max()).bit_length(), False)
            is_deep = is_png or max(image.tag_v2.get(258, (1,))) > 8  # bits per sample
            if not is_deep or image.mode == "F":
                return None
            image.load()  # Pillow keeps only the upper byte of colours
            upper = np.asarray(image)[..., :1] if image.mode == "LA" else np.asarray(image)[..., :3]
            return Depth(8 + int(upper.max()).bit_length(), True)
        except DECODE_ERRORS as error:
            _raise_system_error(error)
            return None


def decode(content: Any, image_size: int, pixels: Pixels = DEFAULT_PIXELS) -> npt.NDArray[np.uint8]:
    """Return an image as `(C, image_size, image_size)` uint8, from the bytes of a file or pixels `(3, H, W)`.

    Grayscale, palette, CMYK and 16-bit images become 8-bit RGB (or grayscale, for one channel); transparency is
    composited on white. Of an animation the first frame is used. An image that has the size already keeps its exact
    pixels.

    Raises:
        BrokenImageError: it cannot be decoded.
        DataError: the machine failed, for example lack of memory.
    """
    return read_picture(content, image_size, pixels).pixels


def read_picture(content: Any, image_size: int, pixels: Pixels = DEFAULT_PIXELS) -> Picture:
    """Return an image decoded as `decode` does it, and the size and mode of its file.

    Raises:
        BrokenImageError: it cannot be decoded.
        DataError: the machine failed, for example lack of memory.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    if not isinstance(content, bytes):
        _, height, width = content.shape
        if (height, width) == (image_size, image_size) and pixels.channels == 3:
            return Picture(np.ascontiguousarray(content), height, width, "RGB")
        image = Image.fromarray(np.ascontiguousarray(content.transpose(1, 2, 0)))
        return Picture(_square(_with_channels(image, pixels), image_size), height, width, "RGB")
    if content.startswith(LFS_POINTER):
        raise BrokenImageError("a Git LFS pointer, not the image; git lfs pull fetches it")
    Image.init()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height, mode = image.width, image.height, image.mode
            if width * height > MAX_PIXELS:
                raise BrokenImageError(f"{width} × {height} pixels; at most {MAX_PIXELS}")
            # A JPEG is decoded at a reduced size if that is at least twice the size needed.
            if image.format == "JPEG" and min(image.size) > 4 * image_size:
                image.draft(None, (2 * image_size, 2 * image_size))
            image.load()
            if pixels.upright:
                before, image = image.size, _upright(image)
                if image.size != before:
                    width, height = height, width
            rgb = _rgb(image, pixels.deep_bits)
            return Picture(_square(_with_channels(rgb, pixels), image_size), height, width, mode)
    except BrokenImageError:
        raise
    except UnidentifiedImageError:
        raise BrokenImageError(
            "an empty file" if not content else f"no image of a format read here ({', '.join(FORMATS)})"
        ) from None
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        _raise_system_error(error)
        raise BrokenImageError(printable(f"{type(error).__name__}: {error}"[:200])) from None


def _raise_system_error(error: BaseException) -> None:
    """Raise DataError if the machine failed and not the image: such an image must not count as broken."""
    if is_system_error(error):
        raise DataError(f"an image cannot be decoded: {_cause(error)}; this says nothing about the image") from None


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "out of memory"


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """The image with its header read; None if the header is broken."""
    from PIL import Image

    Image.init()  # registers all formats; does nothing the second time
    with quiet(), contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(Image.open(io.BytesIO(content), formats=FORMATS))
        except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
            _raise_system_error(error)
            image = None
        yield image


def _upright(image: Any) -> Any:
    """The image rotated by its orientation tag; a broken tag is ignored."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except DECODE_ERRORS as error:
        _raise_system_error(error)
        return image


def _rgb(image: Any, deep_bits: int) -> Any:
    """The image as 8-bit RGB."""
    import numpy as np
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would clip at 255
        values = np.clip(np.asarray(image).astype(np.int64), 0, (1 << deep_bits) - 1)
        values = values >> (deep_bits - 8) if deep_bits >= 8 else values << (8 - deep_bits)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise BrokenImageError("floating-point pixels; 8 or 16 bits are allowed")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


def _with_channels(rgb: Any, pixels: Pixels) -> Any:
    return rgb.convert("L") if pixels.channels == 1 else rgb


def _square(image: Any, image_size: int) -> npt.NDArray[np.uint8]:
    """The centre square at the target size; crop and resize are one step, so that a thin image is never enlarged as a
    whole.
    """
    import numpy as np
    from PIL import Image

    side = min(image.size)
    if image.size != (image_size, image_size):
        left, top = (image.width - side) / 2, (image.height - side) / 2
        image = image.resize(
            (image_size, image_size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
        )
    array = np.asarray(image)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's remarks on odd files; the thread that starts the decoding threads holds it around them."""
    import logging

    logger = logging.getLogger("PIL")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        logger.setLevel(level)
