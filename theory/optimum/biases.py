"""The best biases of a given W: every output has one, and they do not depend on each other."""

import warnings
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.loss.population import AccuracyWarning, output_errors
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.terms import PLAIN
from theory.model.value_units import in_units
from theory.tools.arrays import detached

__all__ = ["best_bias"]

# Biases that are tried before the best is refined; fewer where an evaluation takes long.
_TRIED, _TRIED_BY_MANY, _MANY = 65, 17, 60
# Accuracy of the loss on the way, and of the bias at the end.
_ACCURACY, _STEP, _ROUNDS = 1e-8, 1e-9, 60


def best_bias(W: ArrayLike, problem: Problem, W_out: ArrayLike | None = None) -> Float[ndarray, " n"]:
    """
    Find the output biases with the least population loss at a given W.

    Parameters
    ----------
    W : array_like, shape (m, n)
        Embedding.
    problem : Problem
        A single problem.
    W_out : array_like, shape (n, m), optional
        Decoder; W^T by default.

    Returns
    -------
    ndarray, shape (n,)
        The best bias of every output: of the minima seen from biases between minus the largest reach of the other
        features and the largest value, the lowest, refined until it moves by less than 1e-9 (of the values' size, where
        that is far from 1). Where the problem's terms give the bias it is theirs.

    Raises
    ------
    ValueError
        If shapes do not fit, the problem is a batch, or its decoder is untied and W_out is missing.

    Notes
    -----
    Output i reads b_i and no other bias, so that its error is a function of one number. At an output that reads nothing
    (W_i = 0 and no overlaps) the best bias is the mean E x_i. Decay and L1 penalty do not depend on biases.

    Examples
    --------
    >>> best_bias([[1.0, 0.0]], Problem(n=2, m=1, density=0.2)).round(9) + 0.0
    array([0. , 0.1])
    """
    require_problem(problem)
    problem.single("best_bias")
    W, _ = problem.checked(W, np.zeros(problem.n), terms=True)
    if W_out is None and not problem.terms.tied:
        raise ValueError("the problem's decoder is untied: give W_out, of shape (n, m)")
    inner, size = in_units(problem)
    if size != 1:
        return size * best_bias(W, inner, W_out)
    V = W.T if W_out is None else np.asarray(detached(W_out), float)
    given, sigma = problem.terms.bias_of(problem.n), problem.terms.noise
    if given is not None:
        return np.array(given)
    G, noise = V @ W, sigma**2 * (V**2).sum(1) if sigma else None
    plain = replace(problem, terms=PLAIN)
    largest = float(np.abs(problem.features.values.support).max())
    largest = largest if np.isfinite(largest) else 8 * float(np.sqrt(problem.features.values.square))
    low = -(np.abs(G).sum(1) + 0.1) * largest
    high = (1 + np.abs(G).sum(1)) * largest
    n = problem.n
    tried = _TRIED if n <= _MANY else _TRIED_BY_MANY
    # Most of the best biases lie near zero: steps grow away from it, and zero itself is one of them.
    share = np.linspace(-1, 1, tried) ** 3
    biases = np.where(share[:, None] < 0, -share[:, None] * low, share[:, None] * high)
    values = np.array([_errors(G, one, plain, noise)[0] for one in biases])
    best = values.argmin(0)
    rows = np.arange(n)
    a, c = biases[np.maximum(best - 1, 0), rows], biases[np.minimum(best + 1, tried - 1), rows]
    return _refined(G, biases[best, rows], a, c, plain, noise)


def _refined(
    G: ndarray, b: ndarray, low: ndarray, high: ndarray, problem: Problem, noise: ndarray | None
) -> Float[ndarray, " n"]:
    """Where the slope changes sign: secant steps, and halves of the bracket where they leave it or hardly shrink it."""
    low, high = low.copy(), high.copy()
    slope_low, slope_high = (_errors(G, end, problem, noise)[1] for end in (low, high))
    for k in range(_ROUNDS):
        if k:
            rise = np.where(slope_high == slope_low, 1, slope_high - slope_low)
            secant = (low * slope_high - high * slope_low) / rise
            usable = (slope_high > 0) & (slope_low < 0) & (secant > low) & (secant < high) & (k % 3 > 0)
            b = np.where(usable, secant, (low + high) / 2)
        slope = _errors(G, b, problem, noise)[1]
        falls = slope < 0
        low, slope_low = np.where(falls, b, low), np.where(falls, slope, slope_low)
        high, slope_high = np.where(falls, high, b), np.where(falls, slope_high, slope)
        if (high - low).max() < _STEP or np.abs(slope).max() < 1e-13:
            break
    return np.asarray(b)


def _errors(
    G: ndarray, b: ndarray, problem: Problem, noise: ndarray | None
) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Error of every output and its slope in the output's own bias."""
    with warnings.catch_warnings():  # the loss at the end is certified by whoever reports it
        warnings.simplefilter("ignore", AccuracyWarning)
        found = output_errors(G, b, problem, rtol=_ACCURACY, noise=noise)
    return found.value, found.db
