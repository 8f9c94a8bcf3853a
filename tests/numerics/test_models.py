"""Forward passes against their formulas, gradients against finite differences, kernels against both."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy import ndarray

from numerics import Parameters, forward, loss_and_gradient
from numerics.models import MODELS
from numerics.sampling.batches import Batch
from numerics.training.kernels import ColumnKernel, ReferenceKernel, RowKernel, unstack
from tests.strategies import seeds
from theory.model.activations import RELU

GRADIENT = 1e-6
STEP = 1e-6
shapes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4))


def random_case(model: str, seed: int, runs: int, n: int, m: int) -> tuple[ndarray, ndarray, ndarray]:
    """Stacked parameters, samples away from the kinks (generic reals), and importances."""
    rng = np.random.default_rng(seed)
    kind = MODELS[model]
    theta = rng.normal(size=(runs, (m if kind.tied else 2 * m) + 1, n))
    x = rng.uniform(-1 if kind.absolute else 0, 1, (runs, 8, n)) * (rng.random((runs, 8, n)) < 0.7)
    return theta, x, rng.uniform(0.1, 2, (runs, n))


def distance_to_kink(parameters: Parameters, x: ndarray, model: str) -> float:
    """Smallest input of a ReLU; where all of x is zero the hidden layer stays zero, which is no kink."""
    hidden = x @ parameters.W.swapaxes(-1, -2)
    decoder = parameters.W if parameters.W_out is None else parameters.W_out.swapaxes(-1, -2)
    passed = np.maximum(hidden, 0) if MODELS[model].relu_hidden else hidden
    inputs = np.append(hidden[hidden != 0], passed @ decoder + parameters.b[..., None, :])
    return float(np.abs(inputs).min())


def test_forward_passes_are_the_formulas_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    W, b, V, x = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=(3, 2)), rng.normal(size=3)
    formulas = {
        "linear": W.T @ W @ x + b,
        "relu": np.maximum(W.T @ W @ x + b, 0),
        "relu_hidden": np.maximum(W.T @ np.maximum(W @ x, 0) + b, 0),
        "absolute": np.maximum(V @ np.maximum(W @ x, 0) + b, 0),
    }
    assert formulas.keys() == MODELS.keys()
    for model, y in formulas.items():
        parameters = Parameters(W, b, None if MODELS[model].tied else V)
        np.testing.assert_allclose(forward(parameters, x[None], model)[0], y, rtol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_the_loss_is_summed_over_features_with_importance_and_averaged_over_samples(model: str) -> None:
    theta, x, importance = random_case(model, 0, 2, 4, 2)
    parameters = unstack(theta, 2, MODELS[model].tied)
    loss, _ = loss_and_gradient(parameters, x, importance, model)
    target = np.abs(x) if model == "absolute" else x
    squares = (target - forward(parameters, x, model)) ** 2
    by_hand = [np.mean([importance[r] @ s for s in squares[r]]) for r in range(2)]
    np.testing.assert_allclose(loss, by_hand, rtol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@given(seed=seeds, shape=shapes)
def test_gradients_are_those_of_finite_differences(model: str, seed: int, shape: tuple[int, int, int]) -> None:
    runs, n, m = shape
    tied = MODELS[model].tied
    theta, x, importance = random_case(model, seed, runs, n, m)
    direction = np.random.default_rng(seed + 1).normal(size=theta.shape)
    assume(distance_to_kink(unstack(theta, m, tied), x, model) > 1e3 * STEP)

    def loss(step: float) -> ndarray:
        return loss_and_gradient(unstack(theta + step * direction, m, tied), x, importance, model)[0]

    _, gradient = loss_and_gradient(unstack(theta, m, tied), x, importance, model)
    along = unstack(direction, m, tied)
    slope = sum(
        (g * d).sum(axis=tuple(range(1, g.ndim))) for g, d in zip(gradient, along, strict=True) if g is not None
    )
    numeric = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    np.testing.assert_allclose(numeric, slope, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("model", ["relu", "linear"])
@given(seed=seeds, n=st.integers(1, 12), m=st.integers(1, 4), empty=st.integers(0, 9))
def test_fast_kernels_compute_what_the_plain_formulas_do(
    model: str, precision: type, seed: int, n: int, m: int, empty: int
) -> None:
    runs = 3
    theta, x, importance = (a.astype(precision) for a in random_case(model, seed, runs, n, m))
    full = np.concatenate([x, np.zeros((runs, empty, n), precision)], axis=1)
    size = full.shape[1]
    columns = np.concatenate([x.swapaxes(1, 2), np.ones((runs, 1, x.shape[1]), precision)], axis=1)
    relu = MODELS[model].activation == RELU
    loss, gradient = loss_and_gradient(
        unstack(theta.astype(float), m), full.astype(float), importance.astype(float), model
    )
    cases = [
        (ColumnKernel(importance, m, size, relu), Batch(columns, empty)),
        (RowKernel(importance, m, size, relu), Batch(full, 0)),
        (ReferenceKernel(importance, m, model), Batch(full, 0)),
    ]
    tolerance = 1e-12 if precision is np.float64 else 2e-5  # a few hundred roundings of 6e-8
    for kernel, batch in cases:
        out = np.full_like(theta, np.nan)
        kernel.gradient(theta, batch, out)
        scale = 1 + np.abs(theta).max() ** 3
        np.testing.assert_allclose(unstack(out, m).W, gradient.W, atol=tolerance * scale)
        np.testing.assert_allclose(unstack(out, m).b, gradient.b, atol=tolerance * scale)
        np.testing.assert_allclose(kernel.loss(theta, batch), loss, rtol=100 * tolerance)


def test_untied_weights_must_be_given() -> None:
    with pytest.raises(ValueError, match="give W_out"):
        forward(Parameters(np.ones((1, 2)), np.zeros(2)), np.ones((1, 2)), "absolute")
