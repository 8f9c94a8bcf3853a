"""The stated error holds: value and gradient against enumeration, for the nastiest inputs of every kind."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf

from tests import oracle
from tests.records import Exponential
from tests.strategies import seeds
from tests.theory.loss.engine.oracles import STRATA, Case, case, cases, exponential_error
from theory import Independent
from theory.loss.engine.engine import row_errors
from theory.loss.engine.estimate import RowEstimate
from theory.loss.engine.rows import Features, Rows
from theory.model.values import UNIFORM

pytestmark = pytest.mark.usefixtures("at_full_speed")

tolerances = st.floats(-9, -2).map(lambda e: 10.0**e)
# Discrete values of few features are enumerated by the package; here they only have to be honest within a budget.
BUDGET = {"uniform": 4096, "binary": 512}


def estimate(c: Case, rtol: float) -> RowEstimate:
    return row_errors(c.rows, c.features, rtol=rtol, max_nodes=BUDGET[c.distribution.values.name])


def smooth(c: Case) -> np.ndarray:
    """Rows whose gradient exists: z does not stay at the kink with a probability of its own."""
    return (c.rows.b != 0) & (c.distribution.values == UNIFORM)


@given(cases(), tolerances)
def test_no_value_is_further_off_than_stated(c: Case, rtol: float) -> None:
    value, _, _ = c.exact()
    result = estimate(c, rtol)
    assert np.isfinite(result.value).all()
    assert (np.abs(result.value - value) <= result.error + c.rounding).all()


@given(cases(), tolerances)
def test_no_derivative_is_further_off_than_stated(c: Case, rtol: float) -> None:
    _, dG, db = c.exact()
    result = estimate(c, rtol)
    miss = np.maximum(np.abs(result.dG - dG).max(1), np.abs(result.db - db))
    assert np.isfinite(result.dG).all()
    assert (miss <= result.gradient_error + c.rounding)[smooth(c)].all()


@given(cases(laws=("uniform",), strata=("plain", "integer", "equal", "antipodal", "untied")), tolerances)
def test_what_was_asked_for_is_reached(c: Case, rtol: float) -> None:
    result = row_errors(c.rows, c.features, rtol=rtol)
    reached = result.error <= 1.01 * rtol * result.value + 2.1 * result.parts.rounding
    assert (reached | (result.nodes >= 8192)).all()


@pytest.mark.parametrize("rtol", [1e-2, 1e-3, 1e-5, 1e-8])
@pytest.mark.parametrize("other", [1e-6, 1e-4])
def test_outputs_far_better_than_none_are_known_to_what_was_asked(other: float, rtol: float) -> None:
    """The step was chosen for an output that knows nothing of its feature: one of a digon errs 1e-4 times as much."""
    G, b = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]), np.array([-0.0022, -0.043])
    rows = Rows(G, b, np.arange(2), np.zeros(2))
    result = row_errors(rows, Features(UNIFORM, np.array([0.037, other, other / 2])), rtol=rtol)
    assert (result.error <= 1.01 * rtol * result.value + 2.1 * result.parts.rounding).all()
    assert (result.nodes <= 1024).all()  # the step decides, not nodes that cannot help


@pytest.mark.parametrize("stratum", STRATA)
def test_a_row_alone_gives_the_same_numbers(stratum: str) -> None:
    for seed in range(4):
        c = case(np.random.default_rng(seed), stratum, "uniform", "independent")
        together = row_errors(c.rows, c.features, rtol=1e-6)
        for i in range(len(c.rows.b)):
            alone = row_errors(c.rows.take(np.array([i])), c.features, rtol=1e-6)
            assert alone.nodes[0] == together.nodes[i]
            np.testing.assert_allclose(alone.value[0], together.value[i], rtol=1e-12, atol=1e-15)
            scale = 1e-12 * (1 + np.abs(together.dG[i]).max())
            np.testing.assert_allclose(alone.dG[0], together.dG[i], rtol=1e-12, atol=scale)


@given(seeds, st.floats(-3, 0))
def test_the_gradient_is_that_of_the_discretised_loss(seed: int, log_density: float) -> None:
    """Far below what truncation costs: the step, nodes and series are locally constant."""
    rng = np.random.default_rng(seed)
    n, p = 7, 10.0**log_density
    G, b = rng.normal(size=(2, n)), rng.normal(size=2)
    features = Features(UNIFORM, np.full(n, p))
    noise = np.array([0.0, 0.3])
    direction, bias, eps = rng.normal(size=(2, n)), rng.normal(size=2), 1e-5

    def at(s: float) -> RowEstimate:
        return row_errors(Rows(G + s * direction, b + s * bias, np.array([0, 1]), noise), features, rtol=1e-3)

    here, plus, minus = at(0.0), at(eps), at(-eps)
    if (plus.nodes != here.nodes).any() or (minus.nodes != here.nodes).any():
        return  # a step or a number of nodes changes just here
    slope = (plus.value - minus.value) / (2 * eps)
    expected = (here.dG * direction).sum(1) + here.db * bias
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-7 * p + 1e-10)


@pytest.mark.parametrize("p", [0.05, 0.6])
def test_eight_features_against_multi_precision(p: float) -> None:
    n = 8
    rng = np.random.default_rng(8)
    G, b = rng.normal(size=(1, n)), np.array([-0.2])
    result = row_errors(Rows(G, b, np.zeros(1, dtype=int), np.zeros(1)), Features(UNIFORM, np.full(n, p)), rtol=1e-9)
    with oracle.mp.workdps(60):
        exact = mpf(0)
        for k in range(2**n):
            active = [j for j in range(n) if k >> j & 1]
            weight = mpf(p) ** len(active) * (1 - mpf(p)) ** (n - len(active))
            exact += weight * oracle.squared_error({j: mpf(float(G[0, j])) for j in active}, mpf(-0.2), 0, "uniform")
    assert abs(result.value[0] - float(exact)) <= result.error[0]
    assert result.error[0] <= 1e-9 * result.value[0]


@pytest.mark.parametrize("b", [-0.7, 0.0, 0.4])
@pytest.mark.parametrize("p", [0.1, 0.9])
def test_unbounded_values_against_partial_fractions(b: float, p: float) -> None:
    c = np.array([0.9, -0.4, 0.3, 0.15])
    features = Features(Exponential(), np.full(4, p))
    result = row_errors(Rows(c[None], np.array([b]), np.zeros(1, dtype=int), np.zeros(1)), features, rtol=1e-7)
    assert abs(result.value[0] - exponential_error(c, b, 0, p)) <= result.error[0]
    assert result.error[0] <= 1e-7 * result.value[0]


def test_the_truncation_is_not_stated_for_nothing() -> None:
    """A twentieth of it would be too little for some rows of few features."""
    worst = 0.0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        G, b = np.outer([1.0, -1.0, 1.0], [1.0, -1.0, 1.0]), -np.array([0.1, 0.5, 0.0])
        p = 10 ** rng.uniform(-2, 0, size=3)
        c = Case(Rows(G, b, np.arange(3), np.zeros(3)), Features(UNIFORM, p), Independent(p), "plain")
        result = row_errors(c.rows, c.features, rtol=1e-4)
        miss = np.maximum(np.abs(result.value - c.exact()[0]) - c.rounding, 0)
        worst = max(worst, float((miss / result.parts.total()).max()))
    assert worst > 0.05


def test_outputs_that_never_switch_are_exact() -> None:
    n = 7
    rows = Rows(np.full((2, n), 1e6), np.array([-8e6, 1e5]), np.array([0, 0]), np.zeros(2))
    result = row_errors(rows, Features(UNIFORM, np.full(n, 0.3)))
    assert result.value[0] == 0.3 / 3
    assert not result.dG[0].any()
    assert result.db[0] == 0
    assert (result.path == "closed").all()


@pytest.mark.parametrize("w", [300.0, 1000.0, 3000.0])
def test_large_equal_weights_know_their_error(w: float) -> None:
    n = 9
    rows = Rows(np.full((1, n), w**2), np.array([-1.1 * n * w**2]), np.zeros(1, dtype=int), np.zeros(1))
    result = row_errors(rows, Features(UNIFORM, np.full(n, 0.5)))
    assert abs(result.value[0] - 0.5 / 3) <= result.error[0]


@pytest.mark.parametrize("part", [1e-3, 1.0])
def test_what_is_enough_is_reached_and_no_more(part: float) -> None:
    """Nearly perfect outputs of a model whose loss others make need few nodes."""
    G = np.array([[1.0, -1.0, 0.03, -0.02], [-1.0, 1.0, 0.01, 0.02], [0.03, 0.01, 0.5, 0.1]])
    b, features = np.array([-3e-4, -2e-5, 1e-3]), Features(UNIFORM, np.full(4, 1e-3))
    exact = row_errors(Rows(G, b, np.arange(3), np.zeros(3)), features, rtol=1e-10)
    enough = part * 1e-4 * np.full(3, exact.value.max())
    strict, lax = (
        row_errors(Rows(G, b, np.arange(3), np.zeros(3), enough=e), features, rtol=1e-7) for e in (None, enough)
    )
    assert (lax.nodes <= strict.nodes).all()
    assert lax.nodes[0] < strict.nodes[0]
    assert (lax.error <= np.maximum(1.01 * 1e-7 * lax.value, enough)).all()
    assert (np.abs(lax.value - exact.value) <= lax.error + exact.error).all()
    scaled = Rows(G, b, np.arange(3), np.zeros(3), enough=enough).scaled(np.full(3, 2.0)).take(np.array([1]))
    assert scaled.enough == 4 * enough[1]
