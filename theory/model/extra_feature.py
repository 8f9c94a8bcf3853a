"""The problem of an extra feature: n - 1 features of importance 1 and one of another."""

import numpy as np
from numpy.typing import ArrayLike

from theory.model.problem import Problem
from theory.model.variant import STANDARD, Variant

__all__ = ["extra_feature_problem"]


def extra_feature_problem(
    n: int, m: int, density: ArrayLike, importance: ArrayLike, variant: Variant = STANDARD
) -> Problem:
    """
    Build problems in which the last of n features has an importance of its own.

    Parameters
    ----------
    n, m : int
        Number of features and of hidden dimensions.
    density : array_like, shape (*batch)
        Density p = 1 - S of every feature, in (0, 1].
    importance : array_like, shape (*batch)
        Importance of the last feature, >= 0; the others have 1. Broadcast with the density: for a grid pass
        ``densities[:, None]`` and ``importances``.
    variant : Variant
        Laws of values and sets, and whatever else options choose.

    Returns
    -------
    Problem
        A single problem, or a batch of the broadcast shape.

    Raises
    ------
    ValueError
        If a number is out of its range or the shapes do not broadcast.

    Examples
    --------
    >>> import theory
    >>> theory.extra_feature_problem(3, 2, 0.1, 0.5).importance.tolist()
    [1.0, 1.0, 0.5]
    """
    p, extra = np.broadcast_arrays(np.asarray(density, dtype=float), np.asarray(importance, dtype=float))
    weight = np.ones((*extra.shape, n))
    weight[..., -1] = extra
    return variant.problem(n, m, np.repeat(p[..., None], n, axis=-1), weight)
