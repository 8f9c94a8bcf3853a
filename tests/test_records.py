"""Records from outside the package go through every consumer: an exponential law, partial correlation, a leaky ReLU."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import sympy
from numpy.testing import assert_allclose

import theory
from numerics import sample, stratified_loss, train, train_and_judge
from tests.records import Exponential, LeakyReLU, PartialCorrelation
from theory import FeatureDistribution, Problem
from theory.curvature.stability import hessian
from theory.model.activations import LINEAR, Activation, Kink

SIZES = (3, 8, 30)
# Where a case of thirty features takes more than a few seconds.
LARGE_ONES_SLOW = (3, 8, pytest.param(30, marks=pytest.mark.slow))
SAMPLES = 400_000


def problem(kind: str, n: int) -> Problem:
    """A problem of n features with one foreign record, or with all of them."""
    p, m = 0.3 if n < 10 else 0.1, max(1, n // 4)
    pairs = [[j, j + 1] if j + 1 < n else [j] for j in range(0, n, 2)]
    if kind == "exponential":
        return Problem(n=n, m=m, density=p, values=Exponential())
    if kind == "leaky":
        return Problem(n=n, m=m, density=p, activation=LeakyReLU(0.1))
    if kind == "partial":
        return Problem(m=m, features=FeatureDistribution(pairs, p, PartialCorrelation(0.6)))
    features = FeatureDistribution(pairs, p, PartialCorrelation(0.6), Exponential())
    return Problem(m=m, features=features, activation=LeakyReLU(0.1))


KINDS = ("exponential", "partial", "leaky", "all")


def model(task: Problem, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, task.n])
    return rng.normal(size=(task.m, task.n)) / np.sqrt(task.m), 0.1 * rng.normal(size=task.n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_loss_is_that_of_samples(kind: str, n: int) -> None:
    task = problem(kind, n)
    W, b = model(task)
    x = sample(task.features, SAMPLES, np.random.default_rng(n))
    losses = ((x - task.activation.value(x @ (W.T @ W) + b)) ** 2).sum(1)
    error = losses.std() / np.sqrt(SAMPLES)
    assert 4 * error < 0.05 * losses.mean(), "the estimate could not see an error of 5 %"
    assert abs(theory.population_loss(W, b, task) - losses.mean()) < 4 * error


@pytest.mark.parametrize("n", LARGE_ONES_SLOW)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_hessian_and_parts_belong_to_the_loss(kind: str, n: int) -> None:
    task, rtol = problem(kind, n), 1e-9
    W, b = model(task)
    rng = np.random.default_rng(1)
    V, c, h = rng.normal(size=W.shape), rng.normal(size=n), 1e-4
    loss, dW, db = theory.population_loss_and_gradient(W, b, task, rtol=rtol)
    up, down = (theory.population_loss_and_gradient(W + s * V, b + s * c, task, rtol=rtol) for s in (h, -h))
    slope = (dW * V).sum() + (db * c).sum()
    assert_allclose((up[0] - down[0]) / (2 * h), slope, rtol=1e-5, atol=1e-5 * loss)
    bend = np.r_[((up[1] - down[1]) / (2 * h)).ravel(), (up[2] - down[2]) / (2 * h)]
    H = hessian(W, b, task)
    assert_allclose(H @ np.r_[V.ravel(), c], bend, atol=2e-3 * np.abs(bend).max())
    parts = theory.decompose(W, b, task)
    named = parts.own_error.sum() + parts.interference.sum() + parts.collective.sum() + parts.bias_miss.sum()
    assert_allclose(named, loss, rtol=1e-6)
    assert_allclose(parts.by_active.sum(), loss, rtol=1e-6)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_trainer_estimates_the_loss_that_theory_computes(kind: str, n: int) -> None:
    task = problem(kind, n)
    learned = train(task, instances=2, steps=200, progress=False)
    exact = theory.population_loss(learned["W"].values.astype(float), learned["b"].values.astype(float), task)
    off = (learned["loss"].values - exact) / learned["loss_standard_error"].values
    assert (np.abs(off) < 4.5).all()
    assert (exact < task.zero_loss).all()


@pytest.mark.parametrize("kind", ["exponential", "leaky"])
def test_stratified_sampling_takes_them(kind: str) -> None:
    task = problem(kind, 8)
    W, b = model(task)
    estimate, error = stratified_loss(W, b, task)
    assert 4 * error < 0.05 * estimate
    assert abs(estimate - theory.population_loss(W, b, task)) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_optima_are_found_judged_and_named(kind: str) -> None:
    task = problem(kind, 3)
    best = theory.global_optimum(task, starts=8)
    assert theory.recognise(best.W).name == best.geometry
    assert best.loss < task.zero_loss
    pair = theory.optimise(task, "digon")
    assert pair.loss >= best.loss * (1 - 1e-6)
    judged = train_and_judge(task, instances=2, steps=800, progress=False)
    assert (judged["optimum_gap"].values > -1e-4).all()
    assert (judged["optimum_gap"].values < 2).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["partial", "leaky"])
def test_one_geometry_is_optimised_at_eight_features(kind: str) -> None:
    found = theory.optimise(problem(kind, 8), "pentagon")
    assert found.loss < problem(kind, 8).zero_loss


def test_symbolic_forms_know_the_density() -> None:
    interference = theory.derive_linear_loss(2, Exponential()).interference[0, 1]
    p, g, weight = sympy.symbols("p_2 g_12 I_1")
    by_name = {s.name: s for s in interference.free_symbols}
    value = interference.subs({by_name["p_2"]: p, by_name["g_12"]: g, by_name["I_1"]: weight})
    assert sympy.expand(value - weight * g**2 * (2 * p - p**2)) == 0
    total = theory.derive_one_sparse_loss(2, Exponential()).interference[0, 1]
    point = {s: v for s in total.free_symbols for k, v in (("g_12", 0.7), ("b_1", -0.2), ("I_1", 1.0)) if s.name == k}
    expected = Exponential().interference(np.array([0.7]), np.array([-0.2]))[0][0]
    assert_allclose(float(total.subs(point)), expected, rtol=1e-12)


@dataclass(frozen=True)
class Tanh(Activation):
    """Curved, and says so or not."""

    curved: bool

    @property
    def left(self) -> float:
        return 0.0

    @property
    def kinks(self) -> tuple[Kink, ...]:
        return ()

    def value(self, z: np.ndarray) -> np.ndarray:
        return np.tanh(z)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return 1 - np.tanh(z) ** 2


@dataclass(frozen=True)
class Half(Tanh):
    """z / 2."""

    curved: bool = False

    @property
    def left(self) -> float:
        return 0.5

    def value(self, z: np.ndarray) -> np.ndarray:
        return 0.5 * z

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return np.full_like(z, 0.5)


@pytest.mark.parametrize("n", SIZES)
def test_what_theory_does_not_know_is_refused_in_one_sentence(n: int) -> None:
    with pytest.raises(ValueError, match="tanh is not the function of its slope and kinks; if it is curved, say so"):
        Problem(n=n, m=1, density=0.1, activation=Tanh(False))
    task = Problem(n=n, m=1, density=0.1, activation=Tanh(True))
    W, b = np.ones((1, n)), np.zeros(n)
    for function in (theory.population_loss, theory.loss_estimate, theory.decompose, hessian):
        with pytest.raises(NotImplementedError, match="two straight pieces that meet at 0, not tanh"):
            function(W, b, task)
    assert np.isfinite(train(task, instances=1, steps=5, progress=False)["loss"].values).all()
    with pytest.raises(ValueError, match="sums over active sets are derived for values uniform"):
        theory.derive_expansion(sympy.Matrix([[1, -1]]), [0, 0], [1, 1], Exponential())


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("activation", [Half(), LINEAR, LeakyReLU(-1)], ids=repr)
def test_every_route_gives_the_same_loss(activation: Activation, n: int) -> None:
    task = Problem(n=n, m=2, density=0.3, activation=activation)
    W, b = model(task)
    loss = theory.population_loss(W, b, task)
    found = theory.loss_estimate(W, b, task)
    assert abs(found.value - loss) <= found.error + 1e-6 * loss
    assert_allclose(theory.decompose(W, b, task).by_active.sum(), loss, rtol=1e-6)


@pytest.mark.parametrize("n", SIZES)
def test_numbers_too_large_and_odd_arrays_are_refused_everywhere(n: int) -> None:
    task = Problem(n=n, m=2, density=0.3)
    W, b = model(task)
    for function in (theory.population_loss, theory.loss_estimate, theory.decompose, hessian):
        for scale in (1e100, 1e200):
            with pytest.raises(ValueError, match="too large for double precision"):
                function(W * scale, b, task)
        for odd in (np.ma.masked_greater(W, 0.5), W + 1j):
            with pytest.raises(TypeError, match="real numbers"):
                function(odd, b, task)
    for rtol in (0, 1, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"rtol must lie in \(0, 1\)"):
            theory.population_loss(W, b, task, rtol=rtol)
    with pytest.raises(TypeError, match="real numbers"):
        theory.recognise(W + 1j)


KITE = """
from types import MappingProxyType
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import theory.geometry.polytopes as polytopes

def kite():
    angles = np.radians([0, 130, 230])
    return np.stack([np.cos(angles), np.sin(angles)])

entry = polytopes.Polytope("kite", 2, 3, kite, orbits=(0, 1, 1))
polytopes.POLYTOPES = MappingProxyType({**polytopes.POLYTOPES, "kite": entry})  # as one more line of the registry would

import pickle
import theory
assert theory.recognise(entry.embedding()).nearest == "kite"
best = theory.optimise_polytope("kite", 0.9)
exact = theory.population_loss(best.W, best.b, theory.Problem(n=3, m=2, density=0.9))
assert abs(best.loss - exact) < 1e-9, (best.loss, exact)
assert theory.one_sparse_optimum("kite").loss >= 0
assert theory.parse_geometry("kite + digon").n == 5
assert pickle.loads(pickle.dumps(entry)) is entry
found = theory.optimise(theory.Problem(n=8, m=3, density=0.3), "kite + digon")
assert found.loss < theory.Problem(n=8, m=3, density=0.3).zero_loss
"""


def test_a_polytope_more_in_the_registry_goes_through_its_consumers() -> None:
    done = subprocess.run([sys.executable, "-c", KITE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
