"""The population loss against enumeration in multi-precision arithmetic, sampling, and its own identities."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from numpy.testing import assert_allclose

import theory
from numerics.sampling.monte_carlo import stratified_loss
from tests import oracle
from tests.strategies import Model, distributions, models, random_rotation, seeds
from theory import Anticorrelated, Correlated, Independent, Problem
from theory.loss.population import output_errors
from theory.loss.quadrature import ROUNDING as KNOWN_TO
from theory.model.values import BINARY

# Enumeration carries a few hundred roundings of numbers of order one.
ROUNDING = 1e-12
# Central differences of step 1e-6: rounding 1e-16 / 1e-6, and a kink of the second derivative within the step.
DIFFERENCES = 2e-6


def random_model(n: int, m: int, density: float, seed: int, values: str = "uniform") -> Model:
    """A model such as training finds: norms around one, slightly negative biases."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(m, n)) / np.sqrt(m)
    p = density * rng.uniform(0.5, 1.5, size=n)
    features = Independent(np.minimum(p, 1.0), values)
    return Model(W, -0.1 * rng.random(n), Problem(m=m, features=features, importance=rng.uniform(0.5, 1.5, n)))


@given(models(max_features=5))
def test_loss_is_that_of_the_multiprecision_enumeration(model: Model) -> None:
    expected = float(oracle.population_loss(model.W, model.b, model.problem))
    assert_allclose(theory.population_loss(model.W, model.b, model.problem), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.slow
def test_two_hundred_random_problems_agree_with_the_oracle() -> None:
    rng = np.random.default_rng(2022)
    for _ in range(200):
        n, m = rng.integers(1, 7), rng.integers(1, 4)
        p = np.where(rng.random(n) < 0.15, 1.0, 10 ** rng.uniform(-3, 0, size=n))
        W, b = rng.normal(size=(m, n)), rng.normal(size=n) * 0.3
        problem = Problem(m=int(m), density=p, importance=rng.uniform(0.1, 2, n))
        expected = float(oracle.population_loss(W, b, problem))
        assert_allclose(theory.population_loss(W, b, problem), expected, rtol=1e-9)


@pytest.mark.parametrize("power", [-6, -5, -4, -3, None])
def test_tiny_and_zero_couplings_cost_no_accuracy(power: int | None) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        W = rng.normal(size=(2, 5))
        W[:, 2:4] *= 0.0 if power is None else 10.0**power
        b, problem = rng.normal(size=5) * 0.2, Problem(n=5, m=2, density=0.3)
        expected = float(oracle.population_loss(W, b, problem))
        assert_allclose(theory.population_loss(W, b, problem), expected, rtol=1e-12)


@given(distributions(max_features=5), seeds)
def test_quadrature_agrees_with_enumeration_within_its_own_error_estimate(features, seed: int) -> None:  # type: ignore[no-untyped-def]
    if features.values == BINARY:
        return  # atoms: the characteristic function does not decay, and enumeration serves up to 16 features
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(2, features.n)), 0.3 * rng.normal(size=features.n)
    problem = Problem(m=2, features=features)
    exact = output_errors(W.T @ W, b, problem)
    for nodes, accuracy in ((256, 1e-4), (4096, 1e-6)):
        approximate = output_errors(W.T @ W, b, problem, nodes=nodes)
        assert_allclose(approximate.value, exact.value, atol=accuracy, rtol=0)
    assert_allclose(approximate.dG, exact.dG, atol=1e-3, rtol=0)
    assert_allclose(approximate.db, exact.db, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("n", "m", "density"), [(7, 2, 0.05), (8, 3, 0.4), (9, 2, 1.0)])
def test_quadrature_reaches_the_accuracy_that_it_promises(n: int, m: int, density: float) -> None:
    model = random_model(n, m, density, seed=n)
    tight = theory.population_loss(model.W, model.b, model.problem, rtol=1e-11)
    for rtol in (1e-4, 1e-6, 1e-8):
        assert_allclose(theory.population_loss(model.W, model.b, model.problem, rtol=rtol), tight, rtol=rtol)


@pytest.mark.parametrize(("n", "m", "density"), [(7, 2, 0.1), (8, 3, 0.3)])
def test_many_features_agree_with_the_oracle(n: int, m: int, density: float) -> None:
    model = random_model(n, m, density, seed=1)
    expected = float(oracle.population_loss(model.W, model.b, model.problem))
    assert_allclose(theory.population_loss(model.W, model.b, model.problem, rtol=1e-9), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("n", "m", "density", "samples"),
    [
        (20, 5, 0.05, 2_400_000),
        pytest.param(80, 20, 0.05, 1_600_000, marks=pytest.mark.slow),
        pytest.param(400, 30, 0.02, 400_000, marks=pytest.mark.slow),
    ],
)
def test_large_problems_agree_with_stratified_sampling(n: int, m: int, density: float, samples: int) -> None:
    model = random_model(n, m, density, seed=n)
    estimate, error = stratified_loss(model.W, model.b, model.problem, samples=samples, seed=1)
    loss = theory.population_loss(model.W, model.b, model.problem)
    assert error < 1e-3 * estimate
    assert abs(loss - estimate) < 4 * error
    assert abs(1.1 * loss - estimate) > 4 * error, "the test could not see a loss that is 10 % wrong"


