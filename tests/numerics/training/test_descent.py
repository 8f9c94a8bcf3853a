"""Optimisers against their textbook recursions, schedules against their end points."""

import numpy as np
import pytest
from numpy import ndarray

from numerics.training.descent import OPTIMISERS, SCHEDULES, learning_rates, make_optimiser

RATES = [0.1, 0.05, 0.2, 0.1, 0.01]
MU, DECAY = 0.8, 0.3
DOUBLE = np.dtype(np.float64)


def gradients() -> ndarray:
    return np.random.default_rng(0).normal(size=(5, 7))


def textbook_sgd(theta: ndarray) -> ndarray:
    velocity = np.zeros_like(theta)
    for rate, g in zip(RATES, gradients(), strict=True):
        velocity = MU * velocity + g
        theta = theta - rate * velocity
    return theta


def textbook_adam(theta: ndarray, decay: float) -> ndarray:
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for t, (rate, g) in enumerate(zip(RATES, gradients(), strict=True), 1):
        first = 0.9 * first + 0.1 * g
        second = 0.999 * second + 0.001 * g**2
        unbiased = first / (1 - 0.9**t), second / (1 - 0.999**t)
        theta = theta - rate * (unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8) + decay * theta)
    return theta


TEXTBOOK = {
    "sgd": textbook_sgd,
    "adam": lambda theta: textbook_adam(theta, 0),
    "adamw": lambda theta: textbook_adam(theta, DECAY),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_follow_their_textbook_recursions(name: str) -> None:
    theta = np.random.default_rng(1).normal(size=7)
    optimiser = make_optimiser(name, 7, DOUBLE, momentum=MU, weight_decay=DECAY)
    moved = theta.copy()
    for rate, g in zip(RATES, gradients(), strict=True):
        optimiser.step(moved, g, rate)
    np.testing.assert_allclose(moved, TEXTBOOK[name](theta), rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_reset_forgets_the_past_of_the_chosen_parameters_only(name: str) -> None:
    optimiser = make_optimiser(name, 7, DOUBLE)
    untouched = make_optimiser(name, 7, DOUBLE)
    where = np.arange(7) < 3
    a, b = np.ones(7), np.ones(7)
    for g in gradients()[:2]:
        optimiser.step(a, g, 0.1)
        untouched.step(b, g, 0.1)
    optimiser.reset(where)
    before = a.copy()
    optimiser.step(a, np.zeros(7), 0.1)
    untouched.step(b, np.zeros(7), 0.1)
    decay = 1 - 0.1 * 0.01 if name == "adamw" else 1.0
    np.testing.assert_allclose(a[where], decay * before[where], rtol=1e-12)
    np.testing.assert_array_equal(a[~where], b[~where])
    assert (a[~where] != decay * before[~where]).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_start_at_the_learning_rate_and_never_rise(name: str) -> None:
    rates = learning_rates(name, 0.3, 1000)
    assert rates[0] == 0.3
    assert (np.diff(rates) <= 0).all()
    assert (rates > 0).all()
    if name != "constant":
        assert rates[500] == pytest.approx(0.15, rel=1e-12)
        assert rates[-1] < 1e-3


def test_unknown_names_are_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ValueError, match=r"unknown optimiser 'admw'.*did you mean 'adamw'"):
        make_optimiser("admw", 3, DOUBLE)
    with pytest.raises(ValueError, match=r"unknown schedule 'cosin'.*did you mean 'cosine'"):
        learning_rates("cosin", 0.1, 10)
