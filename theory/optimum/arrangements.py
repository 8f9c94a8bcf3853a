"""Which feature sits at which vertex of a geometry, where features are not equal."""

from collections.abc import Iterator
from math import factorial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.curvature.quick_expansion import separate_errors
from theory.geometry.tegum import TegumProduct
from theory.loss.enumeration import active_patterns, max_features, own_first, squared_errors
from theory.loss.population import population_loss
from theory.model.features import Independent
from theory.model.problem import Problem
from theory.optimum.polytope import optimise_polytope

__all__ = ["arrangements", "equal_problem", "symmetric_start"]

# So many arrangements of unequal features at the vertices are compared one by one; beyond, features are swapped.
_MOST_ARRANGEMENTS = 720
# Arrangements that are returned, of those that look best.
_FOLLOWED = 3


def _feature_classes(problem: Problem) -> list[tuple[float, float, int]]:
    """What tells features apart: density, importance, and the set they belong to if they come in sets."""
    owner = problem.features.set_of_feature
    sizes = np.bincount(owner)
    return [
        (float(p), float(weight), -1 if sizes[s] == 1 else int(s))
        for p, weight, s in zip(problem.density, problem.importance, owner, strict=True)
    ]


def arrangements(problem: Problem, product: TegumProduct) -> list[Int[ndarray, " n"]]:
    """
    List ways to put a problem's features at the vertices of a product, those that look best first.

    Parameters
    ----------
    problem : Problem
        A single problem.
    product : TegumProduct
        Of exactly n features.

    Returns
    -------
    list of ndarray of int, shape (n,)
        Entry k of each is the feature at vertex k; at most three, ranked by the loss of the symmetric solution.
    """
    n, classes = problem.n, _feature_classes(problem)
    labels = [sorted(set(classes)).index(c) for c in classes]
    if len(set(labels)) == 1:
        return [np.arange(n)]
    ways = factorial(n)
    for label in set(labels):
        ways //= factorial(labels.count(label))
    few = ways <= _MOST_ARRANGEMENTS
    orders = _distinct_orders(labels) if few else _swapped(problem, product)
    loss = _losses(problem, product, orders)
    # Equal losses: the arrangements differ by a symmetry of the product.
    _, first = np.unique(np.round(loss / loss.min(), 10), return_index=True)
    return [orders[k] for k in first[:_FOLLOWED]]


def _distinct_orders(labels: list[int]) -> Int[ndarray, "ways n"]:
    """Orders of the features that differ in where each kind of feature stands."""
    found: list[list[int]] = [[]]
    for _ in labels:
        longer = []
        for start in found:
            rest = [j for j in range(len(labels)) if j not in start]
            kinds = {labels[j]: j for j in reversed(rest)}  # the first feature of each kind that is left
            longer += [[*start, j] for j in kinds.values()]
        found = longer
    return np.array(found)


def _swapped(problem: Problem, product: TegumProduct) -> Int[ndarray, "1 n"]:
    """Swap pairs of features as long as that pays, from the order of falling importance times density."""
    n = problem.n
    order = np.argsort(-problem.importance * problem.density, kind="stable")
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    loss = _losses(problem, product, order[None])[0]
    while True:
        trials = np.tile(order, (len(pairs), 1))
        for trial, (i, j) in zip(trials, pairs, strict=True):
            trial[[i, j]] = trial[[j, i]]
        losses = _losses(problem, product, trials)
        best = int(losses.argmin())
        if losses[best] >= loss * (1 - 1e-9):
            return order[None]
        order, loss = trials[best], losses[best]


