"""Second derivatives: of one output against differences of its enumerated gradient, of the loss against ``expand``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from theory import Problem
from theory.curvature.expansion import expand
from theory.curvature.quick_expansion import quick_expand, separate_errors
from theory.geometry.polytopes import POLYTOPES
from theory.loss.enumeration import active_patterns, expected_squared_error
from theory.loss.output_curvature import limit_curvatures, output_curvatures
from theory.model.values import UNIFORM
from theory.optimum.embedding_derivatives import embedding_derivatives

# Central differences over this step; gradients are enumerated to 1e-16.
STEP = 1e-6
# With 64 nodes second derivatives are known to a few digits only where couplings are small (at worst 1.6e-2 in 24 000
# problems like these), and converge with more (6e-7 with 512).
ROUGH, FINE = 5e-2, 1e-5


def gradient(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    weight = np.where(active_patterns(len(density)), density, 1 - density).prod(-1)
    _, dc, db = expected_squared_error(x[None, :-1], x[-1:], weight[None], UNIFORM)
    return np.r_[dc[0], db]


def differences(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    steps = STEP * np.eye(len(x))
    return np.array([(gradient(x + s, density) - gradient(x - s, density)) / (2 * STEP) for s in steps])


@given(
    st.integers(1, 5),
    st.sampled_from([0.01, 0.1, 0.5, 0.9]),
    st.sampled_from([-0.4, -0.1, 0.2]),
    st.sampled_from([1.0, 1e-2, 1e-5]),
    st.integers(0, 2**32 - 1),
)
def test_curvatures_are_differences_of_the_enumerated_gradient(
    n: int, p: float, b: float, smallest: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Kinks lie where a sum of couplings cancels the bias; couplings on a grid off the biases keep their distance.
    c = rng.choice([-0.73, -0.31, 0.37, 0.83], size=n)
    c[0], c[-1] = 0.95, c[-1] * smallest if n > 1 else 0.95
    density = p * rng.uniform(0.5, 1.0, n)
    expected = differences(np.r_[c, b], density)
    for nodes, tolerance in ((64, ROUGH), (512, FINE)):
        found = output_curvatures(c[None], np.array([b]), density[None], nodes)[0]
        assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("p", [0.003, 0.03])
def test_windows_of_what_comes_about_resolve_more(p: float) -> None:
    """Of 40 rare features |z| hardly ever exceeds a tenth of what it is if all are active."""
    rng = np.random.default_rng(1)
    W = rng.normal(size=(10, 40))
    G = (W / np.linalg.norm(W, axis=0)).T @ (W / np.linalg.norm(W, axis=0))
    c = np.array([np.r_[G[i, i], np.delete(G[i], i)] for i in range(10)])
    b, density = rng.uniform(-0.3, 0.0, 10), p * rng.uniform(0.5, 1.5, (10, 40))
    exact = output_curvatures(c, b, density, 4096)
    one = np.zeros_like(exact)  # both know the patterns with one active feature
    few, all_of_them = (output_curvatures(c, b, density, 48, outside) for outside in (1e-4, 0.0))
    several = np.linalg.norm(exact - _one_active(c, b, density, one))
    assert np.linalg.norm(few - exact) < 0.15 * several
    assert np.linalg.norm(few - exact) < np.linalg.norm(all_of_them - exact) / 2


def _one_active(c: np.ndarray, b: np.ndarray, density: np.ndarray, H: np.ndarray) -> np.ndarray:
    n = c.shape[1]
    single = np.where(np.eye(n, dtype=bool), density[:, None, :], 1 - density[:, None, :]).prod(-1)
    one, own = limit_curvatures(c, b) * single[..., None, None], np.arange(n)
    H[:, own, own] = one[..., 0, 0]
    H[:, :n, n] = H[:, n, :n] = one[..., 0, 1]
    H[:, n, n] = one[..., 1, 1].sum(-1)
    return H


def test_curvatures_with_one_active_feature_are_those_of_the_closed_forms() -> None:
    b = np.array([-0.3, 0.2])
    c = np.array([[0.9, 0.7, -0.5, 0.1], [-0.6, 0.4, -0.5, 0.0]])
    found = limit_curvatures(c, b)
    for k in range(c.shape[1]):
        form = UNIFORM.own_error if k == 0 else UNIFORM.interference
        up, down = form(c[:, k] + STEP, b), form(c[:, k] - STEP, b)
        assert_allclose(found[:, k, 0, 0], (up[1] - down[1]) / (2 * STEP), atol=1e-8)
        up, down = form(c[:, k], b + STEP), form(c[:, k], b - STEP)
        assert_allclose(found[:, k, 0, 1], (up[1] - down[1]) / (2 * STEP), atol=1e-8)
        assert_allclose(found[:, k, 1, 1], (up[2] - down[2]) / (2 * STEP), atol=1e-8)


@pytest.mark.parametrize("n", [4, 6, 7])
def test_quick_expansion_agrees_with_differences(n: int) -> None:
    rng = np.random.default_rng(n)
    W, b = rng.normal(size=(2, n)), rng.normal(size=n) / 5
    W[:, -2:] = np.array([[1.0, -0.9], [0.0, 0.0]])  # some features do not touch each other
    W[0, 0] = 0.0
    problem = Problem(n=n, m=2, density=rng.uniform(0.02, 0.4, n), importance=rng.uniform(0.5, 1, n))
    quick, exact = quick_expand(W, b, problem), expand(W, b, problem)
    assert not exact.kinked
    assert quick.loss == pytest.approx(exact.loss, rel=1e-9)
    assert_allclose(quick.gradient, exact.gradient, atol=1e-7 * exact.scale)
    assert_allclose(quick.hessian, exact.hessian, atol=ROUGH * np.abs(exact.hessian).max())


def test_rough_expansion_is_right_to_five_digits() -> None:
    rng = np.random.default_rng(0)
    W, b, problem = rng.normal(size=(3, 8)), np.full(8, -0.1), Problem(n=8, m=3, density=0.1)
    rough, fine = quick_expand(W, b, problem, rough=True), quick_expand(W, b, problem)
    assert rough.loss != fine.loss
    assert rough.loss == pytest.approx(fine.loss, rel=1e-5)
    assert_allclose(rough.gradient, fine.gradient, atol=1e-4 * fine.scale)


def test_faint_couplings_act_through_mean_and_variance() -> None:
    problem = Problem(n=4, m=3, density=[0.1, 0.2, 0.3, 0.4])
    G = np.kron(np.eye(2), [[1.0, -0.9], [-0.9, 0.8]])
    G[:2, 2:] = G[2:, :2] = 3e-7
    b = np.array([-0.1, 0.05, 0.1, -0.2])
    found = separate_errors(G, b, problem)
    exact = gradient(np.r_[G[0], b[0]], problem.density)
    assert_allclose(np.r_[found.dG[0, 0], found.db[0, 0]], exact, rtol=1e-9, atol=1e-11)


def test_only_independent_uniform_features_are_quick() -> None:
    from theory import Correlated

    assert Problem(n=2, m=1, density=0.1).textbook
    assert not Problem(m=1, features=Correlated([[0, 1]], density=0.1)).textbook


@pytest.mark.parametrize("name", ["pentagon", "square antiprism", "7 in 3"])
def test_derivatives_of_an_embedding_are_its_differences(name: str) -> None:
    polytope, rng = POLYTOPES[name], np.random.default_rng(0)
    names = list(polytope.parameters)
    x = np.array([value + 0.1 * rng.normal() for value in polytope.parameters.values()])

    def embedding(x: np.ndarray) -> np.ndarray:
        return polytope.embedding(dict(zip(names, x.tolist(), strict=True)))

    W, first, second = embedding_derivatives(polytope, x)
    assert_allclose(W, embedding(x), rtol=1e-14, atol=1e-15)
    h = 1e-5
    for k, step in enumerate(h * np.eye(len(x))):
        assert_allclose(first[k], (embedding(x + step) - embedding(x - step)) / (2 * h), atol=1e-8)
        ahead, behind = (embedding_derivatives(polytope, x + s)[1] for s in (step, -step))
        assert_allclose(second[k], (ahead - behind) / (2 * h), atol=1e-5)
