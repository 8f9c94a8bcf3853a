"""The estimate of a model's loss: gradients of parameters, noise, activations, refusals."""

import numpy as np
import pytest

from theory import Problem, population_loss, population_loss_and_gradient
from theory.loss.engine.activation import leaky_relu
from theory.loss.engine.engine import row_errors
from theory.loss.engine.laws import Uniform
from theory.loss.engine.model import estimate_loss
from theory.loss.engine.rows import Features, Rows

pytestmark = pytest.mark.usefixtures("at_full_speed")

N, M, P = 6, 2, 0.3
FEATURES = Features(Uniform(), np.full(N, P))


def parameters(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(M, N)), rng.normal(size=N) * 0.2, rng.normal(size=(N, M))


def test_a_tied_model_agrees_with_the_population_loss() -> None:
    W, b, _ = parameters()
    weight = np.linspace(0.5, 2, N)
    problem = Problem(n=N, m=M, density=P, importance=weight)
    loss, dW, db = population_loss_and_gradient(W, b, problem)
    e = estimate_loss(W, b, FEATURES, weight, rtol=1e-9)
    assert abs(e.value - loss) <= e.error <= 1e-9 * e.value
    np.testing.assert_allclose(e.gradient["W"], dW, atol=10 * e.gradient_error)
    np.testing.assert_allclose(e.gradient["b"], db, atol=10 * e.gradient_error)
    assert sum(e.paths.values()) == N


def test_gradients_of_an_untied_noisy_model() -> None:
    W, b, V = parameters()
    sigma, eps = 0.3, 1e-5
    e = estimate_loss(W, b, FEATURES, W_out=V, sigma=sigma, rtol=1e-11)
    rng = np.random.default_rng(1)
    dW, dV, db, ds = rng.normal(size=W.shape), rng.normal(size=V.shape), rng.normal(size=N), 1.0

    def at(s: float) -> float:
        return estimate_loss(W + s * dW, b + s * db, FEATURES, W_out=V + s * dV, sigma=sigma + s * ds, rtol=1e-11).value

    expected = (e.gradient["W"] * dW).sum() + (e.gradient["W_out"] * dV).sum() + e.gradient["b"] @ db
    expected += float(e.gradient["sigma"]) * ds
    np.testing.assert_allclose((at(eps) - at(-eps)) / (2 * eps), expected, rtol=1e-7)


def test_noise_agrees_with_monte_carlo() -> None:
    W, b, V = parameters()
    rng = np.random.default_rng(2)
    e = estimate_loss(W, b, FEATURES, W_out=V, sigma=0.5, rtol=1e-6)
    x = (rng.random((400_000, N)) < P) * rng.random((400_000, N))
    z = (x @ W.T + 0.5 * rng.normal(size=(len(x), M))) @ V.T + b
    samples = ((x - np.maximum(z, 0)) ** 2).sum(1)
    error = samples.std() / len(x) ** 0.5
    assert error < 0.01 * e.value
    assert abs(samples.mean() - e.value) < 4 * error


def test_slope_one_is_the_linear_model() -> None:
    W, b, _ = parameters()
    e = estimate_loss(W, b, FEATURES, error=leaky_relu(1.0))
    assert e.nodes == 0
    linear = population_loss(W, b, Problem(n=N, m=M, density=P), model="linear")
    np.testing.assert_allclose(e.value, linear, rtol=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.5, 2.0])
def test_leaky_slopes_agree_with_monte_carlo(slope: float) -> None:
    W, b, _ = parameters()
    rng = np.random.default_rng(3)
    e = estimate_loss(W, b, FEATURES, error=leaky_relu(slope), rtol=1e-6)
    x = (rng.random((400_000, N)) < P) * rng.random((400_000, N))
    z = x @ W.T @ W + b
    samples = ((x - np.where(z > 0, z, slope * z)) ** 2).sum(1)
    assert abs(samples.mean() - e.value) < 4 * samples.std() / len(x) ** 0.5


def test_the_issue_s_large_model_is_exact() -> None:
    e = estimate_loss([[1000.0] * 7], [-8e6] * 7, Features(Uniform(), np.full(7, 0.3)))
    np.testing.assert_allclose(e.value, 0.7, rtol=1e-15)
    assert not e.gradient["W"].any()


@pytest.mark.parametrize("factor", [1e100, 1e200])
def test_couplings_too_large_for_double_precision_are_refused(factor: float) -> None:
    W, b, _ = parameters()
    with pytest.raises(ValueError, match="too large for double precision"):
        estimate_loss(W * factor, b, FEATURES)


@pytest.mark.parametrize("factor", [1e10, 1e30, 1e60])
def test_large_couplings_know_their_rounding(factor: float) -> None:
    W, b, _ = parameters()
    e = estimate_loss(W * factor, b, FEATURES)
    zero_bias = estimate_loss(W, 0 * b, FEATURES, error=leaky_relu(), rtol=1e-10)
    assert np.isfinite(e.value)
    assert np.isfinite(e.error)
    assert e.error < 1e-6 * e.value
    assert zero_bias.value > 0


@pytest.mark.parametrize("rtol", [0.0, 1.0, -1e-3, np.nan, np.inf])
def test_accuracies_outside_of_zero_and_one_are_refused(rtol: float) -> None:
    W, b, _ = parameters()
    with pytest.raises(ValueError, match="rtol must lie in"):
        estimate_loss(W, b, FEATURES, rtol=rtol)


def test_arrays_of_the_wrong_kind_are_refused() -> None:
    W, b, V = parameters()
    with pytest.raises(TypeError, match="real numbers"):
        estimate_loss(W + 0j, b, FEATURES)
    with pytest.raises(TypeError, match="masked"):
        estimate_loss(np.ma.masked_less(W, 0), b, FEATURES)
    with pytest.raises(ValueError, match="transposed"):
        estimate_loss(W, b, FEATURES, W_out=V.T)
    with pytest.raises(ValueError, match="finite"):
        estimate_loss(W, b * np.nan, FEATURES)
    with pytest.raises(ValueError, match="variance"):
        row_errors(Rows(np.ones((1, N)), np.zeros(1), np.zeros(1, dtype=int), -np.ones(1)), FEATURES)
