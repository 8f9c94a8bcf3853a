"""Densities of many features as a short series: which densities to sample, and every feature's weights."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from theory.loss.engine.laws import ValueLaw

__all__ = ["DensityBasis", "density_basis"]

# log(1 - p + p e) is singular at p = 1/(1 - e), whose real part is at least 1/2: below this density few terms do.
_DENSE = 0.3
# If so few features are denser than one of these, they are treated one by one: the others' series are far shorter.
_SPARSE, _FEW = (0.01, 0.05), 24
_MOST_TERMS = 28
# Arguments at which the series in p is tested.
_TEST = np.concatenate([np.linspace(0, 40, 400), np.geomspace(40, 4000, 100)])


@dataclass(frozen=True)
class DensityBasis:
    """
    Densities at which a function of p is sampled, and the map from samples to the coefficients of its series.

    Attributes
    ----------
    nodes : tuple of float
        Densities.
    to_series : tuple of tuple of float
        Row l: weights of the samples in the coefficient of T_l.
    miss : float
        What the series misses at most.
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
        What the series may miss per feature.

    Returns
    -------
    basis : DensityBasis
        The series.
    weights : ndarray, shape (n, terms)
        T_l(x(p_j)), 0 for features that do not take part.
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
    miss = 0.0
    for low, high in pieces:
        samples, to_series, missed = _piece(law, low, high, tolerance)
        inside = part & (p > low) & (p <= high) if low else part & (p <= high) & (p <= dense)
        x = np.clip((2 * p - low - high) / (high - low), -1, 1)
        weights.append(np.where(inside[:, None], np.cos(np.arange(len(to_series)) * np.arccos(x)[:, None]), 0.0))
        bases.append((len(nodes), to_series))
        nodes += samples
        miss = max(miss, missed)
    for start, to_series in bases:
        block = np.zeros((len(to_series), len(nodes)))
        block[:, start : start + to_series.shape[1]] = to_series
        rows += list(block)
    if not pieces:
        return DensityBasis((0.5,), ((1.0,),), 0.0), np.zeros((len(p), 1)), part
    return DensityBasis(tuple(nodes), tuple(tuple(map(float, r)) for r in rows), miss), np.hstack(weights), part


def _piece(law: ValueLaw, low: float, high: float, tolerance: float) -> tuple[list[float], ndarray, float]:
    """Samples, matrix to coefficients, and miss of the shortest series that is accurate enough."""
    angle = np.pi * (np.arange(_MOST_TERMS) + 0.5) / _MOST_TERMS
    p = low + (high - low) * (1 + np.cos(angle)) / 2
    factor = 1 - p[:, None] + p[:, None] * law.transform(_TEST)
    logs = np.log(np.where(factor == 0, 1e-300, factor))
    all_terms = np.cos(np.outer(np.arange(_MOST_TERMS), angle)) * (2 / _MOST_TERMS)
    all_terms[0] /= 2
    sizes = np.abs(all_terms @ logs).max(1)
    left = np.append(np.cumsum(sizes[::-1])[::-1], 0.0) + sizes[-2:].sum()
    terms = max(1, int(np.argmax(left <= tolerance))) if (left <= tolerance).any() else _MOST_TERMS
    # interpolation with as many samples as terms: its error is at most twice what the truncated series misses
    angle = np.pi * (np.arange(terms) + 0.5) / terms
    samples = low + (high - low) * (1 + np.cos(angle)) / 2
    to_series = np.cos(np.outer(np.arange(terms), angle)) * (2 / terms)
    to_series[0] /= 2
    return samples.tolist(), to_series, float(2 * left[terms])
