"""Optima of problems with terms, against minimisations that share nothing with them."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr

from theory import Problem, Terms, global_optimum, optimise, population_loss, stability_of
from theory.optimum.local_minima import random_starts, refine

NODES, WEIGHTS = np.polynomial.legendre.leggauss(80)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2


def noisy_digon(w, b, p, sigma, decay):
    """Loss of the pair (w, -w) with biases b, by Gauss quadrature over both values."""

    def error(x, z):
        s = sigma * abs(w)
        tail, bell = ndtr(z / s), np.exp(-((z / s) ** 2) / 2) / np.sqrt(2 * np.pi)
        return x * x - 2 * x * (z * tail + s * bell) + (z * z + s * s) * tail + z * s * bell

    u, v = NODES[:, None], NODES[None, :]
    none, own = error(0.0, b), WEIGHTS @ error(NODES, w * w * NODES + b)
    other = WEIGHTS @ error(0.0 * NODES, -w * w * NODES + b)
    both = WEIGHTS @ error(u + 0 * v, w * w * (u - v) + b) @ WEIGHTS
    q = 1 - p
    return 2 * (q * q * none + p * q * (own + other) + p * p * both) + decay * w * w


@pytest.mark.parametrize(("sigma", "decay"), [(0.1, 0.0), (0.3, 0.02), (0.05, 0.1)])
def test_a_digon_with_noise_and_decay(sigma, decay):
    problem = Problem(n=2, m=1, density=0.2, terms=Terms(noise=sigma, decay=decay))
    options = {"xatol": 1e-9, "fatol": 1e-15}
    found = minimize(
        lambda x: noisy_digon(x[0], x[1], 0.2, sigma, decay), [1.0, 0.0], method="Nelder-Mead", options=options
    )
    best = optimise(problem, "digon")
    assert best.converged, best.message
    assert best.loss == pytest.approx(found.fun, rel=1e-8)
    assert np.abs(best.W) == pytest.approx(abs(found.x[0]), abs=1e-5)
    assert best.b == pytest.approx(found.x[1], abs=1e-5)


def test_decay_balances_a_free_decoder():
    """At every stationary point of a loss of W_out W with equal decay, W_out^T W_out = W W^T."""
    problem = Problem(n=4, m=2, density=0.2, importance=[1, 0.9, 0.8, 0.7], terms=Terms(decoder="untied", decay=0.01))
    W, b = random_starts(problem, 6, np.random.default_rng(0))
    found = refine(problem.repeated(6), W, b, W_out=np.random.default_rng(1).standard_normal((6, 4, 2)))
    assert found.converged.all()
    assert found.W_out.swapaxes(1, 2) @ found.W_out == pytest.approx(found.W @ found.W.swapaxes(1, 2), abs=1e-5)


@pytest.mark.slow
def test_a_free_decoder_does_better():
    tied = optimise(Problem(n=2, m=1, density=0.1), "digon")
    problem = Problem(n=2, m=1, density=0.1, terms=Terms(decoder="untied"))
    best = global_optimum(problem)
    assert best.loss < tied.loss * 0.95
    assert best.geometry == "digon"
    assert best.W_out.shape == (2, 1)
    assert population_loss(best.W, best.b, problem, W_out=best.W_out) == pytest.approx(best.loss, rel=1e-9)
    assert best.stability == "minimum"


KINDS = (Terms(noise=0.1), Terms(decoder="untied", decay=0.02), Terms(bias=0), Terms(unit_norms=True))


@pytest.mark.parametrize("terms", [pytest.param(KINDS[0], marks=pytest.mark.slow), *KINDS[1:]], ids=repr)
def test_an_optimised_geometry_is_the_best_found(terms):
    problem = Problem(n=2, m=1, density=0.05, terms=terms)
    one, best = optimise(problem, "digon"), global_optimum(problem)
    assert one.converged
    assert best.status == "repeated"
    assert best.converged
    assert one.loss == pytest.approx(best.loss, rel=1e-8)
    assert one.stability == "minimum"


def test_constraints_hold_at_the_optimum():
    best = optimise(Problem(n=5, m=2, density=0.05, terms=Terms(unit_norms=True, bias=-0.1)), "pentagon")
    assert np.linalg.norm(best.W, axis=0) == pytest.approx(1)
    assert (best.b == -0.1).all()


@pytest.mark.slow
def test_an_l1_penalty_turns_features_to_the_axes():
    problem = Problem(n=3, m=2, density=0.1, importance=[1, 0.9, 0.8], terms=Terms(l1=0.02))
    best = global_optimum(problem, starts=28)
    assert best.converged, best.message
    assert (best.W == 0).sum() == 3  # an antipodal pair on one axis, a feature on the other
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2):
        V, c = best.W + size * rng.standard_normal((200, 2, 3)), best.b + size * rng.standard_normal((200, 3))
        assert population_loss(V, c, problem).min() > best.loss


@pytest.mark.parametrize(("term", "message"), [({"noise": 0.1}, "noise"), ({"l1": 0.1}, "L1")])
def test_what_has_no_optimum_is_refused(term, message):
    problem = Problem(n=2, m=1, density=0.1, terms=Terms(decoder="untied", **term))
    with pytest.raises(ValueError, match=f"{message}.* has no optimum"):
        global_optimum(problem)
    # and it has none: along the change of scale the loss falls
    W, V, b = np.array([[1.0, -1.0]]), np.array([[1.0], [-1.0]]), np.zeros(2)
    c = 10.0 if "noise" in term else 0.1
    losses = [population_loss(c**k * W, b, problem, W_out=V / c**k) for k in range(4)]
    assert (np.diff(losses) < 0).all()


def test_features_that_are_left_out_have_no_unit_norm():
    with pytest.raises(ValueError, match="unit_norms"):
        optimise(Problem(n=3, m=1, density=0.1, terms=Terms(unit_norms=True)), "digon")


def test_a_saddle_with_noise_is_one():
    problem = Problem(n=2, m=1, density=0.05, terms=Terms(noise=0.1))
    found = stability_of(np.zeros((1, 2)), problem.features.mean, problem)
    assert found.kind in ("saddle", "flat")
