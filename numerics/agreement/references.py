"""What the exact theory says about given models: their loss, the minimum they belong to, the best there is.

The nearest exact local minimum is where quasi-Newton descent on the exact loss ends that starts from the model.
"""

import warnings
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.enumeration import max_features
from theory.loss.population import AccuracyWarning, population_loss
from theory.loss.terms import loss_with_terms
from theory.model.problem import Problem
from theory.optimum.local_minima import LocalMinima, refine
from theory.search.global_search import global_optimum
from theory.tools.seeds import Seed

__all__ = ["Reference", "exact_losses", "losses_and_errors", "nearest_minima", "reference_minima"]

# Up to so many features the global optimum is searched for until it has been found often enough; from there up to
# _ROUNDS_UP_TO that takes too long, and few random starts beside the catalogue's products stand in for it.
_SEARCHED, _ROUNDS_UP_TO = 8, 12
# Beyond the features that are enumerated the quadrature of a descent leaves an error of 1e-4 of the loss at n = 20,
# m = 5, p = 0.1, almost the same all along the descent; it ends where gradients, in units of the zero model's loss,
# fall to the tolerance: twenty times below what a learned model's are.
_TOLERANCE, _ITERATIONS = 1e-5, 300
# Losses are compared to 0.5 % or coarser where quadrature is needed.
ASKED = 1e-6
_RANDOM_STARTS = 4


class Reference(NamedTuple):
    """
    Exact solutions that models are compared with.

    Attributes
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings of distinct stationary points, the best first.
    b : ndarray, shape (k, n)
        Their biases.
    loss : ndarray, shape (k,)
        Their population losses.
    kind : str
        "global optimum" if the search proved it or found it again and again, else "best known".
    W_out : ndarray, shape (k, n, m), or None
        Their decoders, where the problem's terms make them free.
    error : float
        What is known of the error of the best one's loss, absolute.
    """

    W: Float[ndarray, "k m n"]
    b: Float[ndarray, "k n"]
    loss: Float[ndarray, " k"]
    kind: str
    W_out: Float[ndarray, "k n m"] | None = None
    error: float = 0.0


def exact_losses(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    W_out: Float[ndarray, "k n m"] | None = None,
) -> Float[ndarray, " k"]:
    """
    Compute the exact population loss of many models.

    Parameters
    ----------
    problem : Problem
        A single problem, or a batch of k.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    W_out : ndarray, shape (k, n, m), optional
        Decoders, where the problem's terms make them free.

    Returns
    -------
    ndarray, shape (k,)
        Losses, summed over features; a relative accuracy of 1e-6 where they are not exact to rounding.
    """
    return np.asarray(population_loss(W, b, problem, rtol=ASKED, W_out=W_out))


def losses_and_errors(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    W_out: Float[ndarray, "k n m"] | None = None,
) -> tuple[Float[ndarray, " k"], Float[ndarray, " k"]]:
    """
    Compute the exact population loss of many models, and how far it can be wrong.

    Parameters
    ----------
    problem : Problem
        A batch of k problems.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    W_out : ndarray, shape (k, n, m), optional
        Decoders, where the problem's terms make them free.

    Returns
    -------
    loss : ndarray, shape (k,)
        As from ``exact_losses``.
    error : ndarray, shape (k,)
        Bounds on their absolute errors. An accuracy that is missed is told by them, without a warning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        found = loss_with_terms(W, b, W_out, problem, rtol=ASKED)
    return found.loss, found.error


def nearest_minima(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    W_out: Float[ndarray, "k n m"] | None = None,
) -> LocalMinima:
    """
    Descend from every model to the exact local minimum that it belongs to.

    Parameters
    ----------
    problem : Problem
        A batch of k problems.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    W_out : ndarray, shape (k, n, m), optional
        Decoders, where the problem's terms make them free.

    Returns
    -------
    LocalMinima
        One per model, in the same order, with losses as accurate as ``exact_losses``.
    """
    if problem.n <= max_features(problem.features.values):
        return refine(problem, W, b, W_out=W_out)
    found = refine(problem, W, b, tolerance=_TOLERANCE, iterations=_ITERATIONS, W_out=W_out)
    return replace(found, loss=losses_and_errors(problem, found.W, found.b, found.W_out)[0])


def reference_minima(
    problem: Problem, seed: Seed = 0, learned: tuple[ndarray | None, ...] | None = None, progress: bool = False
) -> Reference:
    """
    Give the exact solutions that models of a problem are compared with.

    Parameters
    ----------
    problem : Problem
        A single problem.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the search.
    learned : tuple of ndarray, optional
        W (k, m, n) and b (k, n) of minima that are known already, and W_out (k, n, m) where decoders are free.
    progress : bool
        Whether a bar shows on a terminal how far the search has got.

    Returns
    -------
    Reference
        The solution of ``theory.global_optimum``, whose starts know nothing of the learned minima, and up to eight
        features its competing minima. Beyond eight features the learned minima are among the exact solutions, so that
        the best known is never above one of them; up to eight they are not, so that a model that beats the search is
        noticed. ``kind`` is "global optimum" only if the search calls its solution proved or repeated, and no learned
        minimum is below it.
    """
    full = problem.n <= _SEARCHED
    starts = None if full or problem.n > _ROUNDS_UP_TO else _RANDOM_STARTS
    best = global_optimum(problem, seed, starts, progress=progress)
    others = [minimum for minimum in best.minima if full and minimum.loss > best.loss * (1 + 1e-6)]
    points = [(best.W, best.b, best.loss), *((other.W, other.b, other.loss) for other in others)]
    W, b, loss = (np.array(part) for part in zip(*points, strict=True))
    W_out = None if best.W_out is None else np.array([best.W_out, *(other.W_out for other in others)])
    error = np.full(len(loss), best.loss_error)
    if learned is not None and not full:
        W, b = np.concatenate([W, learned[0]]), np.concatenate([b, learned[1]])
        W_out = None if W_out is None else np.concatenate([W_out, learned[2]])
        loss, error = losses_and_errors(problem.repeated(len(W)), W, b, W_out)
    beaten = bool((loss + error < loss[0] * (1 - ASKED)).any())
    order = np.argsort(loss, kind="stable")
    kind = "global optimum" if best.certain and not beaten else "best known"
    decoders = None if W_out is None else W_out[order]
    return Reference(W[order], b[order], loss[order], kind, decoders, float(error[order[0]]))
