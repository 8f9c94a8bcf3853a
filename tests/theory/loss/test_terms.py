"""The loss with a decoder of its own, noise and penalties, against routes that share nothing with it."""

import itertools
import math
import warnings

import numpy as np
import pytest
from mpmath import mp, mpf
from numpy.testing import assert_allclose
from scipy.integrate import nquad
from scipy.special import ndtr

from theory import (
    AccuracyWarning,
    Correlated,
    Problem,
    Terms,
    hessian,
    loss_estimate,
    population_loss,
    population_loss_and_gradient,
)
from theory.loss.objective import Objective
from theory.loss.terms import hidden_l1

ALL = (
    Terms(noise=0.3),
    Terms(noise=1e-3),
    Terms(decay=0.1),
    Terms(l1=0.2),
    Terms(decoder="untied"),
    Terms(decoder="untied", noise=0.2, decay=0.1, l1=0.05),
)


def drawn(n, m, terms, seed=0, values="uniform"):
    """A problem of unequal features, and a model that is no optimum."""
    rng = np.random.default_rng(seed)
    p, weight = rng.uniform(0.05, 0.9, n), rng.uniform(0.5, 2, n)
    problem = Problem(n=n, m=m, density=p, importance=weight, values=values, terms=terms)
    W, b = 0.7 * rng.standard_normal((m, n)), 0.2 * rng.standard_normal(n)
    W_out = None if terms.tied else 0.7 * rng.standard_normal((n, m))
    return problem, W, b, W_out


def noisy_square(x, z, v):
    """E (x - ReLU(z + N(0, v)))^2 in multi-precision."""
    if v == 0:
        return (x - max(z, 0)) ** 2
    s = mp.sqrt(v)
    tail, bell = mp.ncdf(z / s), mp.npdf(z / s)
    first, second = z * tail + s * bell, (z * z + v) * tail + z * s * bell
    return x * x - 2 * x * first + second


def enumerated(problem, W, b, W_out):
    """The loss for values of 0 and 1, pattern by pattern."""
    terms, (m, n) = problem.terms, W.shape
    V = W.T if W_out is None else W_out
    with mp.workdps(40):
        W_, V_ = ([[mpf(float(x)) for x in row] for row in A] for A in (W, V))
        total = mpf(terms.decay) / 2 * sum(x * x for row in W_ for x in row)
        if W_out is not None:
            total += mpf(terms.decay) / 2 * sum(x * x for row in V_ for x in row)
        for active in itertools.product((0, 1), repeat=n):
            weight = mpf(1)
            for j in range(n):
                p = mpf(float(problem.density[j]))
                weight *= p if active[j] else 1 - p
            hidden = [sum(W_[d][j] for j in range(n) if active[j]) for d in range(m)]
            loss = mpf(terms.l1) * sum(abs(h) for h in hidden)
            for i in range(n):
                z = mpf(float(b[i])) + sum(V_[i][d] * hidden[d] for d in range(m))
                v = mpf(terms.noise) ** 2 * sum(x * x for x in V_[i])
                loss += mpf(float(problem.importance[i])) * noisy_square(active[i], z, v)
            total += weight * loss
        return float(total)


@pytest.mark.parametrize("terms", ALL, ids=repr)
@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (5, 3)])
def test_values_of_one_agree_with_multi_precision_enumeration(n, m, terms):
    problem, W, b, W_out = drawn(n, m, terms, seed=n, values="binary")
    exact = enumerated(problem, W, b, W_out)
    found = loss_estimate(W, b, problem, W_out, rtol=1e-11)
    assert abs(found.value - exact) <= found.error + 1e-14
    with warnings.catch_warnings():  # atoms that noise hardly blurs are known to the error that is stated
        warnings.simplefilter("ignore", AccuracyWarning)
        loss = population_loss(W, b, problem, rtol=1e-11, W_out=W_out)
    assert loss == pytest.approx(exact, rel=1e-9 if terms.noise != 1e-3 else 1e-6)


def noisy_float(x, z, v):
    s = math.sqrt(v)
    tail, bell = ndtr(z / s), math.exp(-z * z / (2 * v)) / math.sqrt(2 * math.pi)
    return x * x - 2 * x * (z * tail + s * bell) + (z * z + v) * tail + z * s * bell


@pytest.mark.parametrize("terms", [Terms(noise=0.3), Terms(decoder="untied", noise=0.2, l1=0.05)], ids=repr)
def test_uniform_values_agree_with_cubature(terms):
    problem, W, b, W_out = drawn(3, 2, terms, seed=4)
    V = W.T if W_out is None else W_out
    v, n = terms.noise**2 * (V**2).sum(1), 3
    total = 0.0
    for active in itertools.product((False, True), repeat=n):
        weight = float(np.prod(np.where(active, problem.density, 1 - problem.density)))

        def integrand(*u, active=active):
            x = np.zeros(n)
            x[np.array(active)] = u
            z = V @ (W @ x) + b
            square = sum(problem.importance[i] * noisy_float(x[i], z[i], v[i]) for i in range(n))
            return square + terms.l1 * np.abs(W @ x).sum()

        box = [(0.0, 1.0)] * sum(active)
        total += weight * (nquad(integrand, box, opts={"epsabs": 1e-7})[0] if box else integrand())
    assert population_loss(W, b, problem, W_out=W_out) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("terms", [Terms(noise=0.3), ALL[-1]], ids=repr)
