"""Endless streams of training batches, in the layout that makes the gradient cheapest.

Small models want their features as rows: arrays (runs, n + 1, columns), with a last row of ones that carries
the bias. Big models want samples as rows: arrays (runs, batch, n). When features are sparse most samples of a
small model are empty. They all contribute the same, so the stream leaves them out and says how many there
were.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import gammainc

from numerics.sampling.draws import SPARSE_DENSITY, draw_values, sample, sparse_hits
from theory.model.features import FeatureDistribution
from theory.model.values import UNIFORM, ValueLaw

__all__ = ["Batch", "column_batches", "row_batches"]

# Cells of the batches that are drawn at once: enough to pay for the NumPy calls, few enough for the cache.
_BLOCK_CELLS = 300_000
# Columns are padded to a multiple of this: 64 bytes of float32.
_ALIGNMENT = 16


class Batch(NamedTuple):
    """
    One batch for each of many runs.

    Attributes
    ----------
    x : ndarray
        Features: (runs, n + 1, columns) with a last row of ones, or (runs, batch, n).
    empty : int
        Number of further samples of every run in which no feature is active.
    noise : ndarray, shape (runs, batch, m), or None
        What is added to the hidden layer.
    """

    x: ndarray
    empty: int
    noise: ndarray | None = None


def column_batches(
    features: FeatureDistribution, size: int, rng: np.random.Generator, dtype: type[np.floating]
) -> Iterator[Batch]:
    """
    Stream batches with features as rows and a last row of ones.

    Parameters
    ----------
    features : FeatureDistribution
        One distribution per run: its batch shape is (runs,).
    size : int
        Samples per batch.
    rng : numpy.random.Generator
        Source of randomness.
    dtype : type
        Either numpy.float32 or numpy.float64.

    Returns
    -------
    iterator of Batch
        Each a fresh batch, in a buffer that the next one may overwrite.
    """
    if features.independent and features.feature_density.max() <= SPARSE_DENSITY:
        return _packed_columns(features, size, rng, dtype)
    return _dense_columns(features, size, rng, dtype)


def row_batches(
    features: FeatureDistribution,
    size: int,
    rng: np.random.Generator,
    dtype: type[np.floating],
) -> Iterator[Batch]:
    """
    Stream batches with samples as rows.

    Parameters
    ----------
    features : FeatureDistribution
        One distribution per run: its batch shape is (runs,).
    size : int
        Samples per batch.
    rng : numpy.random.Generator
        Source of randomness.
    dtype : type
        Either numpy.float32 or numpy.float64.

    Returns
    -------
    iterator of Batch
        Each a fresh batch, in a buffer that the next one may overwrite.
    """
    if features.independent and features.values.support[0] >= 0:  # signed values keep to the plain draw
        if features.feature_density.max() <= SPARSE_DENSITY:
            return _sparse_rows(features, size, rng, dtype)
        return _dense_rows(features, size, rng, dtype)
    return (Batch(sample(features, size, rng, dtype), 0) for _ in iter(int, 1))


def _sparse_rows(
    features: FeatureDistribution, size: int, rng: np.random.Generator, dtype: type[np.floating]
) -> Iterator[Batch]:
    x = np.empty((*features.density.shape[:1], size, features.n), dtype)
    flat = x.reshape(-1)
    while True:
        cell, value = sparse_hits(features.feature_density, size, rng)
        flat.fill(0)
        flat[cell] = draw_values(value, features.values)
        yield Batch(x, 0)


def _dense_rows(
    features: FeatureDistribution, size: int, rng: np.random.Generator, dtype: type[np.floating]
) -> Iterator[Batch]:
    x = np.empty((*features.density.shape[:1], size, features.n), dtype)
    p = features.feature_density.astype(dtype)[:, None, :]
    while True:
        rng.random(out=x, dtype=dtype)
        _uniform_to_features(x, x, p, features.values)
        yield Batch(x, 0)


def _uniform_to_features(u: ndarray, x: ndarray, p: ndarray, law: ValueLaw) -> None:
    """Turn uniforms into features: active where u < p, and then (p - u) / p is uniform on (0, 1]."""
    if law.constant is not None:
        np.less(u, p, out=x)
        if law.constant != 1:
            x *= law.constant
        return
    active = None if law == UNIFORM else u < p  # of U[0, 1] the smallest value is that of an inactive feature
    np.subtract(p, u, out=x)
    np.maximum(x, 0, out=x)
    np.divide(x, p, out=x)
    if active is not None:
        np.multiply(draw_values(x, law), active, out=x)


def _dense_columns(
    features: FeatureDistribution, size: int, rng: np.random.Generator, dtype: type[np.floating]
) -> Iterator[Batch]:
    runs, n = features.density.shape[0], features.n
    x = np.ones((runs, n + 1, size), dtype)
    if not features.independent:
        while True:
            x[:, :n] = sample(features, size, rng, dtype=dtype).swapaxes(1, 2)
            yield Batch(x, 0)
    u = np.empty((runs, n, size), dtype)
    p = features.feature_density.astype(dtype)[:, :, None]
    while True:
        rng.random(out=u, dtype=dtype)
        _uniform_to_features(u, x[:, :n], p, features.values)
        yield Batch(x, 0)


def _packed_columns(
    features: FeatureDistribution, size: int, rng: np.random.Generator, dtype: type[np.floating]
) -> Iterator[Batch]:
    """
    Stream batches without (most of) their empty samples.

    The number of hits on a sample is Poisson. Samples are exchangeable, so they may be ordered by their
    number of hits: N_1 columns have at least one hit, of those N_2 at least two, and so on, each binomial
    given the one before. What a hit says (feature and value) is independent of all this.
    """
    rate = -np.log1p(-features.feature_density)
    runs, n = rate.shape
    typical = size * -np.expm1(-rate.sum(1).max())
    steps = int(np.clip(_BLOCK_CELLS / (runs * (n + 1) * typical), 1, 64))
    feature_of = _FeatureChoice(rate)
    buffer = np.empty(0, dtype)
    while True:
        counts = _column_counts(rate.sum(1), size, steps, rng)
        columns = min(size, -(-int(counts[0].max()) // _ALIGNMENT) * _ALIGNMENT)
        cells = steps * runs * (n + 1) * columns
        if buffer.size < cells:
            buffer = np.empty(cells, dtype)
        flat = buffer[:cells]
        flat.fill(0)
        x = flat.reshape(steps, runs, n + 1, columns)
        x[:, :, n] = 1
        _scatter(flat, counts, (n + 1) * columns, columns, feature_of, features.values, rng, dtype)
        for block in x:
            yield Batch(block, size - columns)


def _column_counts(
    rate: Float[ndarray, " runs"], size: int, steps: int, rng: np.random.Generator
) -> list[Int[ndarray, "steps runs"]]:
    """Draw how many of a batch's samples have at least 1, 2, ... hits, until there are none."""
    counts: list[ndarray] = []
    left: ndarray | int = size
    beyond: ndarray | float = 1.0
    while not counts or counts[-1].any():
        at_least = gammainc(len(counts) + 1, rate)
        left = rng.binomial(left, at_least / beyond, size=(steps, len(rate)))
        counts.append(left)
        beyond = at_least
    return counts if len(counts) == 1 else counts[:-1]


