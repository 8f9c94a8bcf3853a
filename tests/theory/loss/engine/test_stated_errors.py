"""The stated error is needed: with half of any of its parts some problem here would be further off than stated.

The problems are adversarial, found by a search among 50,000 random ones of two to five features. With the terms that
the engine chooses, none of 68 series of power sums misses more than 0.21 of what is stated; with fewer terms, some do.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from tests.accuracy.noisy import noisy_output
from tests.accuracy.oracle import difference, exact_loss, exact_output, rational
from theory import Correlated, FeatureDistribution, Independent, Problem, loss_estimate
from theory.loss.engine import chebyshev, work
from theory.loss.engine.engine import row_errors
from theory.loss.engine.estimate import RowEstimate
from theory.loss.engine.rows import Features, Rows
from theory.model.values import BINARY, UNIFORM

pytestmark = pytest.mark.usefixtures("at_full_speed")


@dataclass(frozen=True)
class Output:
    """One output of independent features, and how it is computed."""

    c: tuple[float, ...]
    b: float
    p: tuple[float, ...]
    own: int
    rtol: float
    values: str = "uniform"
    noise: float = 0.0
    nodes: int = 16_384

    def estimate(self) -> RowEstimate:
        rows = Rows(
            np.array([self.c], dtype=float), np.array([float(self.b)]), np.array([self.own]), np.array([self.noise])
        )
        features = Features.of(Independent(np.array(self.p), values=self.values))
        return row_errors(rows, features, rtol=self.rtol, max_nodes=self.nodes)

    def misses(self, result: RowEstimate) -> tuple[float, float]:
        """Exact errors of the value, and of the worst entry of the gradient."""
        features = Independent(np.array(self.p), values=self.values)
        output = [rational(c) for c in self.c], rational(self.b), self.own
        exact = noisy_output(*output, features, rational(self.noise)) if self.noise else exact_output(*output, features)
        slopes = zip([*result.dG[0], result.db[0]], [*exact.couplings, exact.bias], strict=True)
        return difference(float(result.value[0]), exact.value), max(difference(float(s), e) for s, e in slopes)


TRUNCATED = {
    "integer": Output((1, 3, -2), -1, (0.001, 1, 0.00155), 2, 2e-5, "binary", nodes=4096),
    "tiny": Output((9.3e-7, 1.22e-7, -7.29e-2, 0.189), 0, (1, 0.00112, 0.00112, 0.00112), 1, 2e-8, nodes=64),
    "opposite": Output((-2, 2), 0, (0.00106, 1), 0, 2e-4, "binary", nodes=64),
    "all nodes": Output((-2.07, 2.07), 0, (0.562, 1), 0, 1e-9, "binary"),
}
STEPS = {
    "noise": Output((1.25e-4, 6.41e-6), 5.06e-5, (1, 0.00348), 0, 0.2, "binary", noise=2.47e-10),
    "rare": Output((-7.4e-7, 2.14e-5), 1.54e-5, (0.13, 0.13), 1, 0.02, "binary", noise=5.58e-12),
    "no noise": Output((7.1e-7, -1.59e-4), 6.74e-5, (1, 0.941), 1, 0.02, "binary"),
}
SLOPES = {
    "dense and rare": Output(
        (1.76e-3, -9.61e-8, 2.81e-2, 0.613, -9.8e-4), 0, (5.2e-6, 1, 1.03e-6, 1.92e-4, 0.897), 0, 0.009, nodes=16
    ),
    "tiny": Output((4.1e-4, -1.09e-9, 1.3e-8), 0, (0.42, 1.78e-4, 1.72e-5), 1, 6e-4, nodes=32),
    "noise": Output(
        (-1.13e-5, 3.74e-5, 2.93e-4, -2.33e-4), -2.23e-4, (5.18e-4, 1.89e-5, 1, 0.42), 2, 0.03, "binary", 9.99e-12, 32
    ),
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_half_the_truncation_would_be_too_little(name: str) -> None:
    assert_needed(TRUNCATED[name], "truncation")


@pytest.mark.parametrize("name", STEPS)
def test_half_the_step_would_be_too_little(name: str) -> None:
    assert_needed(STEPS[name], "step")


def assert_needed(output: Output, part: str) -> None:
    result = output.estimate()
    miss, _ = output.misses(result)
    halved = float(result.error[0] - getattr(result.parts, part)[0] / 2)
    assert halved < miss <= result.error[0]


@pytest.mark.parametrize("name", SLOPES)
def test_half_the_gradient_error_would_be_too_little(name: str) -> None:
    result = SLOPES[name].estimate()
    _, miss = SLOPES[name].misses(result)
    assert result.gradient_error[0] / 2 < miss <= result.gradient_error[0]


# The worst of 30,000.
ROUNDING_SEEDS = (2033, 7857, 13539, 25449, 23501, 1612, 1723, 26959, 7338, 7931, 2253, 19515)


def test_half_the_rounding_would_be_too_little() -> None:
    """Outputs that never switch have no other error; a dozen, since processors may round differently."""
    ratios = []
    for seed in ROUNDING_SEEDS:
        output = never_switching(seed)
        result = output.estimate()
        assert result.path[0] == "closed"
        assert result.error[0] == result.parts.rounding[0]
        ratios.append(output.misses(result)[0] / float(result.error[0]))
    assert 0.5 < max(ratios) <= 1


def never_switching(seed: int) -> Output:
    """Positive couplings and bias: z >= 0; one feature is always active."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 6))
    c, p = 10.0 ** rng.uniform(-2, 1, size=n), 10.0 ** rng.uniform(-5, -1, size=n)
    p[rng.integers(n)] = 1.0
    own = int(rng.integers(n))
    b = float(rng.choice([0.0, 0.1, 1.0]))
    return Output(tuple(c.tolist()), b, tuple(p.tolist()), own, 1e-9, "binary")


