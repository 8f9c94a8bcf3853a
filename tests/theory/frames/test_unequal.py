"""Features in groups: losses of real arrangements, derivatives, inequalities, and the equal features' own theory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.frames.group_relaxation import Groups, GroupState, _Search, relaxed_groups
from theory.frames.mean_field import CosineLaw
from theory.frames.output_loss import Nodes, OutputField
from theory.frames.prediction import even_frame
from theory.frames.relaxation import even_starts
from theory.frames.unequal import predict_uneven_frame
from theory.model.values import BINARY, UNIFORM, Symmetrised, ValueLaw

# What the weakest barrier and a descent of few steps leave above the minimum.
LEFT_BY_BARRIER = 5e-3
DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("values", [UNIFORM, BINARY, Symmetrised(UNIFORM)], ids=lambda law: law.name)
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_an_output_that_sees_unequal_features_costs_what_it_does(values: ValueLaw, noise: float) -> None:
    """Every other feature with a density and a coupling of its own, against the loss of the real model."""
    rng = np.random.default_rng(3)
    n, m = 9, 3
    W, b, p = rng.standard_normal((m, n)) / 1.5, rng.uniform(-0.6, 0.3, n), rng.uniform(0.01, 0.95, n)
    problem = theory.Problem(n=n, m=m, density=p, values=values)
    exact = theory.loss_estimate(W, b, problem, noise=noise)
    G, total = W.T @ W, 0.0
    for i in range(n):
        other = np.arange(n) != i
        field = OutputField(p[i], p[other], values, noise, float(np.prod(1 - p)))
        total += field.loss(G[i, i], b[i], G[i, other], np.ones(n - 1)).value
    assert_allclose(total, exact.value, atol=exact.error + 1e-6 * float(problem.zero_loss))


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_a_pool_is_the_average_over_who_has_which_coupling(noise: float) -> None:
    """Two dense features, each with one of two couplings by chance: four outputs without pools, averaged."""
    y, part, p = np.array([-0.5, 0.6, -0.2]), np.array([0.3, 0.7]), 0.4
    density, counts = np.array([p, p, 0.1]), np.r_[2 * part, 5]
    pooled = OutputField(0.2, density, UNIFORM, noise, 0.1, np.array([0, 0, 1]))
    nodes = pooled.nodes(1.1, -0.1, y, counts, 1e-8)
    average = 0.0
    for i in (0, 1):
        for j in (0, 1):
            one = OutputField(0.2, np.array([p, p, 0.1]), UNIFORM, noise, 0.1)
            seen = np.array([y[i], y[j], y[2]])
            average += part[i] * part[j] * one.loss(1.1, -0.1, seen, np.array([1.0, 1.0, 5.0]), nodes).value
    found = pooled.loss(1.1, -0.1, y, counts, nodes)
    assert_allclose(found.value, average, rtol=1e-6)
    alone = OutputField(0.2, density, UNIFORM, noise, 0.1).loss(1.1, -0.1, y, counts).value
    assert abs(alone / average - 1) > 1e-3  # powers that are no whole numbers are another thing
    h, x = 1e-5, np.r_[y, counts]

    def loss(x: np.ndarray) -> float:
        return pooled.loss(1.1, -0.1, x[:3], x[3:], nodes).value

    numeric = [(loss(x + h * e) - loss(x - h * e)) / (2 * h) for e in np.eye(6)]
    assert_allclose(np.r_[found.dcouplings, found.dcounts], numeric, rtol=1e-5, atol=1e-8)


def state_of(W: np.ndarray, b: np.ndarray) -> GroupState:
    """Every feature a group of its own."""
    norm = np.linalg.norm(W, axis=0)
    C = (W / norm).T @ (W / norm)
    n = len(b)
    laws = [CosineLaw(np.array([C[i, j] if i != j else 0.0]), np.ones(1)) for i in range(n) for j in range(i, n)]
    return GroupState(norm**2, b, np.ones(n), laws)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_real_arrangement_has_its_own_loss_and_fulfils_the_inequalities(noise: float) -> None:
    rng = np.random.default_rng(0)
    n, m = 7, 3
    W, b, p, weight = rng.standard_normal((m, n)), rng.uniform(-1, 0, n), rng.uniform(0.01, 0.5, n), rng.random(n)
    groups = Groups(p, [np.array([w]) for w in weight], m, UNIFORM, noise)
    search, state = _Search(groups, 6), state_of(W, b)
    value = search.value(state, search.nodes(state))[0]
    problem = theory.Problem(n=n, m=m, density=p, importance=weight)
    exact = theory.loss_estimate(W, b, problem, noise=noise).value
    assert_allclose(value, exact, atol=2e-4 * float(problem.zero_loss))
    S = search.matrices(state)[0]
    assert np.linalg.eigvalsh(S).min() > -1e-9
    wrong = state.laws[1]
    broken = [CosineLaw(np.ones(1), np.ones(1)) if law is wrong else law for law in state.laws]
    assert np.linalg.eigvalsh(search.matrices(GroupState(state.coupling, b, state.stored, broken))[0]).min() < -0.01


def test_a_digon_beside_a_triangle_is_two_groups_that_share_three_dimensions() -> None:
    """Groups of several features: the laws are known, and a common subspace would be one dimension too many."""
    angle = 2 * np.pi * np.arange(3) / 3
    W = np.zeros((3, 5))
    W[0, :2], W[1:, 2:] = (1.1, -1.1), 1.2 * np.array([np.cos(angle), np.sin(angle)])
    b, p, weight = np.r_[-0.1, -0.1, -0.2, -0.2, -0.2], np.r_[0.3, 0.3, 0.05, 0.05, 0.05], np.r_[1, 1, 0.5, 0.5, 0.5]
    groups = Groups(np.array([0.3, 0.05]), [weight[:2], weight[2:]], 3, UNIFORM)
    search, one = _Search(groups, 6), np.ones(1)
    laws = [CosineLaw(np.array([c]), one) for c in (-1.0, 0.0, -0.5)]
    state = GroupState(np.array([1.21, 1.44]), np.array([-0.1, -0.2]), np.array([2.0, 3.0]), laws)
    problem = theory.Problem(n=5, m=3, density=p, importance=weight)
    found = search.value(state, search.nodes(state))[0]
    assert_allclose(found, theory.population_loss(W, b, problem), atol=2e-4 * float(problem.zero_loss))
    S = search.matrices(state)[0]
    assert np.linalg.eigvalsh(S).min() > -1e-9
    assert_allclose(np.linalg.det(S[1]), 0, atol=1e-9)
    narrow = _Search(Groups(groups.density, groups.weights, 2, UNIFORM), 6)
    assert np.linalg.eigvalsh(narrow.matrices(state)[0][1]).min() < -0.1


def test_derivatives_of_loss_and_barrier() -> None:
    groups = Groups(np.array([0.1, 0.02]), [np.array([1.0, 0.9, 0.8]), np.full(10, 0.5)], 4, UNIFORM)
    search, nodes, h = _Search(groups, 6), [Nodes(2.0, 120)] * 2, 1e-5
    x = np.r_[1.1, 1.3, -0.2, -0.5, 2.5, 8.0, -0.5, 0.2, -0.3, 0.1, -0.6, 0.3, 0.3, 0.7, 0.4, 0.6, 0.3, 0.7]

    def state(x: np.ndarray) -> GroupState:
        return GroupState(x[:2], x[2:4], x[4:6], [CosineLaw(x[k : k + 2], x[k + 6 : k + 8]) for k in (6, 8, 10)])

    def flat(slope: dict[str, Any]) -> np.ndarray:
        return np.r_[slope.get("g", np.zeros(2)), slope.get("b", np.zeros(2)), slope["k"], *slope["c"], *slope["w"]]

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, _, slope = search.value(state(x), nodes)
        return value, flat(slope)

    def barrier(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = search.barrier(state(x), 0.5)
        return value, flat(slope)

    for function in (loss, barrier):
        numeric = np.array([(function(x + h * e)[0] - function(x - h * e)[0]) / (2 * h) for e in np.eye(len(x))])
        assert_allclose(function(x)[1], numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_equal_features_in_two_groups_are_an_even_frame() -> None:
    """The laws may differ from group to group, but at the optimum nothing is gained by that."""
    equal = even_frame(42, 8, 0.05)
    groups = Groups(np.full(2, 0.05), [np.ones(14), np.ones(28)], 8, UNIFORM)
    g, b, law = even_starts(42.0, 8)[0]
    found = relaxed_groups(groups, GroupState(np.full(2, g), np.full(2, b), groups.sizes, [law] * 3))
    assert found.violation < 1e-9
    assert_allclose(found.loss, equal.loss, rtol=LEFT_BY_BARRIER)
    assert_allclose(found.stored, groups.sizes, rtol=0.01)
    assert_allclose(found.coupling, equal.norm**2, atol=0.03)
    assert_allclose(found.bias, equal.bias, atol=0.02)


@pytest.mark.slow
def test_dense_features_are_stored_by_their_worth() -> None:
    """Where all are active the model is linear, and what is left out costs its variance."""
    importance = 0.7 ** np.arange(20)
    found = predict_uneven_frame(theory.Problem(n=20, m=5, density=1.0, importance=importance), groups=5)
    assert_allclose(found.loss, importance[5:].sum() / 12, rtol=LEFT_BY_BARRIER)
    assert_allclose(found.stored.sum(), 5, atol=0.05)
    assert_allclose(found.dimensionality[0], 1, atol=0.02)


@pytest.mark.full
def test_a_power_law_beside_a_descended_model() -> None:
    """The table of docs/derivations.md."""
    model = theory.load_result(DOCS / "uneven_frame_n400.nc")
    W, b, density = (model[name].values for name in ("W", "b", "density"))
    problem = theory.Problem(n=400, m=30, density=density)
    found = predict_uneven_frame(problem)
    assert_allclose(theory.loss_estimate(W, b, problem, rtol=1e-4).value, 0.1682, atol=5e-5)
    assert_allclose(found.loss, 0.1516, atol=5e-4)
    groups = np.split(np.arange(400), np.cumsum(found.sizes).astype(int)[:-1])
    norms = np.array([np.linalg.norm(W[:, some], axis=0).mean() for some in groups])
    biases = np.array([b[some].mean() for some in groups])
    assert_allclose(found.sizes, [2, 5, 12, 35, 93, 253])
    assert_allclose(norms, [1.009, 1.061, 1.127, 1.194, 1.248, 1.283], atol=1e-3)
    assert_allclose(biases, [-0.015, -0.113, -0.257, -0.432, -0.604, -0.755], atol=1e-3)
    assert_allclose(found.norm, [1.008, 1.046, 1.103, 1.180, 1.240, 1.293], atol=5e-3)
    assert_allclose(found.bias, [-0.017, -0.084, -0.205, -0.391, -0.558, -0.720], atol=5e-3)


@pytest.mark.slow
def test_dense_features_do_not_buy_rare_ones_losses_below_any() -> None:
    """Fractions of a dense feature belong to no law of outputs; their losses could be negative."""
    density = 0.5 / np.arange(1, 61)
    problem = theory.Problem(n=60, m=8, density=density)
    found = predict_uneven_frame(problem, groups=4)
    W, b = np.zeros((8, 60)), np.maximum(density * 0.5, 0)
    W[:, :8], b[:8] = np.eye(8), 0
    assert 0.3 * theory.loss_estimate(W, b, problem).value < found.loss < theory.loss_estimate(W, b, problem).value
    assert found.dimensionality[0] > 0.1  # the densest share their dimensions least


@pytest.mark.full
@pytest.mark.parametrize(("p", "above"), [(1, 0.0), (0.3, 0.041), (0.1, -0.023), (0.03, 0.017), (0.01, 0.148)])
def test_decaying_importances_beside_the_best_known(p: float, above: float) -> None:
    """The percentages of docs/derivations.md."""
    known = theory.load_result(DOCS / f"best_known/best_known_n20_m5_r0.7_p{p:g}.nc")
    problem = theory.Problem(n=20, m=5, density=p, importance=0.7 ** np.arange(20))
    best = theory.population_loss(known["W"].values, known["b"].values, problem)
    assert_allclose(predict_uneven_frame(problem).loss / best - 1, above, atol=2e-3)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        predict_uneven_frame(theory.Problem(n=4, m=1, density=0.1))
    with pytest.raises(ValueError, match="groups must be"):
        predict_uneven_frame(theory.Problem(n=4, m=2, density=0.1), groups=0)
    with pytest.raises(ValueError, match="no terms but noise"):
        predict_uneven_frame(theory.Problem(n=4, m=2, density=0.1, terms=theory.Terms(noise=0.1, decay=0.1)))
    with pytest.raises(ValueError, match="independent features"):
        predict_uneven_frame(theory.Problem(n=4, m=2, density=0.1, activation="linear"))
