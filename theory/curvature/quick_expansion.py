"""The exact loss near a point of (W, b), to second order, at about the price of its gradient.

Loss and gradient are as accurate as elsewhere. Second derivatives come from theory.loss.output_curvature instead of
differences, to a few digits and, where they jump, on one side: enough for Newton's method, not for telling a minimum
from a saddle (theory.curvature.expansion). Independent features with values uniform on [0, 1] only.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.curvature.expansion import Expansion, chain
from theory.loss.decoupled import decoupled_errors
from theory.loss.enumeration import max_features
from theory.loss.output_curvature import output_curvatures
from theory.loss.population import OutputErrors, output_errors
from theory.loss.reads import own_then_read, reads
from theory.loss.sparse_couplings import output_error
from theory.model.problem import Problem
from theory.model.values import UNIFORM

__all__ = ["quick_expand", "separate_errors"]

# Couplings that are not read and exceed this are made up for in the derivative.
_ROUNDING = 1e-12
# Decimals in which the couplings of outputs that symmetry exchanges agree.
_DIGITS = 12
# Beside couplings 1/_SMALL times as large, few nodes do not do.
_SMALL = 1e-2
# Nodes with which second derivatives are known to about 1e-4, to some 1e-2 where couplings are small.
_NODES = 64


def separate_errors(G: Float[ndarray, "n n"], b: Float[ndarray, " n"], problem: Problem) -> OutputErrors:
    """
    Give the expected squared error of every output to a relative accuracy of 1e-9, with its gradient.

    Parameters
    ----------
    G : ndarray, shape (n, n)
        Couplings W^T W.
    b : ndarray, shape (n,)
        Output biases.
    problem : Problem
        A single problem of independent features, uniform on [0, 1].

    Returns
    -------
    OutputErrors
        As from ``output_errors``, with a batch of one model.
    """
    read = reads(G, np.arange(problem.n), but_faint=True)
    clean, faint = np.where(read, G, 0.0), np.where(read, 0.0, G)
    b = b + faint @ problem.features.mean
    errors = _read_errors(clean, b, problem)
    if np.abs(faint).max() > _ROUNDING:  # fluctuations: f'' var(c_j x_j) / 2, of which the derivative matters
        bend = _curvatures(clean, b, problem.density)[:, -1, -1:]
        return replace(errors, dG=errors.dG + bend * faint * _variance(problem.density))
    return errors


def _read_errors(G: Float[ndarray, "n n"], b: Float[ndarray, " n"], problem: Problem) -> OutputErrors:
    """Enumerate if every output reads few features, else take outputs one by one."""
    if _few(G):
        return decoupled_errors(G[None], b[None], problem)
    n, density = problem.n, problem.density
    order = np.argsort(np.where(np.eye(n, dtype=bool), np.inf, G), axis=1, kind="stable")[:, ::-1]  # own feature first
    coupling, p = np.take_along_axis(G, order, 1), density[order]
    # Outputs that symmetry exchanges differ in the order of their couplings only, and need not be integrated twice.
    _, first, same = np.unique(np.round(np.c_[coupling, b, p], _DIGITS), axis=0, return_index=True, return_inverse=True)
    found = [output_error(coupling[i], float(b[i]), p[i]) for i in first.tolist()]
    value, slope, db, _ = (np.array(part)[same.ravel()] for part in zip(*found, strict=True))
    dG = np.empty((n, n))
    np.put_along_axis(dG, order, slope, 1)
    return OutputErrors(value[None], dG[None], db[None])


def quick_expand(W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: Problem, rough: bool = False) -> Expansion:
    """
    Expand the population loss to second order.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Output biases.
    problem : Problem
        A single problem of independent features, uniform on [0, 1].
    rough : bool
        Whether few nodes will do where errors are integrated: losses to about 1e-6, gradients to 1e-5.

    Returns
    -------
    Expansion
        Loss and gradient, to a relative accuracy of 1e-9 if they are not rough; the Hessian to about 1e-4 (some 1e-2
        where couplings are small), on one side of a kink. Whether there is one is not looked for.
    """
    G, weight = W.T @ W, problem.importance
    integrated = (
        rough and problem.n > max_features(problem.features.values) and np.abs(G).min() > _SMALL * np.abs(G).max()
    )
    errors = output_errors(G[None], b[None], problem, nodes=_NODES) if integrated else separate_errors(G, b, problem)
    A = weight[:, None] * errors.dG[0]
    loss, dW, db = errors.pull_back(W[None], weight)
    return Expansion(
        loss=float(loss[0]),
        gradient=np.concatenate([dW.ravel(), db[0]]),
        hessian=chain(W, weight[:, None, None] * _curvatures(G, b, problem.density), A),
        kinked=False,
        scale=float(problem.zero_loss),
    )


def _variance(density: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    return np.asarray(density / 3 - density**2 / 4)


def _few(G: Float[ndarray, "n n"]) -> bool:
    """Whether every output reads few enough features for the active sets among them to be enumerated."""
    return bool(reads(G, np.arange(len(G)), but_faint=True).sum(1).max() <= max_features(UNIFORM))


def _curvatures(
    G: Float[ndarray, "n n"], b: Float[ndarray, " n"], density: Float[ndarray, " n"]
) -> Float[ndarray, "n k k"]:
    """
    Second derivatives of every output's error in its couplings, then its bias.

    A feature j that the output does not read is independent of all that it does: its coupling acts as the bias does,
    times x_j.
    """
    n, own = len(G), np.arange(len(G))
    read = reads(G, own, but_faint=True)
    order = own_then_read(read, own)
    second, counts = np.empty((n, n + 1, n + 1)), read.sum(1)
    for size in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == size)
        features = order[rows, :size]
        inner = output_curvatures(np.take_along_axis(G[rows], features, 1), b[rows], density[features], _NODES)
        onto = np.zeros((len(rows), size + 1, n + 1))
        onto[:, -1, :n] = np.where(read[rows], 0.0, density / 2)
        onto[np.arange(len(rows))[:, None], np.arange(size), features] = 1.0
        onto[:, -1, n] = 1.0
        second[rows] = onto.swapaxes(1, 2) @ inner @ onto
        spread = np.where(read[rows], 0.0, _variance(density)) * inner[:, -1:, -1]
        second[rows[:, None], np.arange(n), np.arange(n)] += spread
    return second
