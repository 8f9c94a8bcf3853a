"""The linear-programming bound, and the polynomials that prove it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from theory.frames.gegenbauer import gegenbauer
from theory.frames.one_sparse_bound import bound_at, one_sparse_bound, violation
from theory.loss.one_sparse import limit_loss
from theory.optimum.one_sparse import one_sparse_optimum

# Bounds of a document, computed on grids of cosines; where it is tight, the arrangement that attains it.
TIGHT = {
    (5, 2): "pentagon",
    (6, 2): "hexagon",
    (12, 3): "icosahedron",
    (16, 5): "half 5-cube",
    (56, 7): "56-point code",
}
LOOSE = {(8, 2): 0.91620, (7, 3): 0.02525, (10, 4): 0.03503}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), TIGHT)
def test_universally_optimal_codes_attain_the_bound(n: int, m: int) -> None:
    found, known = one_sparse_bound(n, m), one_sparse_optimum(TIGHT[n, m])
    assert_allclose(found.bound, known.loss, rtol=1e-6)
    assert found.bound <= known.loss * (1 + 1e-7)
    assert_allclose(found.coupling**0.5, known.parameters["norm"], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), LOOSE)
def test_other_bounds_are_those_of_the_document(n: int, m: int) -> None:
    assert_allclose(one_sparse_bound(n, m).bound, LOOSE[n, m], rtol=2e-3)  # three or four digits, of a grid


@given(st.integers(3, 14), st.integers(2, 4), st.floats(0.5, 2.5), st.floats(-0.9, 0), st.integers(0, 2**32 - 1))
def test_no_arrangement_of_that_norm_and_bias_costs_less(n: int, m: int, g: float, share: float, seed: int) -> None:
    U = np.random.default_rng(seed).standard_normal((m, n))
    U /= np.linalg.norm(U, axis=0)
    bound = bound_at(n, m, g, share * g, degree=6).bound
    assert bound <= limit_loss(np.sqrt(g) * U, share * g) + 1e-9


@given(st.integers(3, 14), st.integers(2, 6), st.floats(0.5, 2.5), st.floats(-0.9, 0))
def test_the_polynomial_is_a_certificate(n: int, m: int, g: float, share: float) -> None:
    found = bound_at(n, m, g, share * g, degree=8)
    assert (found.dual[1:] >= 0).all()
    c = np.linspace(-1, 1, 20_001)
    interference = np.where(g * c + share * g > 0, (g * c + share * g) ** 3 / (3 * g * np.where(c > 0, c, 1)), 0)
    assert (found.dual @ gegenbauer(m, 8, c)[0] - interference).max() < 1e-12
    most = violation(found.dual, m, g, share * g)[0]
    assert most < 1e-12


def test_a_polynomial_that_is_too_large_is_seen_to_be() -> None:
    dual = np.array([0.0, 0.0, 0.1])  # P_2 is 1 at both ends, where the interference of a silent output is 0
    most, places = violation(dual, 3, 1.0, -0.9)
    assert_allclose(most, 0.1)
    assert -1.0 in places
