"""Values that nobody changes: read-only arrays, also after a result went through a pickle or a copy; sealed records."""

from dataclasses import FrozenInstanceError
from typing import Any, TypeVar

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.tools.arrays import detached

__all__ = ["Locked", "locked", "sealed"]

Class = TypeVar("Class", bound=type)


def locked(values: ArrayLike) -> ndarray:
    """Copy an array as float64 and make the copy read-only."""
    array = np.array(detached(values), dtype=float)
    array.flags.writeable = False
    return array


class Locked:
    """What frozen results with read-only arrays share: pickles forget the lock, and it is put back on."""

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a frozen dataclass lets its subclasses' other attributes through."""
        raise FrozenInstanceError(f"cannot assign to {name!r}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes, arrays read-only again."""
        for name, value in state.items():
            if isinstance(value, ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)


def sealed(record: Class) -> Class:
    """
    Refuse subclasses of a record, whose formulas would go on to hold what was overridden for the record's own.

    Parameters
    ----------
    record : type
        The class.

    Returns
    -------
    type
        The same class.
    """
    base = record.__mro__[1].__name__

    def refuse(cls: type) -> None:
        raise TypeError(
            f"{cls.__name__} must extend {base}, not {record.__name__}, whose closed forms it would inherit"
        )

    record.__init_subclass__ = classmethod(refuse)  # type: ignore[assignment]
    return record