@pytest.mark.parametrize("p", [0.0017, 0.003])
def test_a_series_left_out_of_the_error_is_noticed(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same nodes, feature by feature, all other errors are the same: rounding alone is not enough."""
    n = 100
    c = np.full(n, 0.2)
    c[0] = 1.0
    rows = Rows(c[None], np.array([-0.1]), np.array([0]), np.zeros(1))
    features = Features(BINARY, np.full(n, p))
    summed = row_errors(rows, features, rtol=1e-4, max_nodes=32)
    monkeypatch.setattr(work, "plan", lambda *_: None)
    single = row_errors(rows, features, rtol=1e-4, max_nodes=32)
    assert (summed.path[0], single.path[0]) == ("sums", "single")
    assert summed.nodes[0] == single.nodes[0]
    rounding = float(summed.parts.rounding[0] + single.parts.rounding[0])
    assert rounding < abs(float(summed.value[0] - single.value[0])) <= rounding + float(summed.parts.series[0])


def test_half_the_series_would_be_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A series with too few terms, accepted as it is, against the same nodes feature by feature."""
    for module, name, value in (
        (chebyshev, "_MORE_TERMS", 2),
        (chebyshev, "_MORE_CUBE_ROOTS", 1.5),
        (chebyshev, "_KEPT", chebyshev._Kept(2**20)),
        (work, "_SERIES_SHARE", 1e9),
    ):
        monkeypatch.setattr(module, name, value)
    n = 100
    c = 0.2 * np.random.default_rng(5).choice([-1.0, 1.0], n)
    c[0] = 1.0
    rows = Rows(c[None], np.array([-0.1]), np.array([0]), np.zeros(1))
    features = Features(BINARY, np.full(n, 0.4434))
    summed = row_errors(rows, features, rtol=1e-4, max_nodes=16)
    monkeypatch.setattr(work, "plan", lambda *_: None)
    single = row_errors(rows, features, rtol=1e-4, max_nodes=16)
    assert (summed.path[0], single.path[0]) == ("sums", "single")
    rounding = float(summed.parts.rounding[0] + single.parts.rounding[0])
    series = float(summed.parts.series[0])
    assert series / 2 + rounding < abs(float(summed.value[0] - single.value[0])) <= series + rounding


# Of uniform values, the worst of all rows of 2,000 problems before unresolved couplings were told apart.
WAITING = Output(
    (6.4e-06, -1.5e-06, 5.4e-06, -9.3e-07, -1.1e-06, 1.0, -6.4e-06, 3.7e-06, 2.1e-06, -4.7e-06, 5.8e-06),
    3.2e-06,
    (0.186,) * 11,
    5,
    1e-7,
)


def test_couplings_whose_phases_have_not_turned_are_not_trusted_to_stay_as_they_are() -> None:
    """Terms measured where t |g| < 1 say nothing of those where t |g| is about 1."""
    result = WAITING.estimate()
    miss, _ = WAITING.misses(result)
    assert float(result.parts.truncation[0]) > 100 * float(result.parts.rounding[0])
    assert miss <= result.error[0]


@pytest.mark.parametrize("scale", [1e-300, 1e-250, 1e-100])
def test_outputs_next_to_the_smallest_numbers_have_a_gradient(scale: float) -> None:
    output = Output((scale, -0.7 * scale, 0.3 * scale), -0.2 * scale, (0.3, 0.2, 0.9), 0, 1e-7)
    result = output.estimate()
    value, slope = output.misses(result)
    assert value <= result.error[0] < 1e-7
    assert slope <= result.gradient_error[0] < 10


def test_a_gradient_whose_kink_rounding_decides_says_so() -> None:
    """Binary values that put z at 0 up to the rounding of W^T W: which side decides a part of the derivative."""
    rng, undecided = np.random.default_rng(3), 0
    for _ in range(20):
        W = rng.normal(size=(3, 7))
        G = W.T @ W
        problem = Problem(n=7, m=3, density=0.3, values="binary")
        b = -(G * (G > 0)).sum(1)
        found, exact = loss_estimate(W, b, problem), exact_loss(W, b, problem)
        if exact.at_kink:
            continue
        entries = zip(
            [*found.gradient["W"].ravel(), *found.gradient["b"]],
            [e for row in exact.dW for e in row] + [*exact.db],
            strict=True,
        )
        miss = max(difference(float(entry), wanted) for entry, wanted in entries)
        undecided += miss > 1e-6
        assert miss <= found.gradient_error
    assert undecided  # else the test shows nothing


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_the_derivative_in_the_noise_has_an_error_that_holds(values: str) -> None:
    worst = 0.0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 5))
        output = Output(
            tuple(rng.normal(size=n) * 10.0 ** rng.uniform(-3, 1, n)), float(rng.normal()),
            tuple(rng.uniform(0.01, 1, n)), 0, 0.1, values, noise=float(10.0 ** rng.uniform(-6, 0)), nodes=16,
        )  # fmt: skip
        result = output.estimate()
        law = Independent(np.array(output.p), values=values)
        exact = noisy_output([rational(c) for c in output.c], rational(output.b), 0, law, rational(output.noise))
        worst = max(worst, difference(float(result.dnoise[0]), exact.noise) / float(result.noise_error[0]))
    assert 1e-3 < worst <= 1


