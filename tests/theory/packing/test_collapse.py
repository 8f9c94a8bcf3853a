"""The closed forms of collapsed sets against SymPy, the exact loss and the search."""

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose

import theory
from theory import Correlated, Problem
from theory.packing.collapse import collapse_density, collapsed_loss, collapsed_sets

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_loss_is_what_the_sum_leaves_open(size: int) -> None:
    x = sympy.symbols(f"x:{size}")
    error = sum((a - sum(x) / sympy.Integer(size)) ** 2 for a in x)
    expected = sympy.integrate(sympy.expand(error), *((a, 0, 1) for a in x))
    assert_allclose(collapsed_loss(1.0, size), float(expected), rtol=1e-14)


@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
def test_the_exact_loss_of_collapsed_sets_is_the_closed_form(density: float) -> None:
    problem = Problem(m=2, features=Correlated([[0, 1, 2], [3, 4]], density=density))
    W = np.zeros((2, 5))
    W[0, :3], W[1, 3:] = 1 / np.sqrt(3), 1 / np.sqrt(2)
    expected = collapsed_loss(density, 3) + collapsed_loss(density, 2)
    assert_allclose(theory.population_loss(W, np.zeros(5), problem), expected, rtol=1e-12)


@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_in_one_dimension_a_pair_always_collapses(density: float) -> None:
    problem = Problem(m=1, features=Correlated([[0, 1]], density=density))
    best = theory.global_optimum(problem, starts=8)
    assert_allclose(best.loss, collapsed_loss(density), rtol=1e-9)
    assert collapsed_sets(best.W, [[0, 1]], tolerance=1e-4) == 1
    assert collapsed_loss(density) < theory.unrepresented_loss(density)


def test_at_the_threshold_digons_and_collapsed_pairs_are_equally_good() -> None:
    p = collapse_density()
    problem = Problem(m=2, features=Correlated([[0, 1], [2, 3]], density=p))
    digon = theory.optimise_polytope("digon", p)
    W = np.zeros((2, 4))
    W[0, [0, 2]], W[1, [1, 3]] = digon.W[0], digon.W[0]
    b = np.concatenate([digon.b, digon.b])[[0, 2, 1, 3]]
    assert_allclose(theory.population_loss(W, b, problem), 2 * collapsed_loss(p), rtol=1e-9)
    assert 0.25 < p < 0.26


def test_sets_of_no_or_nearly_equal_columns_are_told_apart() -> None:
    W = np.array([[0.7, 0.71, 0.0, 0.01], [0.0, 0.0, 0.0, 0.01]])
    assert collapsed_sets(W, [[0, 1], [2, 3]]) == 1
    assert collapsed_sets(W, [[0, 1], [2, 3]], tolerance=0.001) == 0


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 feature"):
        collapsed_loss(0.1, 0)