def _losses(problem: Problem, product: TegumProduct, orders: Int[ndarray, "ways n"]) -> Float[ndarray, " ways"]:
    """Losses of the solution that is optimal for equal features, arranged in different ways."""
    equal = equal_problem(problem, product, orders[0])
    W, b = symmetric_start(equal, product, np.arange(problem.n))
    few = max(polytope.v for polytope in product.polytopes) <= max_features(problem.features.values)
    if problem.textbook and (few or np.ptp(problem.density) == 0):
        return np.sum([_factor_losses(problem, *factor) for factor in _factors(product, orders, W, b)], axis=0)
    where = np.argsort(orders, axis=1)
    means = np.broadcast_to(problem.features.mean, orders.shape)
    biases = np.where(np.linalg.norm(W, axis=0)[where] > 0, b[where], means)
    loss = population_loss(np.moveaxis(W[:, where], 0, 1), biases, problem, rtol=1e-4)
    return np.asarray(loss)


def _factors(
    product: TegumProduct, orders: Int[ndarray, "ways n"], W: Float[ndarray, "m n"], b: Float[ndarray, " n"]
) -> Iterator[tuple[ndarray, ndarray, ndarray]]:
    """Couplings and biases of each factor's vertices, and the features there in every arrangement."""
    start = 0
    for polytope in product.polytopes:
        vertices = slice(start, start + polytope.v)
        yield W[:, vertices].T @ W[:, vertices], b[vertices], orders[:, vertices]
        start += polytope.v


def _factor_losses(
    problem: Problem, G: Float[ndarray, "v v"], b: Float[ndarray, " v"], members: Int[ndarray, "ways v"]
) -> Float[ndarray, " ways"]:
    """
    Losses of a factor whose vertices are taken by different features.

    Errors given which features are active belong to the vertices, whichever features stand there: arrangements differ
    in probabilities and importances only. With equal densities they differ in importances alone.
    """
    p, weight = problem.density[members], problem.importance[members]
    if not G.any():  # not represented: the best bias is the mean
        return np.asarray((weight * (p / 3 - p**2 / 4)).sum(1))
    if np.ptp(problem.density) == 0:
        equal = Problem(n=len(b), m=1, density=float(problem.density[0]))
        return np.asarray(weight @ separate_errors(G, b, equal).value[0])
    order, patterns = own_first(len(b))
    errors = squared_errors(np.take_along_axis(G, order, 1), b, problem.features.values)
    chance = np.where(active_patterns(len(b)), p[:, None, :], 1 - p[:, None, :]).prod(-1)
    return np.asarray(((chance @ np.take_along_axis(errors, patterns, 1).T) * weight).sum(1))


def equal_problem(problem: Problem, product: TegumProduct, order: Int[ndarray, " n"]) -> Problem:
    """
    Make features equal where the product's symmetry asks for it.

    Parameters
    ----------
    problem : Problem
        A single problem.
    product : TegumProduct
        Of exactly n features.
    order : ndarray of int, shape (n,)
        Feature at each vertex.

    Returns
    -------
    Problem
        Independent features, of equal (mean) density and importance within each factor.
    """
    density, importance = problem.density.copy(), problem.importance.copy()
    start = 0
    for polytope in product.polytopes:
        members = order[start : start + polytope.v]
        density[members], importance[members] = density[members].mean(), importance[members].mean()
        start += polytope.v
    return Problem(m=problem.m, features=Independent(density, problem.features.values), importance=importance)


def symmetric_start(
    problem: Problem, product: TegumProduct, order: Int[ndarray, " n"]
) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]:
    """
    Give the product with every factor optimised under its symmetry.

    Parameters
    ----------
    problem : Problem
        Gives each factor the mean density of its features.
    product : TegumProduct
        Of exactly n features.
    order : ndarray of int, shape (n,)
        Feature at each vertex.

    Returns
    -------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    """
    W, b = np.zeros((problem.m, problem.n)), np.zeros(problem.n)
    row = start = 0
    for polytope in product.polytopes:
        members = order[start : start + polytope.v]
        factor = optimise_polytope(polytope.name, float(problem.density[members].mean()))
        W[row : row + polytope.d, members], b[members] = factor.W, factor.b
        row, start = row + polytope.d, start + polytope.v
    return W, b
