"""The memory of a process that trains one network after the other."""

from __future__ import annotations

import sys

import pytest

from tests.command import call

_PROGRAM = """
from pathlib import Path

from xception.train.process import keep_freed_memory, return_freed_memory

def resident_mb():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) / 1024

assert keep_freed_memory()
before = resident_mb()
blocks = [bytearray(b"x") * 2**21 for _ in range(100)]  # as activations: large, and on the heap
last = bytearray(2**21)  # what a later part of the process holds on to
del blocks
kept = resident_mb()
assert return_freed_memory()
print(kept - before, resident_mb() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator's settings are those of glibc on Linux")
def test_what_a_large_trial_freed_is_kept_until_it_ends() -> None:
    kept, after = (float(word) for word in call("-c", _PROGRAM).stdout.split())
    assert kept > 190
    assert after < 20