@pytest.mark.parametrize(("n", "m"), [(12, 4), (60, 10)])
def test_many_features_agree_with_samples(n, m, terms):
    problem, W, b, W_out = drawn(n, m, terms, seed=1)
    V = W.T if W_out is None else W_out
    rng, losses = np.random.default_rng(2), []
    for _ in range(60):
        x = (rng.random((5000, n)) < problem.density) * rng.random((5000, n))
        h = x @ W.T
        y = np.maximum((h + terms.noise * rng.standard_normal(h.shape)) @ V.T + b, 0)
        losses.append((x - y) ** 2 @ problem.importance + terms.l1 * np.abs(h).sum(1))
    flat = np.concatenate(losses)
    penalty = terms.decay / 2 * ((W**2).sum() + (0 if W_out is None else (W_out**2).sum()))
    exact, error = population_loss(W, b, problem, W_out=W_out), flat.std() / math.sqrt(flat.size)
    assert abs(exact - flat.mean() - penalty) < 4 * error < 0.01 * exact


@pytest.mark.parametrize(
    "terms", [*ALL, Terms(unit_norms=True, noise=0.1), Terms(bias=-0.1, decoder="untied")], ids=repr
)
@pytest.mark.parametrize("n", [3, 8])
def test_gradients_agree_with_differences(n, terms):
    problem, W, b, W_out = drawn(n, 2, terms, seed=7)
    objective = Objective(problem, 1e-11, exact=True)
    x = objective.join(W, b, W_out)
    loss, slope = objective(x[None])
    rng, h = np.random.default_rng(0), 1e-5
    for v in rng.standard_normal((3, objective.size)):
        up, down = objective(np.stack([x + h * v, x - h * v]))[0]
        assert (up - down) / (2 * h) == pytest.approx(slope[0] @ v, rel=1e-5, abs=1e-7 * loss[0])
    parameters = objective.split(x)
    assert population_loss(*parameters[:2], problem, W_out=parameters[2], rtol=1e-11) == pytest.approx(
        loss[0], rel=1e-9
    )


def test_a_hessian_is_the_gradients_derivative():
    problem, W, b, W_out = drawn(3, 2, Terms(decoder="untied", noise=0.2, decay=0.1))
    H = hessian(W, b, problem, W_out)
    assert H.shape == (15, 15)
    assert pytest.approx(H.T) == H
    objective = Objective(problem, 1e-11)
    x, v, h = objective.join(W, b, W_out), np.random.default_rng(1).standard_normal(15), 1e-4
    up, down = objective(np.stack([x + h * v, x - h * v]))[1]
    assert H @ v == pytest.approx((up - down) / (2 * h), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("correlated", [False, True])
def test_an_untied_decoder_that_is_the_transpose_changes_nothing(n, correlated):
    features = {"features": Correlated([range(2), range(2, n)], [0.2, 0.4])} if correlated else {"density": 0.2}
    plain = Problem(n=n, m=2, **features)
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((2, n)), 0.1 * rng.standard_normal(n)
    loss, dW, db = population_loss_and_gradient(W, b, plain)
    free = population_loss_and_gradient(W, b, plain.with_terms(decoder="untied"), W_out=W.T)
    assert free[0] == pytest.approx(loss, rel=1e-13)
    assert free[1] + free[3].T == pytest.approx(dW, rel=1e-11)
    assert free[2] == pytest.approx(db, rel=1e-12)


def test_the_blockwise_loss_of_many_features_is_the_same():
    problem, W, b, W_out = drawn(210, 6, Terms(decoder="untied", noise=0.1, decay=0.01, l1=0.02), seed=5)
    one = population_loss_and_gradient(W, b, problem, W_out=W_out)
    batch = population_loss_and_gradient(W[None], b[None], problem, W_out=W_out[None])
    for single, several in zip(one, batch, strict=True):
        assert np.asarray(single) == pytest.approx(several[0], rel=1e-5, abs=1e-6)


def test_a_batch_of_problems_with_noise_has_its_own_densities():
    density = np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])
    batch = Problem(m=2, density=density, terms=Terms(noise=0.2, l1=0.1))
    rng = np.random.default_rng(6)
    W, b = rng.standard_normal((2, 2, 3)), np.zeros((2, 3))
    singles = [population_loss(W[k], b[k], Problem(m=2, density=density[k], terms=batch.terms)) for k in range(2)]
    assert population_loss(W, b, batch) == pytest.approx(singles, rel=1e-9)


