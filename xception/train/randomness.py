"""Seeds for every step of a training, derived from the step's position alone.

A resumed training therefore needs no generator state: step 3 of epoch 7 draws the same numbers
whether the process began at epoch 0 or at epoch 7.
"""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a seed in 0 … 2⁶³ − 1 that depends on every part and on their order."""
    text = "\x1f".join(f"{type(p).__name__}:{p}" for p in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