class _FeatureChoice:
    """Says which feature a hit falls on, in proportion to the rates, and a uniform that is left over."""

    def __init__(self, rate: Float[ndarray, "runs n"]) -> None:
        self.n = rate.shape[1]
        self.equal = bool((rate == rate[:, :1]).all())
        share = rate / rate.sum(1, keepdims=True)
        upper = np.cumsum(share, axis=1)
        upper[:, -1] = 1.0
        # Run r's uniform u is looked up as r + u among all runs' boundaries at once.
        self.boundary = (np.arange(len(rate))[:, None] + upper).ravel()
        self.start = np.concatenate([[0.0], self.boundary[:-1]])
        self.share = np.diff(self.boundary, prepend=0.0)

    def __call__(self, u: ndarray, run: ndarray) -> tuple[ndarray, ndarray]:
        if self.equal:
            # In float32 u = 1 - 2^-24 at most, and n u then still rounds to less than n.
            u *= self.n
            feature = u.astype(np.int64)
            u -= feature
            return feature, u
        place = run + u.astype(np.float64)
        index = np.minimum(np.searchsorted(self.boundary, place, side="right"), len(self.boundary) - 1)
        value = np.clip((place - self.start[index]) / self.share[index], 0, 1)
        return index % self.n, value.astype(u.dtype)


def _scatter(
    flat: ndarray,
    counts: list[Int[ndarray, "steps runs"]],
    model_cells: int,
    columns: int,
    feature_of: _FeatureChoice,
    law: ValueLaw,
    rng: np.random.Generator,
    dtype: type[np.floating],
) -> None:
    """Write the hits: the k-th of a column that has that many, for every k, step and run."""
    per_level = np.concatenate([c.ravel() for c in counts])
    models = counts[0].size
    total = int(per_level.sum())
    first_hit = np.cumsum(per_level) - per_level
    model = np.tile(np.arange(models), len(counts))
    # Hit h of a group lies in column h - first_hit: fold that into the group's base address.
    place = np.repeat(model * model_cells - first_hit, per_level)
    place += np.arange(total)
    u = rng.random(total, dtype=dtype)
    run = np.repeat(model % counts[0].shape[1], per_level) if not feature_of.equal else place
    feature, value = feature_of(u, run)
    feature *= columns
    place += feature
    flat[place] = draw_values(value, law)
