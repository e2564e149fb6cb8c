"""Freed memory: it stays with the process while it trains, and is given back before memory is measured.

A training step frees and requests the same few hundred megabytes again. glibc returns large blocks to the
kernel at once, which then hands them out page by page, each filled with zeros.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt`, by the numbers in its malloc.h."""


def keep_freed_memory() -> None:
    """Let this process reuse what it has freed; do nothing where the C library is not glibc."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    if not mallopt(_MMAP_THRESHOLD, 1 << 30):
        # some versions refuse as much; this is the most that all of them accept
        mallopt(_MMAP_THRESHOLD, 32 << 20)
    mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_TOP_PAD, 64 << 20)


def give_back_freed_memory() -> None:
    """Return what this process has freed to the system; do nothing where the C library is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
