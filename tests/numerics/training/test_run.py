"""The trainer: what it learns, that it is reproducible, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from numerics import DivergenceError, Settings, stratified_loss, train
from numerics.training.settings import log_spaced
from theory import Anticorrelated, Correlated, Independent, Problem, load_result

pytestmark = pytest.mark.usefixtures("at_full_speed")

PAIR = Problem(n=2, m=1, density=0.1)


def mixed_grid() -> Problem:
    """Twelve problems whose densities need both the sparse and the dense path."""
    density = np.array([0.02, 0.1, 0.6, 1.0])[:, None, None] * np.ones((1, 1, 3))
    importance = np.array([[1, 1, 0.3], [1, 1, 1], [1, 1, 3.0]])
    return Problem(n=3, m=2, density=density, importance=importance)


def test_two_dense_features_in_two_dimensions_are_learned_perfectly() -> None:
    learned = train(Problem(n=2, m=2, density=1.0), instances=4, steps=2000, learning_rate=1e-2)
    W = learned.W.values
    np.testing.assert_allclose(W.swapaxes(1, 2) @ W, np.broadcast_to(np.eye(2), (4, 2, 2)), atol=1e-2)
    assert (learned.loss < 1e-4).all()


def test_the_linear_model_learns_the_most_important_features_and_the_means_of_the_others() -> None:
    problem = Problem(n=4, m=2, density=0.3, importance=[4.0, 3.0, 2.0, 1.0])
    learned = train(problem, instances=4, steps=4000, learning_rate=1e-2, model="linear", precision="float64")
    gram = learned.W.values.swapaxes(1, 2) @ learned.W.values
    np.testing.assert_allclose(gram, np.broadcast_to(np.diag([1, 1, 0, 0.0]), gram.shape), atol=0.02)
    np.testing.assert_allclose(learned.b.values[:, 2:], 0.15, atol=0.01)


def test_sparse_features_form_an_antipodal_pair() -> None:
    learned = train(Problem(n=2, m=1, density=0.01), instances=16, steps=4000, learning_rate=1e-2)
    norms = np.abs(learned.W.values[:, 0])
    antipodal = (learned.W.values.prod(-1) < 0).ravel() & (norms > 0.9).all(-1)
    assert antipodal.sum() >= 4  # the others started with both features on one side
    best = learned.loss.values[antipodal]
    assert best.mean() == pytest.approx(0.01**2 / 3, rel=0.3)


def test_a_hidden_relu_and_absolute_values_can_be_learned() -> None:
    hidden = train(Problem(n=3, m=3, density=0.3), steps=1200, batch=256, learning_rate=2e-2, model="relu_hidden")
    assert hidden.loss.min() < 0.01 * 3 * 0.3 / 3
    absolute = train(Problem(n=2, m=6, density=0.3), steps=1200, batch=256, learning_rate=2e-2, model="absolute")
    assert absolute.W_out.dims == ("instance", "feature", "dimension")
    assert absolute.loss.min() < 0.02 * 2 * 0.3 / 3


@pytest.mark.parametrize("model", ["relu", "linear"])
@pytest.mark.parametrize("n", [4, 30])
def test_the_held_out_loss_is_the_loss_of_the_learned_model(model: str, n: int) -> None:
    problem = Problem(n=n, m=2, density=0.1, importance=np.linspace(0.5, 1.5, n))
    learned = train(problem, instances=3, steps=200, model=model, precision="float64")
    for k in range(3):
        estimate, error = stratified_loss(learned.W.values[k], learned.b.values[k], problem, model=model)
        both = np.hypot(error, float(learned.loss_standard_error[k]))
        assert 4 * both < 0.1 * estimate
        assert abs(float(learned.loss[k]) - estimate) < 4 * both


@pytest.mark.parametrize("features", [Correlated([[0, 1], [2, 3]], 0.05), Anticorrelated([[0, 1], [2, 3]], 0.3)])
def test_features_in_sets_can_be_trained(features: Correlated | Anticorrelated) -> None:
    learned = train(Problem(m=2, features=features), instances=4, steps=1500, learning_rate=1e-2)
    assert learned.loss_curve[-1].mean() < 0.6 * learned.loss_curve[0].mean()
    W = learned.W.values[learned.loss.values.argmin()]
    cosine = (W.T @ W) / np.linalg.norm(W, axis=0)[:, None] / np.linalg.norm(W, axis=0)
    if isinstance(features, Anticorrelated):
        assert max(cosine[0, 1], cosine[2, 3]) < -0.9
    else:
        assert max(abs(cosine[0, 1]), abs(cosine[2, 3])) < 0.3


def test_the_number_of_workers_changes_no_bit() -> None:
    alone = train(mixed_grid(), instances=3, steps=60)
    assert xr.Dataset.identical(alone, train(mixed_grid(), instances=3, steps=60, workers=2))


def test_equal_seeds_repeat_and_different_seeds_differ() -> None:
    a, b, c = (train(PAIR, instances=2, steps=20, seed=s) for s in (5, 5, 6))
    assert a.identical(b)
    assert (a.W.values != c.W.values).all()
    assert (a.W.values[0] != a.W.values[1]).all()


def test_initial_weights_are_xavier_per_instance_and_do_not_depend_on_the_number_of_instances() -> None:
    problem = Problem(n=40, m=10, density=0.1)
    start = train(problem, instances=30, steps=1, snapshots=[0]).W_curve[0]
    # 12 000 normal values know their spread to 1 / sqrt(24 000) = 0.65 %.
    assert float(start.std()) == pytest.approx(np.sqrt(2 / 50), rel=0.03)
    few = train(problem, instances=2, steps=1, snapshots=[0])
    np.testing.assert_array_equal(few.W_curve[0], start[:2])
    assert (few.b_curve[0] == 0).all()
    small = train(problem, instances=2, steps=1, init="small", snapshots=[0]).W_curve[0]
    assert float(small.std()) == pytest.approx(0.01, rel=0.15)


def test_given_initial_parameters_are_used_and_broadcast() -> None:
    W, b = np.array([[0.5, -0.25]]), np.array([0.125, -0.5])
    grid = PAIR.with_density(np.array([[0.1, 0.1], [0.2, 0.2]]))
    start = train(grid, instances=2, steps=1, init=(W, b), snapshots=[0])
    np.testing.assert_array_equal(start.W_curve[0], np.broadcast_to(W, (4, 1, 2)))
    np.testing.assert_array_equal(start.b_curve[0], np.broadcast_to(b, (4, 2)))
    each = np.arange(4.0).reshape(2, 1, 2)
    start = train(grid, instances=2, steps=1, init=each, snapshots=[0])
    np.testing.assert_array_equal(start.W_curve[0], np.concatenate([each, each]))


def test_a_batch_of_problems_is_trained_in_order() -> None:
    learned = train(mixed_grid(), instances=2, steps=5)
    np.testing.assert_array_equal(learned.problem, np.repeat(np.arange(12), 2))
    np.testing.assert_array_equal(learned.replicate, np.tile([0, 1], 12))
    np.testing.assert_allclose(learned.density[:, 0], np.repeat([0.02, 0.1, 0.6, 1.0], 6))
    np.testing.assert_allclose(learned.importance[:, 2], np.tile(np.repeat([0.3, 1, 3.0], 2), 4))
    # The zero model's loss is importance times second moment: far apart between cells, so order shows in the loss.
    start = train(mixed_grid(), instances=2, steps=1, init=np.zeros((2, 3)), snapshots=[0]).loss_curve[0]
    expected = (learned.importance * learned.density).sum("feature") / 3
    np.testing.assert_allclose(start, expected, rtol=0.2)


def test_snapshots_are_kept_where_asked_and_log_spaced_by_default() -> None:
    learned = train(PAIR, instances=2, steps=50, snapshots=[50, 0, 7])
    np.testing.assert_array_equal(learned.step, [0, 7, 50])
    np.testing.assert_array_equal(learned.W_curve[-1], learned.W)
    np.testing.assert_array_equal(learned.b_curve[-1], learned.b)
    default = log_spaced(10_000)
    assert (default[0], default[1], default[-1]) == (0, 1, 10_000)
    assert np.diff(np.log(default[5:])).max() < 0.6


def test_snapshots_do_not_change_what_is_learned() -> None:
    a, b = (train(PAIR, instances=2, steps=50, snapshots=s) for s in ([], range(51)))
    np.testing.assert_array_equal(a.W, b.W)
    np.testing.assert_array_equal(a.loss, b.loss)


def test_results_and_settings_survive_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "learned.nc"
    learned = train(PAIR, instances=2, steps=5, seed=2**40, model="absolute", output=path)
    assert load_result(path).identical(learned)
    assert learned.attrs["seed"] == str(2**40)
    assert learned.attrs["learning_rate"] == Settings().learning_rate
    assert [p.name for p in path.parent.iterdir()] == ["learned.nc"]
    with pytest.raises(FileExistsError, match="exists already"):
        train(PAIR, steps=5, output=path)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder in which no one can write")
def test_an_unwritable_output_is_refused_before_training() -> None:
    with pytest.raises(OSError, match="cannot write"):
        train(PAIR, steps=10**9, output="/proc/learned.nc")


@pytest.mark.parametrize("n", [3, 30])
@pytest.mark.parametrize(("density", "batch"), [(1e-6, 16), (0.05, 1), (0.9, 1)])
def test_tiny_batches_and_densities_are_no_divergence(n: int, density: float, batch: int) -> None:
    problem = Problem(n=n, m=2, density=density, values="binary")
    learned = train(problem, instances=2, steps=200, batch=batch)
    assert np.isfinite(learned.W).all()
    assert (learned.diverged_at == -1).all()


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_divergence_names_instance_step_and_learning_rate(optimiser: str) -> None:
    settings: dict[str, Any] = {"instances": 3, "steps": 300, "optimiser": optimiser}
    settings |= {"learning_rate": 300.0, "schedule": "constant"}
    with pytest.raises(DivergenceError, match=r"instance 0 diverged at step \d+.*learning rate 300"):
        train(PAIR, **settings)
    recorded = train(PAIR, on_divergence="record", **settings)
    assert (recorded.diverged_at >= 1).all()
    assert recorded.loss.isnull().all()
    assert recorded.W.isnull().all()


def test_one_diverging_run_does_not_disturb_the_others() -> None:
    W = np.array([[[0.5, -0.5]], [[1e4, -1e4]], [[0.7, -0.6]]])
    settings: dict[str, Any] = {"instances": 3, "steps": 200, "optimiser": "sgd", "learning_rate": 0.1}
    learned = train(PAIR, init=W, on_divergence="record", **settings)
    assert (learned.diverged_at.values >= 0).tolist() == [False, True, False]
    assert learned.loss[[0, 2]].notnull().all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"instances": 0}, "instances must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"learning_rate": -1e-3}, "learning_rate must be finite and > 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be finite and > 0"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"weight_decay": -0.1}, "weight_decay must be finite and >= 0"),
        ({"optimiser": "adm"}, "unknown optimiser 'adm'.*did you mean 'adam'"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"model": "rellu"}, "did you mean 'relu'"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
        ({"init": "zavier"}, "init must be 'xavier', 'small' or an array"),
        ({"init": np.ones(3)}, r"init gives W of shape \(3,\), but one model's is \(1, 2\)"),
        ({"init": np.ones((5, 1, 2))}, r"leading axes must fit \(problems, instances\) = \(1, 8\)"),
        ({"init": (np.ones((1, 2)), np.ones(3))}, r"init gives b of shape \(3,\), but one model's is \(2,\)"),
        ({"init": np.full((1, 2), np.nan)}, "not finite"),
        ({"init": np.ones((1, 2)), "model": "absolute"}, r"init must give \(W, b, W_out\)"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": 10_000}, "workers must be at most"),
        ({"snapshots": [20]}, r"snapshots must lie in \[0, steps = 10\]"),
        ({"on_divergence": "ignore"}, "on_divergence must be 'raise' or 'record'"),
    ],
)
def test_bad_settings_are_refused_in_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        train(PAIR, **({"steps": 10} | wrong))
    assert "\n" not in str(refusal.value)


def test_values_far_from_1_are_told_of() -> None:
    """Adam's first step in b was 3000 times the values, and runs ended where they began."""
    with pytest.warns(UserWarning, match="values are of size 0.0005, while learning rates"):
        train(Problem(n=2, m=1, density=0.1, values="uniform:0,5e-4"), instances=1, steps=2, on_divergence="record")


def test_kinds_are_refused_too() -> None:
    with pytest.raises(TypeError, match=r"steps must be a whole number, got 10\.5"):
        train(PAIR, steps=10.5)  # type: ignore[arg-type]


def test_unequal_densities_and_float64_are_trained() -> None:
    features = Independent([0.05, 0.1, 0.2, 0.15])
    learned = train(Problem(m=2, features=features), instances=2, steps=300, precision="float64")
    assert learned.W.dtype == np.float64
    assert learned.loss.mean() < learned.loss_curve[0].mean()


@pytest.mark.slow
def test_the_default_settings_find_the_best_known_five_features_in_two_dimensions() -> None:
    problem = Problem(n=5, m=2, density=0.05)
    learned = train(problem, instances=24)
    W, b = learned.W.values.astype(float), learned.b.values.astype(float)
    best = np.argmin([stratified_loss(W[k], b[k], problem)[0] for k in range(24)])
    estimate, error = stratified_loss(W[best], b[best], problem, samples=4_000_000)
    # The pentagon's loss at p = 0.05, to the digits that matter here.
    pentagon = 0.0089036
    assert 4 * error < 5e-3 * pentagon
    assert estimate < pentagon * 1.002 + 4 * error
    assert estimate > pentagon - 4 * error
