"""Settings of a process that trains: threads and the memory allocator.

The program sets them for its own workers, so users need not know about them.
"""

from __future__ import annotations

import ctypes
import sys

# mallopt parameters, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Make glibc keep the memory that a step frees for the next step; return whether that worked.

    By default every large activation is mapped afresh and returned to the kernel when freed, so that
    each step pays page faults for all of its memory: 1.3 to 1.5 times the step's time on the small
    networks of an ablation.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    largest = 2**30
    return all(
        mallopt(name, value)
        for name, value in ((_M_MMAP_THRESHOLD, largest), (_M_TRIM_THRESHOLD, largest), (_M_TOP_PAD, 2**26))
    )


def return_freed_memory() -> bool:
    """Return free memory to the system between trials; return whether there was any.

    Otherwise the process would keep the memory of its largest trial so far (`keep_freed_memory`).
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return False
    return bool(trim(ctypes.c_size_t(0)))


def prepare_process(threads: int) -> None:
    """Set the number of threads of one operator and the allocator; call it once, before the first tensor."""
    import torch

    keep_freed_memory()
    torch.set_num_threads(threads)
