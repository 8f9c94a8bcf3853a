"""What the characteristic function can still be at frequencies that are not computed: decreasing bounds of |phi(t)|.

|E x_j exp(iau)| and Re E exp(iau) are bounded by decreasing functions of |a|, tabulated once per value law on a grid of
eighths of an octave (the value at the left end of a cell bounds the cell). A single feature's factor then satisfies
|1 - p + p e|^2 <= (1-p)^2 + 2p(1-p) rho + p^2 mu^2, and the part of phi with two or more active features is at most
P(0) (e^B - 1 - B), B = sum_j p_j/(1-p_j) mu(t g_j).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.laws import ValueLaw
from theory.model.value_units import unit_law

__all__ = ["CELLS_PER_OCTAVE", "Decay", "abs_moment", "cells", "clipped", "decay"]

CELLS_PER_OCTAVE = 8
_FIRST, _LAST = -6, 15  # octaves of |a| in the table
# Arguments, in units of one over the values' size: samples are close up to the first, and some twenty a turn up to the
# second, where tables of transforms end; beyond, each cell has a window of two turns.
_CLOSE_UNTIL, _CLOSE_STEP = 64.0, 1 / 64
_DENSE_UNTIL, _DENSE_STEP = 2.0**11, 1 / 4
_WINDOW = np.linspace(0, 4 * np.pi, 250)
# What may lie between two samples. Values in [-1, 1] make |e|^2 a sum of waves of frequencies up to 2, and from its top
# to the next sample, 1/8 away at most, it falls to cos(1/4) of that at the lowest (Duffin and Schaeffer 1937).
_SLACK, _DENSE_SLACK = 1 + 1e-3, 1 / np.cos(0.25) ** 0.5


@dataclass(frozen=True, eq=False)
class Decay:
    """
    Decreasing bounds on a value law's transform, one number per cell of log2 |a|.

    Attributes
    ----------
    modulus, real : ndarray, shape (cells,)
        Bounds of |e(a')| and Re e(a') for all |a'| >= |a|.
    first, second : ndarray, shape (cells,)
        Bounds of |e'| and |e''|.
    """

    modulus: ndarray
    real: ndarray
    first: ndarray
    second: ndarray


@lru_cache(maxsize=64)
def decay(law: ValueLaw) -> Decay:
    """
    Tabulate the bounds of a value law.

    Parameters
    ----------
    law : ValueLaw
        The law; its transform is sampled. Atoms never decay: their mass is a lower limit of every bound.

    Returns
    -------
    Decay
        The table.
    """
    edges = 2.0 ** (np.arange(_FIRST * CELLS_PER_OCTAVE, _LAST * CELLS_PER_OCTAVE + 1) / CELLS_PER_OCTAVE)
    edges = np.concatenate([[0.0], edges])  # whatever lies left of the table is bounded by the value at 0
    steady = [sum(q * abs(v) ** k for v, q in law.atoms) for k in range(3)]
    if steady[0] > 1 - 1e-12:  # atoms alone
        return Decay(*(np.full(len(edges), abs_moment(law, k)) for k in (0, 0, 1, 2)))
    size = unit_law(law)[1]
    close = np.arange(0, _CLOSE_UNTIL, _CLOSE_STEP)
    dense = np.arange(_CLOSE_UNTIL, _DENSE_UNTIL, _DENSE_STEP)
    far = edges[edges * size > _DENSE_UNTIL / 2, None] + _WINDOW / size  # from the cell on in which dense ones end
    a = np.sort(np.concatenate([close / size, dense / size, far.ravel()]))
    turns, samples, bounds = a * size, law.transforms(a, 2), []
    slack, beats = np.where(turns < _CLOSE_UNTIL, _SLACK, _DENSE_SLACK), _beats(turns, np.abs(samples[0]))
    alone = turns >= _DENSE_UNTIL
    for k, x in enumerate(samples):
        largest = np.abs(x) * slack
        before = largest[(turns >= _DENSE_UNTIL / 2) & ~alone].max()
        largest[alone] = np.minimum(largest[alone] * beats, before)
        bounds.append(np.clip(np.maximum(_suffix_max(a, largest, edges), steady[k]), 0, abs_moment(law, k)))
        if k == 0:
            positive = np.where(alone, largest, x.real + (slack - 1) * np.abs(x))
    real = np.clip(np.maximum(_suffix_max(a, positive, edges), steady[0] if law.atoms else -1.0), -1, 1)
    return Decay(bounds[0], real, bounds[1], bounds[2])


@lru_cache(maxsize=256)
def abs_moment(law: ValueLaw, k: int) -> float:
    """E |u|^k."""
    return float(law.tail(k, np.zeros(1))[0]) if k else 1.0


def _beats(a: ndarray, modulus: ndarray) -> float:
    """How much higher the waves of the values' parts may beat between two windows than in them."""
    # The square of what it is in the last octaves whose samples are dense.
    starts = _DENSE_UNTIL * 2.0 ** (-np.arange(1, 2 * CELLS_PER_OCTAVE + 1) / CELLS_PER_OCTAVE)
    places = np.searchsorted(a, [starts, starts + _WINDOW[-1], starts * 2 ** (1 / CELLS_PER_OCTAVE)])
    parts = [modulus[i:k].max() / max(modulus[i:j].max(), 1e-300) for i, j, k in places.T]
    return float(max(parts) ** 2)


def _suffix_max(a: ndarray, values: ndarray, edges: ndarray) -> ndarray:
    """Largest value at arguments >= each edge; the last sample's stands for all that follow."""
    highest = np.maximum.accumulate(values[::-1])[::-1]
    # the sample at or before an edge: between samples the function may be larger than at the next one
    return highest[np.clip(np.searchsorted(a, edges, side="right") - 1, 0, len(a) - 1)]


def cells(a: Float[ndarray, "*shape"]) -> Int[ndarray, "*shape"]:
    """
    Give the cell of the table that contains |a|, not clipped.

    Parameters
    ----------
    a : ndarray
        Arguments.

    Returns
    -------
    ndarray of int
        Index on an endless grid. The sum of the cells of t and g, put through ``clipped``, bounds the cell of t g.
    """
    with np.errstate(divide="ignore"):
        position = CELLS_PER_OCTAVE * np.log2(np.abs(a))
    return np.floor(np.clip(position, -100_000, 100_000)).astype(np.int64)


def clipped(cell: Int[ndarray, "*shape"]) -> Int[ndarray, "*shape"]:
    """
    Turn cells into indices of the table.

    Parameters
    ----------
    cell : ndarray of int
        Cells, or sums of two.

    Returns
    -------
    ndarray of int
        Indices.
    """
    cell = cell - (_FIRST * CELLS_PER_OCTAVE - 1)
    return np.minimum(np.maximum(cell, 0), (_LAST - _FIRST) * CELLS_PER_OCTAVE + 1)