def test_a_noisy_linear_model_has_a_closed_form():
    problem = Problem(n=2, m=1, density=0.3, activation="linear", terms=Terms(noise=0.4))
    W, b = np.array([[0.8, -0.5]]), np.zeros(2)
    noiseless = population_loss(W, b, Problem(n=2, m=1, density=0.3, activation="linear"))
    assert population_loss(W, b, problem) == pytest.approx(noiseless + 0.4**2 * (W**2).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("terms", "arguments", "message"),
    [
        (Terms(decoder="untied"), {}, "give W_out"),
        (Terms(), {"W_out": np.ones((2, 1))}, "leave out W_out"),
        (Terms(decoder="untied"), {"W_out": np.ones((1, 2))}, r"shape \(n, m\)"),
        (Terms(bias=0.5), {}, "b is another"),
        (Terms(unit_norms=True), {}, "length 1"),
    ],
)
def test_parameters_that_are_not_what_the_terms_prescribe_are_refused(terms, arguments, message):
    with pytest.raises(ValueError, match=message):
        population_loss([[0.5, -1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1, terms=terms), **arguments)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"noise": -1}, ValueError),
        ({"noise": math.nan}, ValueError),
        ({"decay": math.inf}, ValueError),
        ({"l1": "much"}, TypeError),
        ({"decoder": "free"}, ValueError),
        ({"bias": [[0.0]]}, ValueError),
        ({"bias": "none"}, TypeError),
        ({"bias": math.nan}, ValueError),
        ({"unit_norms": 1}, TypeError),
    ],
)
def test_bad_terms_are_refused_in_a_line(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))) as refusal:
        Terms(**arguments)
    assert error is TypeError or "\n" not in str(refusal.value)  # the type checker of tests has more to say


def test_a_problem_checks_its_terms():
    with pytest.raises(ValueError, match="3 biases, but there are 2"):
        Problem(n=2, m=1, density=0.1, terms=Terms(bias=(0, 0, 0)))
    with pytest.raises(TypeError, match="Terms"):
        Problem(n=2, m=1, density=0.1, terms={"noise": 0.1})


@pytest.mark.parametrize("values", ["binary", "discrete:1@0.25,3@0.75", "discrete:-1@0.5,1@0.5"])
@pytest.mark.parametrize("n", [3, 5])
def test_the_l1_penalty_of_discrete_values_has_the_slope_of_its_piece(values: str, n: int) -> None:
    """Between kinks, which lie close together, the penalty is linear: its slope is exact and does not change."""
    rng = np.random.default_rng(n)
    problem = Problem(n=n, m=2, density=0.3, values=values)
    W = rng.normal(size=(2, n))
    places = np.array([0.0, *(v for v, _ in problem.features.values.atoms)])
    shares = np.array([0.7, *(0.3 * q for _, q in problem.features.values.atoms)])
    states = np.array(list(itertools.product(range(len(places)), repeat=n)))
    x, chance = places[states], shares[states].prod(1)
    h = x @ W.T
    size, error, slope, _ = hidden_l1(W, problem)
    reference = float(chance @ np.abs(h).sum(1))
    assert abs(size - reference) <= error
    assert_allclose(slope, (chance[:, None] * np.sign(h)).T @ x, rtol=1e-13, atol=1e-13)
    step = 1e-9 * np.abs(h[h != 0]).min() * W
    assert_allclose(hidden_l1(W + step, problem)[2], slope, rtol=1e-13, atol=1e-13)


def test_the_l1_penalty_of_discrete_values_at_a_kink() -> None:
    """Two opposite features that cancel when both are active: that state has no part in the slope, in a batch too."""
    problem = Problem(n=2, m=1, density=np.array([[0.3, 0.3], [0.5, 0.5]]), values="binary")
    _, _, slope, _ = hidden_l1(np.full((2, 1, 2), [0.1, -0.1]) * 3, problem)
    assert_allclose(slope[:, 0], [[0.21, -0.21], [0.25, -0.25]], rtol=1e-13)


@pytest.mark.parametrize("values", ["uniform", "scipy:lognorm,1.0", "scipy:t,6"])
def test_linear_outputs_need_moments_only(values: str) -> None:
    """Noise, and tails without exponential moment, are no matter; the estimate says what the loss does."""
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(2, 3)), rng.normal(size=3) / 10
    for noise in (0.0, 0.1):
        problem = Problem(n=3, m=2, density=0.3, values=values, activation="linear", terms=Terms(noise=noise))
        found = loss_estimate(W, b, problem)
        loss = population_loss(W, b, problem)
        assert abs(found.value - loss) <= found.error + 1e-14 * loss
        plain = problem.with_terms(noise=0.0)
        assert loss == pytest.approx(population_loss(W, b, plain) + noise**2 * ((W.T @ W) * np.eye(3)).sum(), rel=1e-12)
