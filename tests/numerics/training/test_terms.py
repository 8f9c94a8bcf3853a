"""The trainer on problems with terms, against the exact loss and its optima."""

import numpy as np
import pytest

from numerics import Parameters, loss_and_gradient, sample, train
from numerics.agreement.verdicts import CONVERGED
from theory import Problem, Terms, optimise, population_loss
from theory.optimum.local_minima import refine

ALL = (
    Terms(noise=0.2),
    Terms(decay=0.05),
    Terms(l1=0.05),
    Terms(decoder="untied"),
    Terms(bias=-0.05),
    Terms(unit_norms=True),
    Terms(decoder="untied", noise=0.2, decay=0.01, l1=0.01, bias=0, unit_norms=True),
)


@pytest.mark.parametrize("terms", ALL, ids=repr)
def test_the_trainers_loss_is_the_exact_one(terms):
    problem = Problem(n=3, m=2, density=0.3, importance=[1, 0.8, 0.5], terms=terms)
    learned = train(problem, instances=2, steps=60, progress=False, seed=3)
    W_out = learned["W_out"].values if "W_out" in learned else None
    exact = population_loss(learned["W"].values, learned["b"].values, problem, W_out=W_out)
    assert (np.abs(learned["loss"].values - exact) < 4 * learned["loss_standard_error"].values).all()
    assert (4 * learned["loss_standard_error"].values < 0.05 * exact).all()
    if terms.unit_norms:
        assert np.linalg.norm(learned["W"].values, axis=1) == pytest.approx(1, abs=1e-6)
    if terms.bias is not None:
        assert (learned["b"].values == np.float32(terms.bias)).all()


def test_gradients_with_noise_and_penalty_agree_with_differences():
    rng = np.random.default_rng(0)
    x = rng.random((1, 50, 4)) * (rng.random((1, 50, 4)) < 0.5)
    noise = rng.standard_normal((1, 50, 2))
    W, b, V = (rng.standard_normal(shape) for shape in ((1, 2, 4), (1, 4), (1, 4, 2)))
    for model, parts in (("relu", (W, b)), ("untied", (W, b, V))):
        from numerics.models import Model

        kind = model if model == "relu" else Model("untied", tied=False)

        def loss(values, kind=kind):
            return loss_and_gradient(Parameters(*values), x, np.ones((1, 4)), kind, noise, 0.3)

        gradient = loss(parts)[1]
        for k, part in enumerate(parts):
            v, h = rng.standard_normal(part.shape), 1e-6
            moved = [[p + s * h * v if j == k else p for j, p in enumerate(parts)] for s in (1, -1)]
            slope = (loss(moved[0])[0] - loss(moved[1])[0]) / (2 * h)
            assert slope[0] == pytest.approx((gradient[k] * v).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "terms", [Terms(noise=0.1), Terms(decoder="untied", decay=0.01), Terms(unit_norms=True)], ids=repr
)
def test_training_ends_at_an_exact_minimum(terms):
    problem = Problem(n=2, m=1, density=0.3, importance=[1, 0.8], terms=terms)
    learned = train(problem, instances=2, steps=1500, learning_rate=1e-2, progress=False)
    W, b = learned["W"].values.astype(float), learned["b"].values.astype(float)
    W_out = learned["W_out"].values.astype(float) if "W_out" in learned else None
    nearest = refine(problem.repeated(2), W, b, W_out=W_out)
    assert population_loss(W, b, problem, W_out=W_out) == pytest.approx(nearest.loss, rel=CONVERGED)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_decay_in_the_gradient_rests_at_the_optimum_and_decoupled_decay_does_not(optimiser):
    plain = Problem(n=2, m=1, density=0.1)
    decayed = plain.with_terms(decay=0.02)
    rate, more = (0.1 if optimiser == "sgd" else 1e-2), ({"weight_decay": 0.02} if optimiser == "adamw" else {})
    start = (np.array([[0.8, -0.8]]), np.zeros(2))
    problem = plain if optimiser == "adamw" else decayed
    learned = train(
        problem, instances=16, steps=4000, optimiser=optimiser, learning_rate=rate, precision="float64", init=start,
        progress=False, **more,
    )  # fmt: skip

    def away(best):
        W, b = np.abs(learned["W"].values - np.sign(learned["W"].values) * np.abs(best.W)), learned["b"].values - best.b
        return np.median(np.sqrt((W**2).sum((1, 2)) + (b**2).sum(1)))

    with_decay, without = away(optimise(decayed, "digon")), away(optimise(plain, "digon"))
    near, far = (without, with_decay) if optimiser == "adamw" else (with_decay, without)
    assert near < 3e-3
    assert far == pytest.approx(0.13, rel=0.03)


def test_what_contradicts_the_terms_is_refused():
    problem = Problem(n=2, m=1, density=0.1, terms=Terms(decoder="untied", bias=0.1))
    with pytest.raises(ValueError, match="tied weights"):
        train(problem, model="relu", steps=1)
    with pytest.raises(ValueError, match="does not keep"):
        train(problem, init=(np.ones((1, 2)), np.zeros(2), np.ones((2, 1))), steps=1)
    with pytest.raises(ValueError, match=r"relu_hidden.*noise"):
        train(Problem(n=2, m=1, density=0.1, terms=Terms(noise=0.1)), model="relu_hidden", steps=1)


def test_noise_is_the_same_for_the_same_seed():
    problem = Problem(n=2, m=1, density=0.3, terms=Terms(noise=0.2))
    one, two, other = (train(problem, instances=2, steps=20, seed=seed, progress=False) for seed in (1, 1, 2))
    assert np.array_equal(one["W"], two["W"])
    assert not np.array_equal(one["W"], other["W"])


def test_samples_are_as_before():
    """A problem without terms is trained through the fast kernels, with the random numbers it always had."""
    problem = Problem(n=2, m=1, density=0.3)
    assert np.array_equal(
        train(problem, instances=1, steps=30, progress=False)["W"],
        train(problem.with_terms(noise=0.0), instances=1, steps=30, progress=False)["W"],
    )
    assert sample(problem.features, 3, np.random.default_rng(0)).shape == (3, 2)
