"""Values that nobody changes: read-only arrays, also after a result went through a pickle or a copy."""

from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

__all__ = ["Locked", "locked"]


def locked(values: ArrayLike) -> ndarray:
    """Copy an array as float64 and make the copy read-only."""
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    return array


class Locked:
    """What frozen results with read-only arrays share: pickles forget the lock, and it is put back on."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes, arrays read-only again."""
        for name, value in state.items():
            if isinstance(value, ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)
