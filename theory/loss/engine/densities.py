"""Densities of many features as a short series: which densities to sample, and every feature's weights."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy import ndarray

from theory.loss.engine.laws import ValueLaw

__all__ = ["POWERS", "DensityBasis", "density_basis", "log_factor", "summed_densities"]

# log(1 - p + p e) is singular at p = 1/(1 - e), whose real part is at least 1/2: below this density few terms do.
_DENSE = 0.3
# If so few features are denser than one of these, they are treated one by one: the others' series are far shorter.
_SPARSE, _FEW = (0.01, 0.05), 24
_MOST_TERMS = 28
# What a series in p misses is held against these powers of the argument a: with l terms it grows like a^(l+1).
POWERS = (0, 2, 4)
# Arguments at which the series in p is tested; below the first, with more terms than these, misses are but rounding.
_TEST = np.concatenate([np.linspace(0.1, 40, 400), np.geomspace(40, 4000, 100)])
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
    misses : tuple of float
        At the argument a the series misses at most misses[i] |a|^POWERS[i] of log(1 - p + p e(a)) / p, whichever i.
    slope_misses : tuple of float
        The same of the derivative in a, with one power less where there is one.
    """

    nodes: tuple[float, ...]
    to_series: tuple[tuple[float, ...], ...]
    misses: tuple[float, ...] = (0.0,) * len(POWERS)
    slope_misses: tuple[float, ...] = (0.0,) * len(POWERS)


def summed_densities(p: Float[ndarray, " n"]) -> tuple[Bool[ndarray, " n"], list[tuple[float, float]]]:
    """
    Choose the features that are summed together.

    Parameters
    ----------
    p : ndarray, shape (n,)
        Densities; 0 for features that are not to be summed.

    Returns
    -------
    part : ndarray of bool, shape (n,)
        Which features take part; the others, dense ones, are to be treated one by one.
    pieces : list of tuple of float
        Ends of the intervals of p that have a series each; none where all densities are equal.
    """
    used = p > 0
    if not used.any() or p[used].min() == p[used].max():
        return used & (p < 1), []
    dense = next((sparse for sparse in _SPARSE if (used & (p > sparse)).sum() <= _FEW), _DENSE)
    part = used & (p <= dense)
    pieces = [(0.0, float(p[part].max()))] if part.any() else []
    if dense == _DENSE and (used & (p > _DENSE)).sum() > 12:
        part = used & (p < 1)
        pieces.append((_DENSE, float(p[part].max())))
    return part, pieces


def density_basis(
    law: ValueLaw,
    p: Float[ndarray, " n"],
    part: Bool[ndarray, " n"],
    pieces: list[tuple[float, float]],
    enough: Callable[[tuple[float, ...]], bool],
) -> tuple[DensityBasis, Float[ndarray, "n terms"]]:
    """
    Choose a series in p for the densities of many features.

    Parameters
    ----------
    law : ValueLaw
        Law of an active feature's value.
    p : ndarray, shape (n,)
        Densities.
    part, pieces
        What ``summed_densities`` gives.
    enough : callable
        Whether ``DensityBasis.misses`` are small enough.

    Returns
    -------
    basis : DensityBasis
        The shortest series that are accurate enough, or the longest there are.
    weights : ndarray, shape (n, terms)
        p_j T_l(x(p_j)), 0 for features that do not take part; 1 where all densities are equal.
    """
    if not pieces:
        density = float(p[part][0]) if part.any() else 0.5
        return DensityBasis((density,), ((1.0,),)), part[:, None].astype(float)
    nodes: list[float] = []
    rows: list[ndarray] = []
    weights, bases = [], []
    misses = np.zeros((2, len(POWERS)))
    for low, high in pieces:
        missed = _misses(law, low, high)
        terms = next((k for k in range(1, _MOST_TERMS) if enough(tuple(missed[0][k]))), _MOST_TERMS)
        samples, to_series = _samples(low, high, terms)
        inside = part & (p > low) & (p <= high)
        x = np.clip((2 * p - low - high) / (high - low), -1, 1)
        weights.append(np.where(inside, p, 0.0)[:, None] * np.cos(np.arange(len(to_series)) * np.arccos(x)[:, None]))
        bases.append((len(nodes), to_series))
        nodes += samples
        misses = np.maximum(misses, missed[:, terms])
    for start, to_series in bases:
        block = np.zeros((len(to_series), len(nodes)))
        block[:, start : start + to_series.shape[1]] = to_series
        rows += list(block)
    to_all = tuple(tuple(map(float, r)) for r in rows)
    return DensityBasis(tuple(nodes), to_all, *(tuple(map(float, m)) for m in misses)), np.hstack(weights)


@lru_cache(maxsize=256)
def _misses(law: ValueLaw, low: float, high: float) -> Float[ndarray, "kinds terms powers"]:
    """What series of so many terms miss of log(1 - p + p e) / p and of its derivative, over powers of the argument."""
    e, e1 = law.transforms(_TEST, 1)
    p, all_terms = _samples(low, high, _MOST_TERMS)
    functions = np.stack([log_factor(e, q) for q in p]), np.stack([q * e1 / (1 - q + q * e) for q in p])
    misses = np.empty((2, _MOST_TERMS + 1, len(POWERS)))
    for kind, values in enumerate(functions):
        sizes = np.abs(all_terms @ values)
        sizes[sizes < 2 * _EPS] = 0.0  # what is only rounding
        left = np.zeros((_MOST_TERMS + 1, len(_TEST)))
        left[:-1] = np.cumsum(sizes[::-1], axis=0)[::-1]
        left += sizes[-2:].sum(0)
        for i, power in enumerate(POWERS):
            # interpolation with as many samples as terms misses at most twice what the truncated series does
            misses[kind, :, i] = 2 * (left / _TEST ** max(power - kind, 0)).max(1)
            misses[kind, : max(power - 1, 0), i] = np.inf
    return misses


def _samples(low: float, high: float, terms: int) -> tuple[list[float], Float[ndarray, "terms terms"]]:
    """Densities, and the map from samples of a function to the coefficients of p T_l that interpolate it."""
    angle = np.pi * (np.arange(terms) + 0.5) / terms
    samples = low + (high - low) * (1 + np.cos(angle)) / 2
    to_series = np.cos(np.outer(np.arange(terms), angle)) * (2 / terms)
    to_series[0] /= 2
    return samples.tolist(), to_series / samples


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
