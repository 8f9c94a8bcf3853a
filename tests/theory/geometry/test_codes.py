"""Spherical codes, by their cosines and how often each occurs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.geometry.codes import code, derived_code, half_cube

# Cosines and how many points stand at each, of Cohn and Kumar's table and the graphs' valencies.
KNOWN = {
    16: (5, {1 / 5: 10, -3 / 5: 5}),
    27: (6, {1 / 4: 16, -1 / 2: 10}),
    56: (7, {1 / 3: 27, -1 / 3: 27, -1: 1}),
    240: (8, {1 / 2: 56, 0: 126, -1 / 2: 56, -1: 1}),
    100: (22, {1 / 11: 77, -4 / 11: 22}),
    112: (21, {1 / 9: 81, -1 / 3: 30}),
    162: (21, {1 / 7: 105, -2 / 7: 56}),
    275: (22, {1 / 6: 162, -1 / 4: 112}),
}
# Losses per feature saved and dimension, in units of the loss of a feature left out, of a document (p = 0.05, 0.2).
SAVED = {
    ("112-point code", 0.05): 3.368,
    ("half 5-cube", 0.05): 2.669,
    ("half 5-cube", 0.2): 1.784,
    ("petersen code", 0.2): 1.789,
}


@pytest.mark.parametrize("points", KNOWN)
def test_cosines_and_multiplicities_are_those_of_the_tables(points: int) -> None:
    d, cosines = KNOWN[points]
    U = code(points)
    assert U.shape == (d, points)
    G = U.T @ U
    for cosine, count in cosines.items():
        assert (np.count_nonzero(np.abs(G - cosine) < 1e-12, axis=1) == count).all()
    assert sum(cosines.values()) == points - 1
    assert_allclose(U @ U.T, points / d * np.eye(d), atol=1e-12)


def test_the_chain_of_neighbours_ends_at_the_half_cube_and_petersens_code() -> None:
    for code_of_16 in (derived_code(code(27), 1 / 4), half_cube(5)):
        G = np.sort(code_of_16.T @ code_of_16, axis=1)
        assert_allclose(G, np.broadcast_to([-0.6] * 5 + [0.2] * 10 + [1.0], (16, 16)), atol=1e-12)
    assert theory.recognise(derived_code(half_cube(5), 1 / 5)).name == "rectified 5-cell"


def test_an_unknown_number_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="codes here have 240"):
        code(17)


@pytest.mark.parametrize(("name", "density"), SAVED)
def test_what_codes_save_per_dimension(name: str, density: float) -> None:
    found = theory.optimise_polytope(name, density)
    d, v = found.W.shape
    assert found.converged
    assert_allclose((v - found.loss / theory.unrepresented_loss(density)) / d, SAVED[name, density], atol=6e-4)


@pytest.mark.parametrize("name", ["half 5-cube", "56-point code", "275-point code"])
def test_a_codes_loss_is_the_exact_one_of_its_embedding(name: str) -> None:
    found = theory.optimise_polytope(name, 0.03)
    d, v = found.W.shape
    exact = theory.loss_estimate(found.W, found.b, theory.Problem(n=v, m=d, density=0.03), rtol=1e-8)
    assert_allclose(found.loss, exact.value, rtol=1e-7)
    assert np.abs(exact.gradient["W"]).max() < 1e-6


def test_a_code_in_a_product_is_recognised() -> None:
    product = theory.parse_geometry("112-point code + half 5-cube + pentagon")
    rng = np.random.default_rng(0)
    W = np.linalg.qr(rng.normal(size=(28, 28)))[0] @ product.embedding()[:, rng.permutation(product.n)]
    found = theory.recognise(W + 0.01 * rng.normal(size=W.shape))
    assert found.name == product.name
    for factor in found.factors:
        U, V = theory.POLYTOPES[factor.name].directions(), W[:, list(factor.features)]
        assert_allclose(V.T @ V, U.T @ U, atol=1e-9)
