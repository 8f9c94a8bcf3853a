"""Where searches for the global optimum start: catalogue products, random weights, random weights of some features."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.tegum import TegumProduct, tegum_products
from theory.model.problem import Problem
from theory.optimum.landscape import Landscape
from theory.optimum.local_minima import random_starts
from theory.optimum.polytope import optimise_polytope
from theory.search.exchanges import place_by_worth

__all__ = ["product_starts", "random_points", "subset_points", "typical_density"]

# Products whose features are placed, those that promise the least loss, and those of them that become starts.
_PLACED, _STARTED = 32, 10
# Products are stationary: a small disturbance lets descents leave those that are saddle points.
_DISTURBANCE = 1e-2


def typical_density(problem: Problem) -> float:
    """Mean density of a single problem's features, each weighted by what it is worth."""
    weight = problem.importance * problem.density
    mean = problem.density @ weight / weight.sum() if weight.any() else problem.density.mean()
    return float(np.clip(mean, problem.density.min(), problem.density.max()))  # rounding exceeds 1, too


def product_starts(landscape: Landscape, rng: np.random.Generator) -> tuple[Float[ndarray, "k d"], float]:
    """
    Place the features at the vertices of the catalogue's products, each optimised under its symmetry.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    rng : numpy.random.Generator
        Draws the disturbances.

    Returns
    -------
    x : ndarray, shape (k, d)
        At most ten starts, disturbed a little.
    value : float
        The lowest loss among them before that, in units of the zero model's.
    """
    problem = landscape.problem
    mean = typical_density(problem)
    products = sorted(tegum_products(problem.n, problem.m), key=lambda p: _promise(problem, p, mean))[:_PLACED]
    solutions = [_solution(problem, product, mean) for product in products]
    x = place_by_worth(landscape, landscape.join(*(np.array(part) for part in zip(*solutions, strict=True))))
    value = landscape.slopes(x)[0]
    W, b = landscape.split(x[np.argsort(value, kind="stable")[:_STARTED]])
    return landscape.join(W + _DISTURBANCE * rng.standard_normal(W.shape), b), float(value.min())


def _promise(problem: Problem, product: TegumProduct, density: float) -> float:
    """About the loss of a product: its vertices' losses, the least for the features that are worth most."""
    losses = [optimise_polytope(p.name, density).loss / p.v for p in product.polytopes for _ in range(p.v)]
    return float(np.sort(losses) @ np.sort(problem.importance * problem.density)[::-1])


def _solution(problem: Problem, product: TegumProduct, density: float) -> tuple[ndarray, ndarray]:
    parameters = {name: optimise_polytope(name, density).parameters for name in product.factors}
    return product.embedding(parameters, problem.m), product.biases(parameters)


def random_points(landscape: Landscape, count: int, rng: np.random.Generator) -> Float[ndarray, "count d"]:
    """
    Draw random weights, the better vertices to the features that are worth more.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    count : int
        How many.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (count, d)
        Starts.
    """
    W, b = random_starts(landscape.problem, count, rng)
    return place_by_worth(landscape, landscape.join(W, b))


def subset_points(landscape: Landscape, count: int, rng: np.random.Generator) -> Float[ndarray, "count d"]:
    """
    Draw equal directions for a random number of features, more than there are dimensions; the others are left out.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    count : int
        How many.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (count, d)
        Starts. The features that are worth most are represented, now and then with one exchanged.
    """
    problem = landscape.problem
    n, m = problem.n, problem.m
    worth = np.argsort(-problem.importance * problem.density * rng.uniform(0.7, 1.4, (count, n)), axis=1)
    k = rng.integers(min(m + 1, n), n + 1, count)
    W = rng.standard_normal((count, m, n))
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    stored = np.zeros((count, n), dtype=bool)
    np.put_along_axis(stored, worth, np.arange(n) < k[:, None], 1)
    W = np.where(stored[:, None], W, _DISTURBANCE * W)
    b = np.where(stored, 0.1 * rng.standard_normal((count, n)), problem.features.mean)
    return landscape.join(W, b)
