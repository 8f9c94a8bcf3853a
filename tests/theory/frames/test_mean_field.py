"""The loss of an output whose cosines are known by their law, against exact losses of real frames and a root finder."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy import ndarray
from numpy.testing import assert_allclose

import theory
from tests.records import Exponential
from theory.frames.mean_field import CosineLaw, MeanField, Nodes
from theory.model.values import BINARY, UNIFORM, Symmetrised, ValueLaw

# Losses are asked for to this part of the zero model's, the exact ones to 1e-7 of themselves.
ASKED = 1e-7
LAWS = [UNIFORM, BINARY, Symmetrised(UNIFORM), Exponential()]


def frame(n: int, m: int, seed: int) -> ndarray:
    """Random directions."""
    U = np.random.default_rng(seed).standard_normal((m, n))
    return np.asarray(U / np.linalg.norm(U, axis=0))


def own_cosines(U: ndarray, g: float, b: float, field: MeanField) -> float:
    """The mean field of every feature with its own cosines, summed."""
    G = U.T @ U
    return sum(field.loss(g, b, CosineLaw.of(G[i], i)).value for i in range(len(G)))


@settings(max_examples=40)  # of all loss evaluations here these take longest
@example(8, 2, 0.76171875, 1.657440048074277, -0.78125, BINARY, 0.0, 2)  # doubling once changes nothing by accident
@given(
    st.integers(2, 14), st.integers(2, 6), st.floats(0.005, 1.0), st.floats(0.3, 2.5), st.floats(-1.2, 0.4),
    st.sampled_from(LAWS), st.sampled_from([0.0, 0.15]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_real_frames_loss_is_the_mean_field_with_its_own_cosines(
    n: int, m: int, p: float, g: float, b: float, values: ValueLaw, noise: float, seed: int
) -> None:
    U = frame(n, m, seed)
    found = own_cosines(U, g, b, MeanField(p, n - 1.0, values, noise))
    problem = theory.Problem(n=n, m=m, density=p, values=values)
    exact = theory.loss_estimate(np.sqrt(g) * U, np.full(n, b), problem, noise=noise)
    # Doubling the nodes changed each row by less than ASKED of p E u^2; atoms leave a slowly falling tail, hence 10.
    assert_allclose(found, exact.value, atol=exact.error + 10 * ASKED * problem.zero_loss)


@pytest.mark.slow
@pytest.mark.parametrize(("p", "exact"), [(0.3, 7.67198), (0.1, 2.29855), (0.03, 0.41210)])
def test_a_tight_frame_of_128_in_32_costs_what_is_known(p: float, exact: float) -> None:
    """Values of a document, whose frame is not given: another one costs nearly the same."""
    from scipy.optimize import minimize

    U = frame(128, 32, 0)
    for _ in range(400):  # alternate between equal norms and tightness
        left, _, right = np.linalg.svd(U, full_matrices=False)
        U = 2 * left @ right
        U = U / np.linalg.norm(U, axis=0)
    G = U.T @ U
    pooled = CosineLaw(*(lambda c: (c, np.full(len(c), 1 / len(c))))(np.sort(G[np.triu_indices(128, 1)])[::4]))
    field = MeanField(p, 127.0)
    nodes = field.nodes(1.2, -0.2, pooled, 1e-6)
    best = minimize(lambda x: field.loss(x[0], x[1], pooled, nodes).value, [1.0, -0.1], method="Nelder-Mead").x
    loss = theory.loss_estimate(np.sqrt(best[0]) * U, np.full(128, best[1]), theory.Problem(n=128, m=32, density=p))
    assert_allclose(loss.value, exact, rtol=0.04)
    # Row by row the field is exact; the pooled law leaves out that sums of cosines differ from row to row.
    assert_allclose(own_cosines(U, best[0], best[1], field), loss.value, rtol=1e-5)
    assert 128 * field.loss(best[0], best[1], pooled).value < loss.value


@pytest.mark.parametrize("values", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_derivatives_are_those_of_the_discrete_loss(values: ValueLaw, noise: float) -> None:
    field, nodes, h = MeanField(0.07, 37.5, values, noise), Nodes(0.3, 80), 1e-5
    x = np.array([1.2, -0.2, 0.3, -0.1, -0.6, 0.5, 0.3, 0.2])

    def loss(x: ndarray) -> float:
        return field.loss(x[0], x[1], CosineLaw(x[2:5], x[5:]), nodes).value

    found = field.loss(x[0], x[1], CosineLaw(x[2:5], x[5:]), nodes)
    analytic = np.r_[found.dg, found.db, found.dcosines, found.dweights]
    numeric = [(loss(x + h * e) - loss(x - h * e)) / (2 * h) for e in np.eye(8)]
    assert_allclose(analytic, numeric, atol=3e-8)


def test_the_loss_does_not_depend_on_how_many_numbers_are_handled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    law, field = CosineLaw(np.array([-0.5, 0.2]), np.array([0.3, 0.7])), MeanField(0.9, 20.0)
    whole = field.loss(1.0, -0.1, law, Nodes(0.4, 100)).value
    monkeypatch.setattr("theory.frames.output_loss._BLOCK", 20)
    assert_allclose(field.loss(1.0, -0.1, law, Nodes(0.4, 100)).value, whole, rtol=1e-12)


@pytest.mark.parametrize("values", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("p", [0.6, 0.9, 1.0])
def test_fractions_of_dense_features_are_followed_from_node_to_node(values: ValueLaw, p: float) -> None:
    """Their transforms wind around 0, and powers that are not whole depend on how often: no step may lose count."""
    law = CosineLaw(np.array([0.0, 0.116, 0.968, 0.993]), np.array([0.562, 0.379, 0.021, 0.038]))
    field = MeanField(p, 4.0, values)
    log, g = field._output(law)._log, 0.76
    nodes = field.nodes(g, -0.05, law)

    def logarithms(step: float, count: int) -> ndarray:
        t = (np.arange(count) + 0.5) * step
        return log(p * (values.transforms(t[:, None] * g * law.cosines, 1)[0] - 1))

    assert_allclose(logarithms(nodes.step, nodes.count), logarithms(nodes.step / 9, 9 * nodes.count)[4::9], atol=1e-9)
