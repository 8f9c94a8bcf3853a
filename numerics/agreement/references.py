"""What the exact theory says about given models: their loss, the minimum they belong to, the best there is.

The nearest exact local minimum is where quasi-Newton descent on the exact loss ends that starts from the model.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.enumeration import max_features
from theory.loss.population import population_loss
from theory.model.problem import Problem
from theory.optimum.local_minima import LocalMinima, random_starts, refine, revive
from theory.packing.best_product import best_tegum_product
from theory.search.global_search import global_optimum

__all__ = ["Reference", "exact_losses", "nearest_minima", "reference_minima"]

# Up to so many features the global optimum is searched for in full, with every geometry of the catalogue as a start;
# above it the best solution known stands in for it.
_SEARCHED = 8
# Beyond the features that are enumerated the quadrature of a descent leaves an error of 1e-4 of the loss at n = 20,
# m = 5, p = 0.1, almost the same all along the descent; it ends where gradients, in units of the zero model's loss,
# fall to the tolerance: twenty times below what a learned model's are.
_TOLERANCE, _ITERATIONS = 1e-5, 300
# Losses are compared to 0.5 % or coarser where quadrature is needed.
_LOSS_ACCURACY = 1e-6
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
        "global optimum", or "best known" where there are too many features to search in full.
    """

    W: Float[ndarray, "k m n"]
    b: Float[ndarray, "k n"]
    loss: Float[ndarray, " k"]
    kind: str


def exact_losses(problem: Problem, W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"]) -> Float[ndarray, " k"]:
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

    Returns
    -------
    ndarray, shape (k,)
        Losses, summed over features; a relative accuracy of 1e-6 where they are not exact to rounding.
    """
    return np.asarray(population_loss(W, b, problem, rtol=_LOSS_ACCURACY))


def nearest_minima(problem: Problem, W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"]) -> LocalMinima:
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

    Returns
    -------
    LocalMinima
        One per model, in the same order, with losses as accurate as ``exact_losses``.
    """
    if problem.n <= max_features(problem.features.values):
        return refine(problem, W, b)
    found = refine(problem, W, b, tolerance=_TOLERANCE, iterations=_ITERATIONS)
    return replace(found, loss=exact_losses(problem, found.W, found.b))


def reference_minima(
    problem: Problem, seed: int = 0, learned: tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]] | None = None
) -> Reference:
    """
    Give the exact solutions that models of a problem are compared with.

    Parameters
    ----------
    problem : Problem
        A single problem.
    seed : int
        Seed of the search.
    learned : tuple of ndarray, optional
        W (k, m, n) and b (k, n) of minima that are known already.

    Returns
    -------
    Reference
        Up to eight features ``theory.global_optimum`` and its competing minima, of which the learned ones are no part,
        so that a model that beats them is noticed. Above, the best of the learned minima, of a few random starts and,
        where all features are equal, of the best tegum product.
    """
    if problem.n <= _SEARCHED:
        best = global_optimum(problem, seed)
        others = [minimum for minimum in best.minima if minimum.loss > best.loss * (1 + 1e-6)]
        points = [(best.W, best.b, best.loss), *((other.W, other.b, other.loss) for other in others)]
        W, b, loss = (np.array(part) for part in zip(*points, strict=True))
        return Reference(W, b, loss, "global optimum")
    W, b = random_starts(problem, _RANDOM_STARTS, np.random.default_rng(seed))
    if not problem.exchangeable.any():  # all features are of one kind
        packed = best_tegum_product(problem.n, problem.m, float(problem.density[0])).embedding()
        W, b = np.concatenate([packed[0][None], W]), np.concatenate([packed[1][None], b])
    batch = problem.repeated(len(W))
    found = revive(batch, nearest_minima(batch, W, b), np.random.default_rng(seed))
    W, b = found.W, found.b
    if learned is not None:
        W, b = np.concatenate([W, learned[0]]), np.concatenate([b, learned[1]])
    loss = exact_losses(problem.repeated(len(W)), W, b)
    order = np.argsort(loss, kind="stable")
    return Reference(W[order], b[order], loss[order], "best known")
