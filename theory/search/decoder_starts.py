"""Starts for models with a free decoder: random embeddings, and for each output the best of many ways to read it.

Given W, outputs do not depend on one another. An output's row and bias are tried in directions that are random, or in
which all but one of m - 1 other columns vanish, with slope 1 in its own feature and with its threshold just beyond what
a random set of the other features adds up to: from there descents find the gates that random decoders hardly ever lead
to.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.problem import Problem
from theory.model.terms import PLAIN
from theory.optimum.local_minima import searching_errors
from theory.optimum.steep_outputs import in_hidden_units

__all__ = ["decoder_starts"]

# Directions of each kind and thresholds that are tried; how well their losses are known; decades of columns' lengths.
_DIRECTIONS, _THRESHOLDS, _ACCURACY, _DECADES = 6, 10, 1e-4, 2
# Directions that hardly read their own feature are left out; values are drawn from the upper ends of their laws.
_LEAST, _UPPER = 1e-3, 3


def decoder_starts(
    problem: Problem, count: int, rng: np.random.Generator
) -> tuple[Float[ndarray, "count m n"], Float[ndarray, "count n"], Float[ndarray, "count n m"]]:
    """
    Draw starts.

    Parameters
    ----------
    problem : Problem
        A single problem with an untied decoder.
    count : int
        How many.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    W, b, W_out : ndarray
        Random embeddings, with columns of unequal lengths, and for every output the best row and bias that were tried.
    """
    m, n = problem.m, problem.n
    W = rng.standard_normal((count, m, n)) * 10 ** (-_DECADES * rng.random((count, 1, n)))
    W = in_hidden_units(W, np.zeros((count, n, m)))[0]
    V, b = _tried(problem, W, rng)
    given = problem.terms.bias_of(n)
    b = b if given is None else np.broadcast_to(given, b.shape)
    tried = V.shape[1]
    G = (V @ W[:, None]).reshape(-1, n, n)
    errors = searching_errors(G, b.reshape(-1, n), replace(problem, terms=PLAIN).repeated(len(G)), _ACCURACY)
    best = errors.value.reshape(count, tried, n).argmin(1)[:, None]
    return W, np.take_along_axis(b, best, 1)[:, 0], np.take_along_axis(V, best[..., None], 1)[:, 0]


def _tried(
    problem: Problem, W: Float[ndarray, "k m n"], rng: np.random.Generator
) -> tuple[Float[ndarray, "k c n m"], Float[ndarray, "k c n"]]:
    """Rows of decoders and biases to try; the last is the constant output."""
    k, m, n = W.shape
    U = np.concatenate([rng.standard_normal((k, _DIRECTIONS, n, m)), _blind(W, rng)], axis=1)
    own = np.einsum("kcia,kai->kci", U, W)
    U = np.where(np.abs(own) > _LEAST, 1 / np.where(own == 0, 1.0, own), 0.0)[..., None] * U
    others = (U @ W[:, None])[:, :, None] * (1 - np.eye(n))
    shape = (k, U.shape[1], _THRESHOLDS, n, n)
    values = problem.features.values
    level = 1 - 10 ** (-_UPPER * rng.random(shape))
    if values.support[0] < 0:
        level = np.where(rng.random(shape) < 0.5, level, 1 - level)
    there = rng.random(shape) < rng.random((*shape[:-1], 1))
    there[:, :, 0] = False  # no threshold
    b = -(others * values.quantile(level) * there).sum(-1).reshape(k, -1, n)
    V = np.repeat(U, _THRESHOLDS, axis=1)
    mean = np.broadcast_to(problem.features.mean, (k, 1, n))
    return np.concatenate([V, np.zeros((k, 1, n, m))], axis=1), np.concatenate([b, mean], axis=1)


def _blind(W: Float[ndarray, "k m n"], rng: np.random.Generator) -> Float[ndarray, "k c n m"]:
    """Directions orthogonal to m - 1 random columns of other features."""
    k, m, n = W.shape
    found = np.zeros((k, _DIRECTIONS if m > 1 else 0, n, m))
    for c in range(found.shape[1]):
        for i in range(n):
            hidden = rng.permutation(np.delete(np.arange(n), i))[: m - 1]
            found[:, c, i] = np.linalg.svd(W[:, :, hidden].swapaxes(1, 2))[2][:, -1]
    return found