@pytest.mark.parametrize("bias", [-1.0, 1.0])
def test_noise_that_would_have_to_be_a_hundred_deviations_off_never_switches(bias: float) -> None:
    """The output of a feature that is left out: couplings and noise vanish together."""
    output = Output((1e-9, -1e-5), bias, (0.3, 1), 0, 1e-9, noise=1e-8)
    result = output.estimate()
    miss, slope_miss = output.misses(result)
    assert result.path[0] == "closed"
    assert miss <= result.error[0] < 1e-13
    assert slope_miss <= result.gradient_error[0] < 1e-13


def test_whole_numbers_are_couplings_too() -> None:
    rows = Rows(np.array([[1, 2, -1]]), np.array([0]), np.array([0]), np.zeros(1))
    same = Rows(np.array([[1.0, 2.0, -1.0]]), np.zeros(1), np.array([0]), np.zeros(1))
    features = Features.of(Independent(np.full(3, 0.1)))
    assert row_errors(rows, features).value == row_errors(same, features).value


def test_opposite_couplings_of_a_set_do_not_narrow_the_window() -> None:
    """Tilted transforms of members that differ by hundreds of orders of magnitude: z is 0.47, whatever happens."""
    sets = [[4, 3], [6, 5], [1, 0, 2]]
    c = np.array([-0.2940, -0.1216, 0.2616, -0.1867, 0.02655, 0.08547, 0.7017])
    features = Correlated(sets, 1.0, values="binary")
    rows = Rows(c[None], np.zeros(1), np.array([6]), np.array([3.2e-7]))
    result = row_errors(rows, Features.of(features), rtol=1e-7)
    exact = noisy_output([rational(x) for x in c], rational(0.0), 6, features, rational(3.2e-7))
    assert difference(float(result.value[0]), exact.value) <= result.error[0] < 1e-6


@pytest.mark.parametrize(("bias", "some"), [(0.02, [169, 361]), (0.0, [177, 236])])
def test_a_few_dense_features_among_many_get_less_credit(bias: float, some: list[int]) -> None:
    """Outputs of p_i = 1/i at 1e-6 that missed up to 1.3 times what was stated when every feature counted alike."""
    W = np.random.default_rng(0).normal(size=(30, 400))
    W /= np.linalg.norm(W, axis=0)
    rows = Rows(W[:, some].T @ W, np.full(len(some), bias), np.array(some), np.zeros(len(some)))
    features = Features(UNIFORM, 1 / np.arange(1.0, 401))
    found, exact = (row_errors(rows, features, rtol=rtol) for rtol in (1e-6, 1e-9))
    missed = np.abs(found.value - exact.value)
    assert (missed <= found.error + exact.error).all()
    assert (missed > 0.3 * found.error).any()  # not because errors are stated far too large


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("W", "b"), [([[0.6, 0.5]], [-0.0489, 0.1]), ([[0.6, -0.6]], [-0.0489, 0.0])])
def test_transforms_that_vanish_leave_no_quotient_undefined(W: list[list[float]], b: list[float]) -> None:
    """A set that is always active, with normal values: its transform falls below the smallest numbers."""
    features = FeatureDistribution([[1, 0]], 1.0, "hierarchy:0.5", "normal")
    found = loss_estimate(W, b, Problem(m=1, features=features))
    assert np.isfinite([found.value, found.error, found.gradient_error]).all()
