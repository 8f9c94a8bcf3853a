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

from theory.model.features import FeatureDistribution
from theory.model.values import ValueLaw
from theory.tools.seeds import Seed, generator

__all__ = ["SPARSE_DENSITY", "draw_values", "sample", "sample_sparse", "sparse_hits"]

# Above this density a hit per active cell costs more than a uniform per cell: the two cross between 0.2 and 0.3 for
# n from 2 to 400 (measured). It is also far from p = 1, where the rate of hits is infinite.
SPARSE_DENSITY = 0.2


def sample(
    features: FeatureDistribution,
    size: int,
    rng: Seed = None,
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
    rng : Generator, BitGenerator, SeedSequence, int or None
        Source of randomness, as ``numpy.random.default_rng`` takes it; a generator moves on, None differs every time.
    dtype : type
        Either numpy.float32 or numpy.float64. In float32 densities are resolved to 2**-24.

    Returns
    -------
    ndarray, shape (*batch, size, n)
        The samples; 0 where a feature is inactive.

    Examples
    --------
    >>> from theory import Independent
    >>> sample(Independent([0.5, 1.0], values="binary"), 3, np.random.default_rng(0))
    array([[0., 1.],
           [1., 1.],
           [0., 1.]])
    """
    rng = generator(rng)
    p = (features.feature_density if features.independent else features.density).astype(dtype)[..., None, :]
    u = rng.random((*features.batch_shape, size, p.shape[-1]), dtype=dtype)
    if features.independent:
        active = u < p
        # Given u < p, (p - u) / p is uniform on (0, 1]: one draw serves for mask and value.
        return _values(active, np.maximum((p - u) / p, 0), features.values)
    active = np.empty((*u.shape[:-1], features.n), bool)
    for s, (members, law) in enumerate(features.groups):
        # Given that the set is active, u / p is uniform on [0, 1): one draw serves for the set and its members.
        inside = law.activate(u[..., s] / p[..., s], len(members))
        active[..., list(members)] = inside & (u[..., s, None] < p[..., s, None])
    return _values(active, rng.random(active.shape, dtype=dtype), features.values)


def _values(active: Bool[ndarray, "..."], v: Float[ndarray, "..."], law: ValueLaw) -> Float[ndarray, "..."]:
    """Give the active cells their values; ``v`` is uniform on [0, 1] where a cell is active."""
    return np.where(active, draw_values(v, law), v.dtype.type(0))


def draw_values(v: Float[ndarray, "..."], law: ValueLaw) -> Float[ndarray, "..."]:
    """
    Turn uniforms into values.

    Parameters
    ----------
    v : ndarray
        Uniform on [0, 1].
    law : ValueLaw
        Law of the values.

    Returns
    -------
    ndarray, the same shape and precision
        Values; finite also where the support is not.
    """
    if not all(map(math.isfinite, law.support)):
        tiny = np.finfo(v.dtype).epsneg
        v = np.clip(v, tiny, 1 - tiny)
    return law.quantile(v).astype(v.dtype, copy=False)


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
    features: FeatureDistribution,
    size: int,
    rng: Seed = None,
    dtype: type[np.floating] = np.float64,
) -> Float[ndarray, "*batch size n"]:
    """
    Draw from independent features at a cost per active cell; the same law as ``sample``.

    Parameters
    ----------
    features : FeatureDistribution
        Independent features; densities below 1; worth it below about 0.2.
    size : int
        Number of samples of each distribution in the batch, >= 0.
    rng : Generator, BitGenerator, SeedSequence, int or None
        Source of randomness, as ``numpy.random.default_rng`` takes it; a generator moves on, None differs every time.
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

    Examples
    --------
    >>> import numpy as np
    >>> import numerics
    >>> from theory import Independent
    >>> x = numerics.sample_sparse(Independent([0.05] * 4), 1000, np.random.default_rng(0))
    >>> x.shape, bool(0.02 < (x > 0).mean() < 0.08)
    ((1000, 4), True)
    """
    if not features.independent:
        raise TypeError(f"only independent features can be drawn sparsely, got {features.name} ones")
    batch, n = features.batch_shape, features.n
    x = np.zeros((math.prod(batch), size, n), dtype)
    cell, v = sparse_hits(features.feature_density.reshape(-1, n), size, generator(rng))
    x.reshape(-1)[cell] = draw_values(v, features.values)
    return x.reshape(*batch, size, n)
