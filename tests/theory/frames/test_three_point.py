"""Three vectors at a time: matrices against real vectors, codes that attain the bounds, laws that cannot be."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.frames.gegenbauer import gegenbauer
from theory.frames.mean_field import CosineLaw, MeanField
from theory.frames.prediction import even_frame
from theory.frames.relaxation import relaxed_row
from theory.frames.three_point import ThreePointProgramme


def test_the_matrices_of_real_vectors_are_those_of_their_projections() -> None:
    """Seen from every vector: Gram matrices of the directions beside it, summed; no law of triples is used here."""
    k, m = 7, 4
    U = np.random.default_rng(3).standard_normal((m, k))
    U /= np.linalg.norm(U, axis=0)
    C = U.T @ U
    cosines, place = np.unique(C[np.triu_indices(k, 1)], return_inverse=True)
    at = np.zeros((k, k), dtype=int)
    at[np.triu_indices(k, 1)] = place
    at += at.T
    programme = ThreePointProgramme(k, m, cosines)
    law = np.zeros(programme._triples.shape[1])
    known = {tuple(triple): j for j, triple in enumerate(programme._triples.T)}
    for x, y, z in np.argwhere(np.ones((k, k, k), dtype=bool)):
        if len({x, y, z}) == 3:
            law[known[tuple(sorted((at[x, y], at[x, z], at[y, z])))]] += 1 / (k * (k - 1) * (k - 2))
    f = programme._functions
    for d, M in enumerate(programme._matrices):
        found, expected = np.einsum("n,nij->ij", law, M), 0.0
        for x in range(k):
            others = np.delete(np.arange(k), x)
            beside = U[:, others] - np.outer(U[:, x], C[x, others])
            beside /= np.linalg.norm(beside, axis=0)
            h = f[at[x, others]]
            P = gegenbauer(m - 1, max(d, 1), np.clip(beside.T @ beside, -1, 1))[0][d]
            expected = expected + h.T @ P @ h / (k * (k - 1))
        if d == 0:
            assert_allclose(found[1:, 1:], expected[1:, 1:], atol=1e-9 * np.abs(expected).max())
            means = f[at[np.triu_indices(k, 1)]].mean(axis=0)[1:]
            assert_allclose(found[0], np.r_[1.0, np.sqrt(k - 1) * means], atol=1e-9 * np.abs(found).max())
        else:
            assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
        assert np.linalg.eigvalsh(found)[0] > -1e-9 * np.abs(found).max()


def test_no_arrangement_costs_less_than_the_bound() -> None:
    """Prices at random, and the cosines of random vectors as the grid: their own law is one of those allowed."""
    rng = np.random.default_rng(0)
    for k, m in ((5, 3), (7, 4)):
        U = rng.standard_normal((m, k))
        U /= np.linalg.norm(U, axis=0)
        cosines = np.unique((U.T @ U)[np.triu_indices(k, 1)])
        price = rng.random(len(cosines))
        assert ThreePointProgramme(k, m, cosines).solve(price)[1] <= price.mean() + 1e-6


@pytest.mark.parametrize(("name", "density"), [("half 5-cube", 0.02), ("icosahedron", 0.01)])
def test_codes_that_attain_the_bounds_of_pairs_obey_those_of_triples(name: str, density: float) -> None:
    code = theory.POLYTOPES[name]
    two, three = (even_frame(code.v, code.d, density, three_point=some) for some in (False, True))
    assert_allclose(three.loss, two.loss, rtol=1e-3)


def triangles(k: int, m: int, cosines: np.ndarray) -> float:
    """
    Count the vectors at the first of two cosines with both of two vectors that have it between them.

    In a tight frame of mean 0 sums of 1, c_xz, c_yz and c_xz c_yz over the others z are known: four equations.
    """
    a, b = cosines
    sums = [k - 2, -1 - a, -1 - a, (k / m - 2) * a]
    pairs = [(x, y) for x in (a, b) for y in (a, b)]
    return float(np.linalg.solve([[1] * 4, *np.array(pairs).T, [x * y for x, y in pairs]], sums)[0])


@pytest.mark.parametrize(("k", "m", "p", "rises"), [(128, 32, 0.02, 0.1), (400, 30, 0.01, 0.0)])
def test_laws_with_fewer_than_no_triangles_are_refused_and_no_others(k: int, m: int, p: float, rises: float) -> None:
    row = relaxed_row(float(k), m, MeanField(p, 0.0))
    assert (triangles(k, m, row.law.cosines) < 0) == (rises > 0)
    unit = np.sqrt((k - m) / (m * (k - 1)))
    grid = np.sinh(np.arcsinh(1 / unit) * np.linspace(-1, 1, 21)) * unit
    cosines = np.unique(np.r_[np.clip(grid, -1, 1), row.law.cosines])
    weights = np.zeros(len(cosines))
    weights[np.searchsorted(cosines, row.law.cosines)] = row.law.weights
    field = MeanField(p, k - 1.0)
    nodes = field.nodes(row.coupling, row.bias, row.law)
    price = field.loss(row.coupling, row.bias, CosineLaw(cosines, weights), nodes).dweights / row.loss
    bound = ThreePointProgramme(k, m, cosines).solve(price)[1] / (price @ weights)
    assert bound > 1 + rises - 1e-3
    assert rises > 0 or bound < 1 + 1e-3


def test_refusals() -> None:
    with pytest.raises(ValueError, match="three vectors at a time need"):
        even_frame(5, 2, 0.1, three_point=True)
