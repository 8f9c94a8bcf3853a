"""The solution of a geometry that is optimal for equal features, with given features at its vertices."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.geometry.tegum import TegumProduct
from theory.model.features import Independent
from theory.model.problem import Problem
from theory.optimum.polytope import optimise_polytope

__all__ = ["equal_problem", "symmetric_start"]


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
