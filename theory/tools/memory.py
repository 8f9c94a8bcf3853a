"""What the C library does with memory that is given back."""

from functools import cache

import numpy as np

__all__ = ["keep_freed_memory"]

# Just below the largest block after which glibc adapts.
_LARGEST_ADAPTED = 2**25 - 2**16


@cache
def keep_freed_memory() -> None:
    """
    Let the C library keep what arrays give back, up to 64 MB, instead of returning it to the system at once.

    The loops over blocks allocate the same few hundred kilobytes again and again, and for every page that was returned
    the system has to find, and clear, another: almost half of the time of a quadrature. glibc keeps twice the size of
    the largest block that was ever mapped and given back; one that is never touched costs nothing. Other libraries
    do as they please.
    """
    np.empty(_LARGEST_ADAPTED, dtype=np.uint8)
