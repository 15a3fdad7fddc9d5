"""One image file to one square of RGB pixels: shorter side resized with antialiasing, then the centre."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["DECODER_VERSION", "BrokenImageError", "decode", "header_size", "quiet"]

DECODER_VERSION = 1  # raised where the same file comes to give other pixels
# Only formats that are data through and through: Pillow hands EPS, for one, to an interpreter.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 128 * 1024 * 1024
# All that Pillow's readers were seen to raise on damaged files.
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
    """An image that cannot be decoded; the message says why in a few words."""


def header_size(content: Any) -> tuple[int, int] | None:
    """Return height and width from an image's header (or a `(3, H, W)` array); None where it cannot be read."""
    if not isinstance(content, bytes):
        return int(content.shape[1]), int(content.shape[2])
    from PIL import Image

    Image.init()  # registers all formats; does nothing the second time
    try:
        with quiet(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.size[1], image.size[0]
    except (*DECODE_ERRORS, Image.DecompressionBombError):
        return None


def decode(content: Any, image_size: int) -> npt.NDArray[np.uint8]:
    """Return an image as `(3, image_size, image_size)` uint8: bytes of a file, or pixels `(3, H, W)`.

    Grayscale, palette, CMYK and 16-bit images become 8-bit RGB; transparency is laid on white. Orientation
    tags are not applied, as in torchvision's folders. Of an animation the first frame counts. An image that has
    the size already keeps its pixels to the bit.

    Raises:
        BrokenImageError: it cannot be decoded.
    """
    import numpy as np
    from PIL import Image

    if not isinstance(content, bytes):
        if content.shape == (3, image_size, image_size):
            return np.ascontiguousarray(content)
        return _square(Image.fromarray(np.ascontiguousarray(content.transpose(1, 2, 0))), image_size)
    Image.init()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BrokenImageError(f"{image.width} × {image.height} pixels; at most {MAX_PIXELS}")
            # A JPEG is decoded at a fraction of its size where that leaves at least twice what is needed.
            if image.format == "JPEG" and min(image.size) > 4 * image_size:
                image.draft(None, (2 * image_size, 2 * image_size))
            return _square(_rgb(image), image_size)
    except BrokenImageError:
        raise
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise BrokenImageError(f"{type(error).__name__}: {error}"[:200]) from None


def _rgb(image: Any) -> Any:
    """The image as 8-bit RGB."""
    import numpy as np
    from PIL import Image

    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would cut off at 255
        return Image.fromarray((np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8).astype(np.uint8)).convert(
            "RGB"
        )
    if image.mode == "F":
        raise BrokenImageError("floating-point pixels; 8 or 16 bits are allowed")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")


def _square(image: Any, image_size: int) -> npt.NDArray[np.uint8]:
    """The centre square at the size wanted; crop and resize are one step, so that a sliver never becomes a giant."""
    import numpy as np
    from PIL import Image

    side = min(image.size)
    if image.size != (image_size, image_size):
        left, top = (image.width - side) / 2, (image.height - side) / 2
        image = image.resize(
            (image_size, image_size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
        )
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's remarks on odd files to itself; to be held around all decoding by the thread that starts the
    others.
    """
    logger = logging.getLogger("PIL")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        logger.setLevel(level)
