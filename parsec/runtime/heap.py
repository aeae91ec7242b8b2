"""What the C library does with the memory that tensors free."""

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Options of `mallopt` (glibc's malloc.h)."""


def keep_freed_memory() -> bool:
    """Let the C library keep what tensors free for the next ones; whether it will (glibc alone can be asked).

    By default glibc gives blocks of megabytes back to the system and gets them anew, page by page, a step later: a
    tenth of the time of a search step on a CPU. The process grows no larger than its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # No block is mapped on its own: glibc would give those above 32 MB back whatever the other options say.
    options = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
    return mallopt is not None and all(mallopt(option, value) for option, value in options.items())
