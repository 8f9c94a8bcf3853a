"""Where searches with many features start: products of the catalogue, equal directions, random weights."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.problem import Problem
from theory.packing.best_product import best_tegum_product
from theory.search.starts import typical_density

__all__ = ["Start", "between", "even", "even_numbers", "products", "random_weights"]

# Numbers of stored features that are tried first, random starts, and passes that make directions share evenly.
_NUMBERS, _RANDOM, _EVEN_PASSES = 6, 4, 30
# Norm and bias that equal directions start with, about what is best for even frames.
_NORM, _BIAS = 1.1, -0.3
_DISTURBANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Start:
    """A kind, a point (W, b), and the number of stored features if directions are equal."""

    kind: str
    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    stored: int = 0


def products(problem: Problem, rng: np.random.Generator) -> Iterator[Start]:
    """The best tegum products of the features that are worth most, for several numbers of them."""
    n, m = problem.n, problem.m
    worth = np.argsort(-problem.importance * problem.density, kind="stable")
    density = typical_density(problem)
    for k in sorted({min(n, k) for k in (m + m // 2, 2 * m, 2 * m + m // 2, n)}):
        packing = best_tegum_product(k, m, density)
        V, c = packing.embedding()
        W, b = np.zeros((m, n)), np.array(problem.features.mean)
        # Vertices that err least come first: the long columns, those that share their dimension last.
        vertices = np.argsort(-np.concatenate([packing.dimensionality]), kind="stable")
        pairs = _folded(worth[:k], vertices, packing.dimensionality)
        W[:, pairs], b[pairs] = V + _DISTURBANCE * rng.standard_normal(V.shape), c
        yield Start("product", W, b)


def _folded(worth: ndarray, vertices: ndarray, share: Float[ndarray, " k"]) -> ndarray:
    """Feature at each vertex: the more dimensions it has, the more it is worth; pairs join the first with the last."""
    feature = np.empty(len(worth), dtype=int)
    start = 0
    for value in np.unique(np.round(share, 9))[::-1]:
        same = np.flatnonzero(np.round(share, 9) == value)
        some = worth[start : start + len(same)]
        folded = some.copy()
        folded[::2], folded[1::2] = some[: (len(some) + 1) // 2], some[::-1][: len(some) // 2]
        feature[same] = folded
        start += len(same)
    return feature


def even_numbers(problem: Problem) -> list[int]:
    """Numbers of stored features that are tried first, from one more than there are dimensions to all."""
    return np.unique(np.geomspace(min(problem.m + 1, problem.n), problem.n, _NUMBERS).astype(int)).tolist()


def between(tried: Iterable[int], best: int, worse: Container[int]) -> list[int]:
    """Numbers between the best of those that were tried and its neighbours, if these are surely worse."""
    tried = sorted(tried)
    at = tried.index(best)
    beside = [k for k in tried[max(0, at - 1) : at + 2] if k in worse]
    return [k for k in (round(float(np.sqrt(k * best))) for k in beside) if k not in tried]


def even(problem: Problem, k: int, rng: np.random.Generator) -> Start:
    """Equal directions over all dimensions for the k features that are worth most; the others are left out."""
    n, m = problem.n, problem.m
    worth = np.argsort(-problem.importance * problem.density, kind="stable")
    U = rng.standard_normal((m, k))
    for _ in range(_EVEN_PASSES):  # alternate between a tight frame and columns of equal norm
        U = np.linalg.solve(np.linalg.cholesky(U @ U.T + 1e-9 * np.eye(m)), U)
        U /= np.linalg.norm(U, axis=0)
    W, b = np.zeros((m, n)), np.array(problem.features.mean)
    W[:, worth[:k]], b[worth[:k]] = _NORM * U, _BIAS
    return Start("even", W, b, k)


def random_weights(problem: Problem, rng: np.random.Generator) -> Iterator[Start]:
    """Random weights."""
    for _ in range(_RANDOM):
        W = 0.8 * rng.standard_normal((problem.m, problem.n)) / np.sqrt(problem.m)
        yield Start("random", W, 0.1 * rng.standard_normal(problem.n))
