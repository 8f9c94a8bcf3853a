"""Polytopes optimised at a density: their loss against the population loss, optima against searches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import theory
from theory.geometry.polytopes import POLYTOPES, Polytope, regular_polygon
from theory.loss.enumeration import active_patterns, expected_squared_error
from theory.loss.sparse_couplings import output_error, output_expansion
from theory.model.values import UNIFORM
from theory.optimum.one_sparse import one_sparse_optimum
from theory.optimum.polytope import optimise_polytope, unrepresented_loss

SMALL = [name for name, polytope in POLYTOPES.items() if polytope.d and polytope.v <= 12]
densities = st.sampled_from([0.001, 0.01, 0.1, 0.4, 0.8, 1.0])


def random_parameters(polytope: Polytope, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    drawn = {
        **{name: rng.uniform(0.5, 1.5) for name in polytope.norm_names},
        **{name: rng.uniform(0.3, 0.8) for name in polytope.shape},
        **{name: rng.uniform(-0.6, 0.4) for name in polytope.bias_names},
    }
    return {name: float(value) for name, value in drawn.items()}


def equal_loss(W: np.ndarray, b: np.ndarray, density: float) -> float:
    m, n = W.shape
    return float(theory.population_loss(W, b, theory.Problem(n=n, m=m, density=density)))


def orbit_loss(polytope: Polytope, density: float, W: np.ndarray, b: np.ndarray) -> float:
    """One output of each orbit, as the optimisation under symmetry sees the loss."""
    G, orbits = W.T @ W, np.array(polytope.orbits)
    first = [int(np.flatnonzero(orbits == k)[0]) for k in range(orbits.max() + 1)]
    rows = np.array([np.r_[G[i, i], np.delete(G[i], i)] for i in first])
    errors = output_expansion(rows, b[first], density)[0]
    return float(np.bincount(orbits) @ errors)


@given(st.sampled_from(SMALL), densities, st.integers(0, 2**32 - 1))
def test_one_output_per_orbit_gives_the_population_loss(name: str, density: float, seed: int) -> None:
    polytope = POLYTOPES[name]
    parameters = random_parameters(polytope, seed)
    W, b = polytope.embedding(parameters), polytope.biases(parameters)
    # The population loss promises 1e-7; the sum over orbits is far closer.
    assert_allclose(orbit_loss(polytope, density, W, b), equal_loss(W, b, density), rtol=2e-7)


@given(st.integers(1, 10), densities, st.integers(0, 2**32 - 1))
def test_the_gradient_of_an_output_is_that_of_its_error(n: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, b, direction = rng.normal(size=n), float(rng.normal()), rng.normal(size=n + 1)
    c[rng.random(n) < 0.2] = 0.0
    _, dc, db, _ = output_error(c, b, density)
    h = 1e-5
    ahead = output_error(c + h * direction[:n], b + h * direction[n], density)[0]
    behind = output_error(c - h * direction[:n], b - h * direction[n], density)[0]
    assert_allclose((ahead - behind) / (2 * h), dc @ direction[:n] + db * direction[n], rtol=1e-5, atol=1e-4 * density)


def test_quadrature_agrees_with_enumeration() -> None:
    rng = np.random.default_rng(0)
    active = active_patterns(7).sum(1)
    for density in (0.01, 0.3, 1.0):
        for smallest in (1.0, 1e-3, 1e-5, 1e-8, 0.0):
            c = rng.normal(size=7) * np.r_[np.ones(6), smallest]
            weight = density**active * (1 - density) ** (7 - active)
            value, dc, db = expected_squared_error(c[None], np.array([-0.2]), weight[None], UNIFORM)
            found = output_error(c, -0.2, density)
            assert_allclose(found[0], value[0], rtol=1e-8)
            assert_allclose(found[1], dc[0], atol=1e-6 * density)
            assert_allclose(found[2], db[0], atol=1e-6 * density)


def test_orbits_of_different_sizes_add_up() -> None:
    wedge = Polytope("wedge", 2, 3, lambda: np.array([[1.0, -0.6, -0.6], [0.0, 0.8, -0.8]]), orbits=(0, 1, 1))
    parameters = {"norm_0": 1.1, "norm_1": 0.9, "bias_0": -0.1, "bias_1": 0.05}
    W, b = wedge.embedding(parameters), wedge.biases(parameters)
    assert_allclose(orbit_loss(wedge, 0.3, W, b), equal_loss(W, b, 0.3), rtol=1e-10)


@pytest.mark.parametrize("density", [0.003, 0.1, 0.6])
@pytest.mark.parametrize("name", ["digon", "triangle", "pentagon", "heptagon", "tetrahedron", "square antiprism"])
def test_no_symmetric_point_nearby_or_at_random_does_better(name: str, density: float) -> None:
    found = optimise_polytope(name, density)
    assert found.converged
    polytope, rng = POLYTOPES[name], np.random.default_rng(0)
    for scale in (1e-3, 0.03, 0.3):
        for _ in range(8):
            moved = {key: value + scale * rng.normal() for key, value in found.parameters.items()}
            W, b = polytope.embedding(moved), polytope.biases(moved)
            assert equal_loss(W, b, density) >= found.loss * (1 - 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("density", [0.003, 0.1, 0.8])
@pytest.mark.parametrize(
    "name", [name for name in SMALL if POLYTOPES[name].v <= 8 and max(POLYTOPES[name].orbits) == 0]
)
def test_a_derivative_free_search_from_many_starts_finds_nothing_lower(name: str, density: float) -> None:
    found, polytope = optimise_polytope(name, density), POLYTOPES[name]
    names, rng = list(polytope.parameters), np.random.default_rng(1)

    def loss(x: np.ndarray) -> float:
        values = dict(zip(names, x.tolist(), strict=True))
        return equal_loss(polytope.embedding(values), polytope.biases(values), density)

    for _ in range(6):
        start = [rng.uniform(0.2, 1.8), *([0.5] if "height" in names else []), rng.uniform(-1, 0.5)]
        low = minimize(loss, start, method="Nelder-Mead", options={"maxfev": 150}).fun
        assert low >= found.loss * (1 - 1e-7)


def test_an_unrepresented_feature_costs_its_variance() -> None:
    assert_allclose(unrepresented_loss(0.3), 0.3 / 3 - (0.3 / 2) ** 2)
    found = optimise_polytope("unrepresented", 0.3)
    assert found.loss == unrepresented_loss(0.3)
    assert found.parameters == {"bias": 0.15}
    assert found.W.shape == (0, 1)


def test_a_dedicated_feature_costs_nothing() -> None:
    assert optimise_polytope("dedicated", 0.3).loss == pytest.approx(0, abs=1e-15)


def test_the_optimum_tends_to_the_one_sparse_optimum() -> None:
    for name in ("pentagon", "square antiprism"):
        limit = one_sparse_optimum(name)
        sparse = optimise_polytope(name, 1e-5)
        assert_allclose(sparse.loss / 1e-5, limit.loss, rtol=1e-3)
        for key, value in limit.parameters.items():
            assert sparse.parameters[key] == pytest.approx(value, abs=1e-3)


def test_dense_polygons_keep_the_directions_mean_and_variance() -> None:
    # With every feature active a large tight frame does as principal components: it loses v - d variances.
    found = optimise_polytope("octagon", 1.0)
    assert_allclose(found.loss, (8 - 2) / 12, rtol=1e-5)
    assert found.loss < (8 - 2) / 12  # the ReLU gains a little


@pytest.mark.slow
def test_larger_polygons_save_less_than_the_heptagon() -> None:
    for density in (0.001, 0.01, 0.1, 0.3, 0.7):
        u = unrepresented_loss(density)
        heptagon = 7 * u - optimise_polytope("heptagon", density).loss
        for k in (13, 14, 16, 20):
            assert k * u - optimise_polytope(regular_polygon(k).name, density).loss < heptagon


def test_results_are_read_only_and_refusals_clear() -> None:
    found = optimise_polytope("Pentagons", 0.1)
    assert found.name == "pentagon"
    with pytest.raises(ValueError, match="read-only"):
        found.W[0, 0] = 1.0
    with pytest.raises(ValueError, match="'octahedron' is a product of 3 polytopes; optimise each, their losses add"):
        optimise_polytope("octahedron", 0.1)
    with pytest.raises(ValueError, match=r"density must lie in \(0, 1\], got 1\.5; did you pass the sparsity"):
        optimise_polytope("pentagon", 1.5)
