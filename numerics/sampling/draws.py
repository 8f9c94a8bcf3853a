"""Draws from a feature distribution, dense or sparse, from an explicit random generator.

The dense draw spends one uniform per cell. The sparse draw spends one per active cell: "active with
probability p" is "at least one hit of a Poisson process of rate -ln(1 - p)", so it draws how many hits fall
on each feature and lets each hit's uniform say both which sample it falls on (the whole part) and the value
it brings (the fraction). A cell that is hit twice keeps the later value, which is as uniform as the earlier
one: the law is exact.
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.model.features import Anticorrelated, Correlated, FeatureDistribution, Independent

__all__ = ["SPARSE_DENSITY", "sample", "sample_sparse", "sparse_hits"]

# Above this density a hit per active cell costs more than a uniform per cell: the two cross between 0.2 and 0.3 for
# n from 2 to 400 (measured). It is also far from p = 1, where the rate of hits is infinite.
SPARSE_DENSITY = 0.2


def sample(
    features: FeatureDistribution,
    size: int,
    rng: np.random.Generator,
    symmetric: bool = False,
    dtype: type[np.floating] = np.float64,
) -> Float[ndarray, "*batch size n"]:
    """
    Draw feature vectors, one uniform or more per cell.

    Parameters
    ----------
    features : FeatureDistribution
        What to draw from: independent, correlated or anticorrelated features.
    size : int
        Number of samples of each distribution in the batch, >= 0.
    rng : numpy.random.Generator
        Source of randomness; equal states give equal draws.
    symmetric : bool
        Draw active values from U[-1, 1] instead of U[0, 1], or from {-1, 1} instead of 1.
    dtype : type
        Either numpy.float32 or numpy.float64. In float32 densities are resolved to 2**-24.

    Returns
    -------
    ndarray, shape (*batch, size, n)
        The samples; 0 where a feature is inactive.

    Raises
    ------
    TypeError
        If the distribution is of a kind that cannot be drawn from.

    Examples
    --------
    >>> sample(Independent([0.5, 1.0], values="binary"), 3, np.random.default_rng(0))
    array([[0., 1.],
           [1., 1.],
           [0., 1.]])
    """
    p = features.density.astype(dtype)[..., None, :]
    u = rng.random((*features.batch_shape, size, p.shape[-1]), dtype=dtype)
    if isinstance(features, Independent):
        active = u < p
        # Given u < p, (p - u) / p is uniform on (0, 1]: one draw serves for mask and value.
        return _values(active, (p - u) / p, features.values, symmetric)
    owner = features.set_of_feature
    active = (u < p)[..., owner]
    if isinstance(features, Anticorrelated):
        sizes = np.array([len(members) for members in features.sets])
        chosen = np.floor(u / p * sizes)
        active &= chosen[..., owner] == _position_in_set(features.sets)
    elif not isinstance(features, Correlated):
        raise TypeError(f"cannot draw from a {type(features).__name__}")
    v = rng.random(active.shape, dtype=dtype)
    return _values(active, v, features.values, symmetric)


def _position_in_set(sets: tuple[tuple[int, ...], ...]) -> Int[ndarray, " n"]:
    position = np.empty(sum(map(len, sets)), dtype=int)
    for members in sets:
        position[list(members)] = np.arange(len(members))
    return position


def _values(
    active: Bool[ndarray, "..."], v: Float[ndarray, "..."], values: str, symmetric: bool
) -> Float[ndarray, "..."]:
    """Give the active cells their values; ``v`` is uniform on [0, 1] where a cell is active."""
    if values == "uniform":
        return np.asarray(active * (2 * v - 1 if symmetric else v))
    if symmetric:
        # Nothing else depends on v in an active cell: the half it lies in decides the sign.
        return np.asarray(active * np.where(v < 0.5, v.dtype.type(-1), v.dtype.type(1)))
    return active.astype(v.dtype)


def sparse_hits(
    density: Float[ndarray, "runs n"], size: int, rng: np.random.Generator
) -> tuple[Int[ndarray, " hits"], Float[ndarray, " hits"]]:
    """
    Draw where independent features are active, and a uniform for each, at a cost per active cell.

    Parameters
    ----------
    density : ndarray, shape (runs, n)
        Probability that each feature is active, in (0, 1).
    size : int
        Number of samples per run.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    cell : ndarray of int, shape (hits,)
        Flat index into an array of shape (runs, size, n). A cell may come more than once: the last one holds.
    value : ndarray, shape (hits,)
        Uniform on [0, 1), independent of the cells.

    Raises
    ------
    ValueError
        If a density is 1, for which no finite rate of hits exists.
    """
    if density.max() >= 1:
        raise ValueError("a density of 1 cannot be drawn sparsely; use sample(...)")
    runs, n = density.shape
    hits = rng.poisson(-size * np.log1p(-density)).ravel()
    place = rng.random(int(hits.sum()))
    place *= size
    row = place.astype(np.int64)
    place -= row
    row *= n
    first_row = (np.arange(runs)[:, None] * (size * n) + np.arange(n)).ravel()
    row += np.repeat(first_row, hits)
    return row, place


def sample_sparse(
    features: Independent,
    size: int,
    rng: np.random.Generator,
    symmetric: bool = False,
    dtype: type[np.floating] = np.float64,
) -> Float[ndarray, "*batch size n"]:
    """
    Draw from independent features at a cost per active cell; the same law as ``sample``.

    Parameters
    ----------
    features : Independent
        Densities below 1; worth it below about 0.2.
    size : int
        Number of samples of each distribution in the batch, >= 0.
    rng : numpy.random.Generator
        Source of randomness; equal states give equal draws.
    symmetric : bool
        Draw active values from U[-1, 1] instead of U[0, 1], or from {-1, 1} instead of 1.
    dtype : type
        Either numpy.float32 or numpy.float64.

    Returns
    -------
    ndarray, shape (*batch, size, n)
        The samples; 0 where a feature is inactive.

    Raises
    ------
    TypeError
        If the features are not independent.
    ValueError
        If a density is 1.
    """
    if not isinstance(features, Independent):
        raise TypeError(f"only independent features can be drawn sparsely, got {type(features).__name__}")
    batch, n = features.batch_shape, features.n
    x = np.zeros((math.prod(batch), size, n), dtype)
    cell, v = sparse_hits(features.density.reshape(-1, n), size, rng)
    x.reshape(-1)[cell] = _values(np.ones(len(v), bool), v, features.values, symmetric)
    return x.reshape(*batch, size, n)
