"""Gradient descent on the exact loss, and the same initial parameters trained both ways."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from numerics import Settings, train
from numerics.agreement.compare import compare_losses
from numerics.agreement.exact_descent import descend_exactly, initial_parameters, train_exactly
from numerics.agreement.tables import describe_comparison
from theory import Problem, optimise_polytope

pytestmark = pytest.mark.usefixtures("at_full_speed")

PAIR = Problem(n=2, m=1, density=0.1)


def test_descent_without_noise_ends_at_the_exact_optimum() -> None:
    learned = train_exactly(PAIR, instances=6, steps=1500)
    best = optimise_polytope("digon", 0.1).loss
    found = learned.loss.values
    assert (found >= best * (1 - 1e-12)).all()
    assert found.min() < best * (1 + 1e-9)
    assert_allclose(found, theory.population_loss(learned.W.values, learned.b.values, PAIR), rtol=1e-14)


def test_one_step_of_sgd_goes_down_the_exact_gradient() -> None:
    problem = Problem(n=3, m=2, density=0.3, importance=[1, 1, 0.5])
    W, b, _ = initial_parameters(problem, instances=2, seed=4)
    settings = Settings(steps=1, optimiser="sgd", learning_rate=0.05, schedule="constant", precision="float64")
    moved = descend_exactly(problem.repeated(2), W, b, settings)
    _, dW, db = theory.population_loss_and_gradient(W, b, problem)
    assert_allclose(moved.W, W - 0.05 * dW, rtol=1e-12)
    assert_allclose(moved.b, b - 0.05 * db, atol=1e-15)


def test_initial_parameters_are_those_of_the_trainer() -> None:
    grid = Problem(m=2, density=np.full((3, 4), [[0.1], [0.5], [1.0]]))
    W, b, _ = initial_parameters(grid, instances=3, seed=7)
    trained = train(grid, instances=3, seed=7, steps=5, snapshots=(0,), precision="float64", progress=False)
    np.testing.assert_array_equal(W, trained.W_curve.values[0])
    assert not b.any()
    assert len(np.unique(W[:, 0, 0])) == 9


def test_runs_are_repeated_in_the_order_of_the_trainer() -> None:
    grid = Problem(m=1, density=np.array([[[0.1, 0.1]], [[0.4, 0.4]]]), importance=np.array([[1, 2.0], [1, 3], [1, 4]]))
    runs, trained = grid.repeated(2), train(grid, instances=2, steps=2, progress=False)
    assert_allclose(runs.density, trained.density)
    assert_allclose(runs.importance, trained.importance)
    assert PAIR.repeated(3).batch_shape == (3,)


def test_results_do_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerics.agreement.exact_descent._CHUNK", 3)
    one, two = (train_exactly(PAIR, instances=7, steps=30, workers=workers) for workers in (1, 2))
    np.testing.assert_array_equal(one.W.values, two.W.values)
    np.testing.assert_array_equal(one.loss_curve.values, two.loss_curve.values)


def test_the_loss_on_the_way_is_exact_and_falls() -> None:
    learned = train_exactly(PAIR, instances=4, steps=200, seed=1)
    W, b, _ = initial_parameters(PAIR, 4, seed=1)
    assert learned.step.values[[0, -1]].tolist() == [0, 200]
    assert_allclose(learned.loss_curve[0], theory.population_loss(W, b, PAIR), rtol=1e-14)
    assert_allclose(learned.loss_curve[-1], learned.loss, rtol=1e-12)
    assert (learned.loss < learned.loss_curve[0]).all()


def test_a_run_that_leaves_for_infinity_is_recorded_and_the_others_go_on() -> None:
    W = np.array([[[0.5, -0.5]], [[40.0, -40.0]], [[0.7, -0.6]]])
    settings = Settings(steps=60, optimiser="sgd", learning_rate=0.3, precision="float64")
    learned = descend_exactly(PAIR.repeated(3), W, np.zeros((3, 2)), settings)
    assert (learned.diverged_at.values >= 0).tolist() == [False, True, False]
    assert np.isfinite(learned.loss.values).tolist() == [True, False, True]
    alone = descend_exactly(PAIR.repeated(1), W[:1], np.zeros((1, 2)), settings)
    assert_allclose(learned.loss[0], alone.loss[0], rtol=1e-12)


def test_noise_leaves_two_features_in_the_basins_where_descent_without_it_ends() -> None:
    sampled, exact = compare_losses(PAIR, instances=6, steps=1000)
    told = describe_comparison(sampled, exact)
    assert "100.0% of 6 runs end at a minimum of the same loss" in told
    assert (exact.local_gap.values.max() < 1e-6) & (sampled.local_gap.values.min() > 1e-6)


def test_runs_that_end_apart_are_tabulated() -> None:
    sampled, exact = compare_losses(PAIR, instances=2, steps=300)
    exact["local_loss"][1] *= 2
    told = describe_comparison(sampled, exact)
    assert "50.0% of 2 runs" in told
    assert "noise leads to a lower one in 1, to a higher one in 0" in told


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown optimiser 'adm'"):
        train_exactly(PAIR, optimiser="adm")
    with pytest.raises(ValueError, match="steps must be at least 1"):
        train_exactly(PAIR, steps=0)
