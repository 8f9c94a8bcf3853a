"""Losses that are not known to the accuracy that was asked for: the warning that says so."""

import sys
import warnings

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["AccuracyWarning", "warn_of_misses"]

# A loss is known to this part of the zero model's at best; one that is smaller counts as accurate.
_ROUNDING = 1e-12


class AccuracyWarning(UserWarning):
    """A loss could not be computed to the accuracy that was asked for; the message says how far it got."""


def warn_of_misses(
    loss: Float[ndarray, " k"], error: Float[ndarray, " k"], unit: Float[ndarray, " k"], rtol: float
) -> None:
    """Say so where a loss is known to less than was asked for, and to less than rounding allows."""
    missed = error > rtol * loss + _ROUNDING * unit
    if missed.any():
        worst = int(np.argmax(error / np.maximum(loss, np.finfo(float).tiny)))
        warnings.warn(
            f"the loss {loss[worst]:.6g} is only known to about {error[worst]:.1e}, not to rtol = {rtol:g}; pass a "
            "larger rtol",
            AccuracyWarning,
            stacklevel=_caller(),
        )


def _caller() -> int:
    """How many calls up the package's user is, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("theory", "jaxtyping"):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level
