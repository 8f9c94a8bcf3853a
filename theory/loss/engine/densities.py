"""Densities of many features as a short series: which densities to sample, and every feature's weights."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy import ndarray

from theory.loss.engine.laws import ValueLaw

__all__ = ["DensityBasis", "density_basis", "log_factor"]

# log(1 - p + p e) is singular at p = 1/(1 - e), whose real part is at least 1/2: below this density few terms do.
_DENSE = 0.3
# If so few features are denser than one of these, they are treated one by one: the others' series are far shorter.
_SPARSE, _FEW = (0.01, 0.05), 24
_MOST_TERMS = 28
# Arguments at which the series in p is tested.
_TEST = np.concatenate([np.linspace(0, 40, 400), np.geomspace(40, 4000, 100)])
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class DensityBasis:
    """
    Densities at which a function of p is sampled, and the map from samples to the coefficients of its series.

    The series is p times one in Chebyshev polynomials, exactly 0 at p = 0: most features are sparser than the densest.

    Attributes
    ----------
    nodes : tuple of float
        Densities.
    to_series : tuple of tuple of float
        Row l: weights of the samples in the coefficient of p T_l.
    miss : float
        What the series misses at most of log(1 - p + p e) / p; of the function itself if there is but one density.
    """

    nodes: tuple[float, ...]
    to_series: tuple[tuple[float, ...], ...]
    miss: float


def density_basis(
    law: ValueLaw, p: Float[ndarray, " n"], tolerance: float
) -> tuple[DensityBasis, Float[ndarray, "n terms"], Bool[ndarray, " n"]]:
    """
    Choose a series in p for the densities of many features.

    Parameters
    ----------
    law : ValueLaw
        Law of an active feature's value.
    p : ndarray, shape (n,)
        Densities; 0 for features that are not to be summed.
    tolerance : float
        What the series may miss per feature, on the average.

    Returns
    -------
    basis : DensityBasis
        The series.
    weights : ndarray, shape (n, terms)
        p_j T_l(x(p_j)), 0 for features that do not take part.
    part : ndarray of bool, shape (n,)
        Which features take part; the others, dense ones, are to be treated one by one.
    """
    used = p > 0
    if not used.any() or p[used].min() == p[used].max():
        density = float(p[used][0]) if used.any() else 0.5
        part = used & (p < 1)
        return DensityBasis((density,), ((1.0,),), 0.0), part[:, None].astype(float), part
    dense = next((sparse for sparse in _SPARSE if (used & (p > sparse)).sum() <= _FEW), _DENSE)
    part = used & (p <= dense)
    weights, bases = [], []
    top = float(p[part].max()) if part.any() else 0.0
    pieces = [(0.0, top)] if part.any() else []
    if dense == _DENSE and (used & (p > _DENSE)).sum() > 12:
        part = used & (p < 1)
        pieces.append((_DENSE, float(p[part].max())))
    nodes: list[float] = []
    rows: list[ndarray] = []
    miss, mean = 0.0, float(p[part].mean()) if part.any() else 1.0
    for low, high in pieces:
        samples, to_series, missed = _piece(law, low, high, tolerance / mean)
        inside = part & (p > low) & (p <= high) if low else part & (p <= high) & (p <= dense)
        x = np.clip((2 * p - low - high) / (high - low), -1, 1)
        weights.append(np.where(inside, p, 0.0)[:, None] * np.cos(np.arange(len(to_series)) * np.arccos(x)[:, None]))
        bases.append((len(nodes), to_series))
        nodes += samples
        miss = max(miss, missed)
    for start, to_series in bases:
        block = np.zeros((len(to_series), len(nodes)))
        block[:, start : start + to_series.shape[1]] = to_series
        rows += list(block)
    if not pieces:
        return DensityBasis((0.5,), ((1.0,),), 0.0), np.zeros((len(p), 1)), part
    to_all = tuple(tuple(map(float, r)) for r in rows)
    return DensityBasis(tuple(nodes), to_all, miss), np.hstack(weights), part


@lru_cache(maxsize=256)
def _piece(law: ValueLaw, low: float, high: float, tolerance: float) -> tuple[list[float], ndarray, float]:
    """Samples, matrix to coefficients, and miss of the shortest series of log(1 - p + p e) / p that will do."""
    angle = np.pi * (np.arange(_MOST_TERMS) + 0.5) / _MOST_TERMS
    p = low + (high - low) * (1 + np.cos(angle)) / 2
    logs = np.stack([log_factor(law.transform(_TEST), q) / q for q in p])
    all_terms = np.cos(np.outer(np.arange(_MOST_TERMS), angle)) * (2 / _MOST_TERMS)
    all_terms[0] /= 2
    sizes = np.abs(all_terms @ logs).max(1)
    sizes[sizes < 2 * _EPS] = 0.0  # what is only rounding
    left = np.append(np.cumsum(sizes[::-1])[::-1], 0.0) + sizes[-2:].sum()
    terms = max(1, int(np.argmax(left <= tolerance))) if (left <= tolerance).any() else _MOST_TERMS
    # interpolation with as many samples as terms: its error is at most twice what the truncated series misses
    angle = np.pi * (np.arange(terms) + 0.5) / terms
    samples = low + (high - low) * (1 + np.cos(angle)) / 2
    to_series = np.cos(np.outer(np.arange(terms), angle)) * (2 / terms)
    to_series[0] /= 2
    return samples.tolist(), to_series / samples, float(2 * left[terms])


def log_factor(e: Complex[ndarray, "*shape samples"], p: float) -> Complex[ndarray, "*shape samples"]:
    """
    Give log(1 - p + p e), whose phase runs on along the last axis.

    Parameters
    ----------
    e : ndarray
        Transforms; where p is above 1/2 the first or the last of a row is next to 1.
    p : float
        Density.

    Returns
    -------
    ndarray
        Accurate relative to p where p is small.
    """
    out = np.empty_like(e)
    factor = p * e
    factor += 1 - p
    if p < _DENSE:
        change = p * (e - 1)
        out.real = 0.5 * np.log1p(2 * change.real + change.real**2 + change.imag**2)
    else:
        out.real = 0.5 * np.log(np.maximum(factor.real**2 + factor.imag**2, 1e-300))
    phase = np.arctan2(factor.imag, factor.real)
    out.imag = phase if p <= 0.5 else np.unwrap(phase[..., ::-1])[..., ::-1]
    return out
