"""Typefaces of figures: one for everything, and others for the glyphs that it lacks."""

from __future__ import annotations

import functools

from xception.base.drawing import load_matplotlib

__all__ = ["TYPEFACE", "families", "legible"]

TYPEFACE = "DejaVu Sans"  # comes with matplotlib
# Searched in this order for glyphs that the first lacks, where installed.
_FALLBACKS = (
    "STIXGeneral",  # comes with matplotlib
    "Noto Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Sans Symbols",
    "Noto Sans Symbols2",
    "Noto Emoji",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "IPAexGothic",
    "IPAGothic",
    "NanumGothic",
    "Unifont",
    "FreeSans",
    "Arial Unicode MS",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
)


@functools.cache
def families() -> tuple[str, ...]:
    """Return the typefaces in the order in which glyphs are looked for, for matplotlib's `font.family`."""
    load_matplotlib()
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return (TYPEFACE, *(name for name in _FALLBACKS if name in installed))


def legible(text: object) -> str:
    """Return text in which each character that no typeface has is replaced by a replacement character."""
    known = _glyphs()
    return "".join(c if c == "\n" or ord(c) in known else "\N{REPLACEMENT CHARACTER}" for c in str(text))


@functools.cache
def _glyphs() -> frozenset[int]:
    """The code points that can be shown."""
    load_matplotlib()
    from matplotlib import font_manager

    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in families())
    return frozenset(code for font in fonts for code in font.get_charmap() if code >= 32)
