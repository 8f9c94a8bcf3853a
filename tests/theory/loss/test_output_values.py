"""Errors of outputs without their gradients."""

import numpy as np
import pytest

from tests.records import LeakyReLU
from theory import Correlated, Problem
from theory.loss import enumeration
from theory.loss.objective import losses
from theory.loss.outputs import output_errors, output_values
from theory.model.activations import LINEAR, RELU, Activation


@pytest.mark.parametrize("values", ["uniform", "uniform:2", "binary", "discrete:1@0.5,2@0.5", "exponential"])
@pytest.mark.parametrize("activation", [RELU, LeakyReLU(0.2), LINEAR])
@pytest.mark.parametrize("density", [0.3, np.linspace(0.1, 0.9, 6)[:, None] * np.ones(4)])
def test_values_are_those_that_come_with_gradients(
    values: str, activation: Activation, density: float | np.ndarray
) -> None:
    rng = np.random.default_rng(0)
    problem = Problem(n=4, m=2, density=density, values=values, activation=activation)
    W, b = rng.normal(size=(6, 2, 4)), rng.uniform(-0.5, 0.3, (6, 4))
    G = W.swapaxes(-1, -2) @ W
    np.testing.assert_allclose(output_values(G, b, problem), output_errors(G, b, problem).value, rtol=1e-12)


def test_values_of_sets_are_those_that_come_with_gradients() -> None:
    rng = np.random.default_rng(1)
    problem = Problem(m=2, features=Correlated([[0, 2], [1, 3]], 0.3))
    W, b = rng.normal(size=(6, 2, 4)), rng.uniform(-0.5, 0.3, (6, 4))
    G = W.swapaxes(-1, -2) @ W
    np.testing.assert_allclose(output_values(G, b, problem), output_errors(G, b, problem).value, rtol=1e-12)


def test_no_gradient_is_computed_for_losses_that_are_only_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("a gradient was computed")

    monkeypatch.setattr(enumeration, "_backward", refused)
    W, b = np.array([[[1.0, -1.0, 0.5]]]), np.zeros((1, 3))
    assert losses(Problem(n=3, m=1, density=0.2), W, b)[0] > 0


@pytest.mark.parametrize("n", [3, 6])
def test_rows_may_be_cut_into_blocks_of_any_size(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    problem = Problem(n=n, m=2, density=0.3)
    W, b = rng.normal(size=(60, 2, n)), rng.uniform(-0.5, 0.3, (60, n))
    found = output_errors(W.swapaxes(-1, -2) @ W, b, problem)
    monkeypatch.setattr(enumeration, "_STATE_ELEMENTS", 4 * 3**n)
    small = output_errors(W.swapaxes(-1, -2) @ W, b, problem)
    for name in ("value", "dG", "db"):
        np.testing.assert_allclose(getattr(small, name), getattr(found, name), rtol=1e-12, atol=1e-15)
