"""Memory that is used again in the next step, not given back to the system in between.

The GNU allocator hands large blocks back as soon as they are freed, so every step of a training
and every tile of an image ask the system for the same pages anew; with the base network that is
half of the time, with a U-Net in float32 two fifths. Where another allocator or another system is
at work nothing is changed.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of mallopt(3)."""

_NEVER = -1
_USUAL_MMAPS = 65_536
_LARGEST_ON_HEAP = 32 * 2**20
"""Where glibc's own adjustment of the thresholds ends: larger blocks are mapped."""


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep what is freed for what comes next; at the end give all of it back."""
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MMAPS)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_ON_HEAP)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is GNU's."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    needed = ("mallopt", "malloc_trim", "gnu_get_libc_version")
    return library if all(hasattr(library, name) for name in needed) else None