@given(models(max_features=4, smooth=True), st.sampled_from(["relu", "linear"]))
def test_gradient_is_that_of_central_differences(model: Model, kind: str) -> None:
    step = 1e-6
    _, dW, db = theory.population_loss_and_gradient(model.W, model.b, model.problem, model=kind)  # type: ignore[arg-type]
    for array, gradient in ((model.W, dW), (model.b, db)):
        for index in np.ndindex(array.shape):
            shifted = []
            for sign in (1, -1):
                array[index] += sign * step
                shifted.append(theory.population_loss(model.W, model.b, model.problem, model=kind))  # type: ignore[arg-type]
                array[index] -= sign * step
            difference = (shifted[0] - shifted[1]) / (2 * step)
            assert_allclose(gradient[index], difference, rtol=1e-5, atol=DIFFERENCES * max(1, abs(shifted[0])))


@pytest.mark.parametrize("kind", [Correlated, Anticorrelated, None])
@pytest.mark.parametrize("nodes", [24, 96])
def test_quadrature_gradient_is_the_gradient_of_the_discretised_loss(kind, nodes: int) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(3)
    sets = [[0, 3], [1], [2, 4, 5], [6]]
    features = kind(sets, [0.3, 0.9, 0.5, 0.2]) if kind else Independent(rng.uniform(0.1, 1, 7))
    problem = Problem(m=2, features=features)
    G = rng.normal(size=(7, 7))
    b = 0.2 * rng.normal(size=7)
    errors = output_errors(G, b, problem, nodes=nodes)
    step = 1e-6
    for i, j in [(0, 0), (0, 3), (2, 4), (2, 6), (5, 5), (6, 1)]:
        change = np.zeros((7, 7))
        change[i, j] = step
        up, down = (output_errors(G + s * change, b, problem, nodes=nodes).value[i] for s in (1, -1))
        assert_allclose(errors.dG[i, j], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)
    for i in (0, 4):
        change = step * np.eye(7)[i]
        up, down = (output_errors(G, b + s * change, problem, nodes=nodes).value[i] for s in (1, -1))
        assert_allclose(errors.db[i], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@given(models(), seeds)
def test_rotating_hidden_space_changes_nothing(model: Model, seed: int) -> None:
    rotated = random_rotation(model.problem.m, seed) @ model.W
    loss = theory.population_loss(model.W, model.b, model.problem)
    assert_allclose(theory.population_loss(rotated, model.b, model.problem), loss, rtol=1e-9, atol=ROUNDING)


@given(models(max_features=5), seeds)
def test_permuting_features_changes_nothing(model: Model, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(model.problem.n)
    position = np.argsort(order)
    features = model.problem.features
    if isinstance(features, Independent):
        moved: theory.FeatureDistribution = Independent(features.density[order], features.values)
    else:
        sets = [[int(position[j]) for j in members] for members in features.sets]
        moved = type(features)(sets, features.density, features.values)
    problem = Problem(m=model.problem.m, features=moved, importance=model.problem.importance[order])
    loss = theory.population_loss(model.W, model.b, model.problem)
    assert_allclose(theory.population_loss(model.W[:, order], model.b[order], problem), loss, rtol=ROUNDING)


@given(models(), st.floats(0.01, 100))
def test_loss_scales_with_the_importance(model: Model, factor: float) -> None:
    scaled = model.problem.with_importance(factor * model.problem.importance)
    loss = theory.population_loss(model.W, model.b, model.problem)
    assert_allclose(theory.population_loss(model.W, model.b, scaled), factor * loss, rtol=ROUNDING)


@given(models())
def test_loss_is_never_negative(model: Model) -> None:
    for kind in ("relu", "linear"):
        assert theory.population_loss(model.W, model.b, model.problem, model=kind) >= 0


@given(models())
def test_without_embedding_the_best_bias_is_the_mean(model: Model) -> None:
    W, mean = np.zeros_like(model.W), model.problem.features.mean
    best = theory.population_loss(W, mean, model.problem)
    second_moment = np.diagonal(model.problem.features.second_moment)
    assert_allclose(best, model.problem.importance @ (second_moment - mean**2), rtol=1e-10, atol=1e-14)
    for shift in (-0.05, 0.05):
        assert theory.population_loss(W, mean + shift, model.problem) > best


@given(models(max_features=3, max_dimensions=2), models(max_features=3, max_dimensions=2))
def test_orthogonal_blocks_add(first: Model, second: Model) -> None:
    densities = [np.minimum(m.problem.density, 1.0) for m in (first, second)]
    problems = [
        Problem(m=m.problem.m, density=p, importance=m.problem.importance)
        for m, p in zip((first, second), densities, strict=True)
    ]
    W = np.zeros((first.W.shape[0] + second.W.shape[0], first.W.shape[1] + second.W.shape[1]))
    W[: len(first.W), : first.W.shape[1]] = first.W
    W[len(first.W) :, first.W.shape[1] :] = second.W
    together = Problem(
        m=len(W),
        density=np.concatenate(densities),
        importance=np.concatenate([q.importance for q in problems]),
    )
    parts = [theory.population_loss(m.W, m.b, q) for m, q in zip((first, second), problems, strict=True)]
    whole = theory.population_loss(W, np.concatenate([first.b, second.b]), together)
    assert_allclose(whole, sum(parts), rtol=ROUNDING)


def test_a_batch_gives_what_its_members_give() -> None:
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(4, 1, 2, 3)), rng.normal(size=(4, 1, 3))
    p = rng.uniform(0.05, 1, size=(5, 3))
    r = rng.uniform(0.1, 2, size=(5, 3))
    loss, dW, db = theory.population_loss_and_gradient(W, b, Problem(m=2, density=p, importance=r))
    assert isinstance(loss, ndarray)
    assert loss.shape == (4, 5)
    assert dW.shape == (4, 5, 2, 3)
    for i, j in np.ndindex(4, 5):
        alone = theory.population_loss_and_gradient(W[i, 0], b[i, 0], Problem(m=2, density=p[j], importance=r[j]))
        for part, whole in zip(alone, (loss, dW, db), strict=True):
            assert_allclose(whole[i, j], part, rtol=ROUNDING, atol=ROUNDING)


def test_many_binary_features_are_reported_when_out_of_reach() -> None:
    model = random_model(20, 3, 0.3, seed=0, values="binary")
    with pytest.warns(theory.AccuracyWarning, match="only known to about"):
        theory.population_loss(model.W, model.b, model.problem, rtol=1e-13)


def test_perfect_reconstruction_costs_nothing() -> None:
    for n in (3, 9):
        problem = Problem(n=n, m=n, density=0.3)
        nothing = theory.population_loss(np.zeros((n, n)), np.zeros(n), problem)
        assert theory.population_loss(np.eye(n), np.zeros(n), problem) <= KNOWN_TO * nothing


@pytest.mark.parametrize(
    ("W", "b", "kind", "message"),
    [
        (np.ones((3, 2)), np.zeros(3), "relu", "did you pass W transposed"),
        (np.ones((2, 4)), np.zeros(3), "relu", r"W must have shape \(m, n\) = \(2, 3\)"),
        (np.ones((2, 3)), np.zeros(2), "relu", r"b must have shape \(n,\) = \(3,\)"),
        (np.full((2, 3), np.nan), np.zeros(3), "relu", "must be finite"),
        (np.ones((2, 3)), np.zeros(3), "tanh", "model must be 'relu' or 'linear', got 'tanh'"),
        (np.ones((4, 2, 3)), np.zeros((5, 3)), "relu", "do not broadcast"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_does_not_fit_is_refused(W: ndarray, b: ndarray, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        theory.population_loss(W, b, Problem(n=3, m=2, density=0.1), model=kind)  # type: ignore[arg-type]


def test_no_warning_is_given_where_the_accuracy_is_reached() -> None:
    model = random_model(8, 2, 0.1, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert theory.population_loss(model.W, model.b, model.problem) > 0


@pytest.mark.parametrize(
    "values", ["uniform", "uniform:0,2", "uniform:-1,1", "binary", "exponential", "discrete:1@0.5,2@0.5"]
)
@pytest.mark.parametrize("n", [2, 5, 8, 70])
def test_derivatives_on_the_kink_are_those_of_one_side(values: str, n: int) -> None:
    problem, zero = Problem(n=n, m=2, density=0.1, values=values), np.zeros((2, n))
    _, _, db = theory.population_loss_and_gradient(zero, np.zeros(n), problem)
    estimate = theory.loss_estimate(zero, np.zeros(n), problem)
    for slope in (*db, *estimate.gradient["b"]):
        above = -2 * problem.features.mean[0]
        assert min(abs(slope), abs(slope - above)) < ROUNDING
