"""A sample of the pairs of laws; ``python -m tests.laws`` measures all of them."""

import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose
from scipy import stats

from tests.laws.__main__ import page
from tests.laws.measure import PAIRS, SETS, VALUES, Status, enumerated_loss, model, pair_problem, sampled_loss, status
from theory import Problem, loss_estimate, population_loss, population_loss_and_gradient
from theory.loss.engine.engine import row_errors
from theory.loss.engine.rows import Features, Rows
from theory.loss.lattice import active_patterns

# Every value law and every set law once or more.
SAMPLE = [(values, SETS[(3 * k + 2) % len(SETS)]) for k, values in enumerate(VALUES)]


@pytest.mark.slow
@pytest.mark.parametrize(("values", "sets"), SAMPLE)
def test_pairs_of_laws_are_exact_and_trainable(values: str, sets: str) -> None:
    found = status(values, sets)
    assert found.good, found


@pytest.mark.slow
@pytest.mark.parametrize("pair", [*[pair for pair in PAIRS if pair[2]][3::20], ("binary", "", "--l1 0.1")], ids=str)
def test_pairs_with_terms_are_exact_and_trainable(pair: tuple[str, str, str]) -> None:
    found = status(*pair)
    assert found.good, found
    runs_away = pair[2] == "--decoder untied --noise 0.2"
    assert bool(found.no_optimum) == ("--l1" in pair[2] or runs_away)


def test_the_page_counts_what_is_refused_and_what_does_not_hold() -> None:
    good = {pair: Status(*pair, loss=0.1, gradient=0.1, hessian=0.1, trainer=0.1) for pair in PAIRS}
    assert f"{len(PAIRS)} of {len(PAIRS)} pairs hold, 0 are refused; of 0 " in page(list(good.values()))
    good[PAIRS[0]] = Status(*PAIRS[0], refused="no such law")
    good[PAIRS[1]] = Status(*PAIRS[1], loss=3.0, gradient=0.1, hessian=0.1, trainer=0.1)
    good[PAIRS[-1]] = Status(*PAIRS[-1], no_optimum="none", loss=0.1, gradient=0.1, hessian=0.1, trainer=0.1)
    text = page(list(good.values()))
    assert f"{len(PAIRS) - 2} of {len(PAIRS)} pairs hold, 1 are refused; of 1 " in text
    assert "3.00 (too far)" in text
    assert "refused 1" in text
    assert "1. no such law" in text
    assert "- a: none" in text


@pytest.mark.parametrize("sets", SETS)
@pytest.mark.parametrize("values", [v for v in VALUES if v.startswith("discrete")])
def test_discrete_values_are_enumerated(values: str, sets: str) -> None:
    task = pair_problem(values, sets, 5)
    W, b = model(task)
    reference = enumerated_loss(W, b, task)
    assert_allclose(population_loss(W, b, task), reference, rtol=1e-12)
    features, G = Features.of(task.features), W.T @ W
    rows = row_errors(Rows(G, b, np.arange(5), np.zeros(5)), features)  # the other route, by quadrature
    off = abs(float(rows.value @ task.importance) - reference)
    assert off <= float(rows.error @ task.importance) + 1e-12 * reference
    V, h = np.random.default_rng(0).normal(size=W.shape), 1e-7
    up, down = (population_loss(W + s * V, b, task) for s in (h, -h))
    assert_allclose((up - down) / (2 * h), (population_loss_and_gradient(W, b, task)[1] * V).sum(), rtol=1e-5)


DENSITIES = {
    "uniform:-1,1": stats.uniform(-1, 2),
    "uniform:0.5,2": stats.uniform(0.5, 1.5),
    "exponential": stats.expon(),
    "half-normal": stats.halfnorm(),
    "normal:0.3,0.8": stats.norm(0.3, 0.8),
    "laplace": stats.laplace(),
    "gamma:2,0.5": stats.gamma(2, scale=0.5),
    "beta:2,3": stats.beta(2, 3),
    "scipy:weibull_min,1.5": stats.weibull_min(1.5),
}
X, WEIGHT = np.polynomial.legendre.leggauss(32)


def rule(density: object, cuts: ndarray) -> tuple[ndarray, ndarray]:
    """Nodes, and probabilities there, of pieces between cuts (..., pieces + 1)."""
    low, half = cuts[..., :-1, None], np.diff(cuts)[..., None] / 2
    u = low + half * (X + 1)
    return u.reshape(*cuts.shape[:-1], -1), (half * WEIGHT * density.pdf(u)).reshape(*cuts.shape[:-1], -1)  # type: ignore[attr-defined]


def integrated_loss(W: ndarray, b: ndarray, task: Problem, density: object) -> float:
    """
    Integrate over all values with SciPy's densities; the innermost integral is cut at the kink.

    What is left is once differentiable in the next value, of which pieces are many.
    """
    n, G = task.n, W.T @ W
    ends = np.array([density.ppf(1e-18), density.isf(1e-18)])  # type: ignore[attr-defined]
    inside = np.linspace(*density.ppf([0.001, 0.999]), 16 if n < 3 else 4)  # type: ignore[attr-defined]
    near_zero = [0.0, *(np.array([1e-8, 1e-5, 1e-3, 0.03]) if n < 3 else [0.01])]  # kinks and roots of densities
    fine = np.unique(np.clip(np.concatenate([inside, ends, near_zero]), *ends))
    patterns = active_patterns(n)
    total = 0.0
    for pattern, chance in zip(patterns, task.features.pattern_probability(patterns), strict=True):
        active = np.flatnonzero(pattern)
        for i in range(n):
            # the last one is integrated first: the one of the largest coupling
            order = active[np.argsort(np.abs(G[i, active]))]
            points, share = np.zeros((1, n)), np.ones(1)
            for j in order[:-1]:
                u, q = rule(density, fine)
                points = np.repeat(points, len(u), axis=0)
                points[:, j] = np.tile(u, len(share))
                share = (share[:, None] * q).ravel()
            rest = b[i] + points @ G[i]
            if not len(order):
                total += chance * task.importance[i] * max(b[i], 0.0) ** 2
                continue
            j = order[-1]
            kink = np.clip(-rest / G[i, j], *ends)[:, None]
            cuts = np.sort(np.concatenate([np.tile(fine, (len(kink), 1)), kink], axis=1), axis=1)
            for part in np.array_split(np.arange(len(kink)), -(-len(kink) // 2000)):
                u, q = rule(density, cuts[part])
                own = u if j == i else points[part, i, None]
                miss = (own - np.maximum(rest[part, None] + G[i, j] * u, 0)) ** 2
                total += chance * task.importance[i] * float(share[part] @ (q * miss).sum(1))
    return total


@pytest.mark.parametrize("values", DENSITIES)
@pytest.mark.parametrize(("n", "sets"), [(1, ""), (2, ""), (2, "2:correlated:0.5")])
def test_few_features_are_integrated(values: str, n: int, sets: str) -> None:
    for density in (0.05, 0.4, 1.0):
        task = pair_problem(values, sets, n, density)
        for seed in range(2):
            W, b = model(task, seed)
            reference = integrated_loss(W, b, task, DENSITIES[values])
            assert_allclose(population_loss(W, b, task), reference, rtol=1e-6)
            found = loss_estimate(W, b, task)
            assert abs(found.value - reference) <= found.error + 1e-8 * reference


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "sets"),
    [
        ("exponential", ""),
        ("laplace", "3:hierarchy:0.5"),
        ("uniform:-1,1", "2:exactly-one"),
        ("beta:2,3", "3:exactly:2"),
    ],
)
def test_three_features_are_integrated(values: str, sets: str) -> None:
    task = pair_problem(values, sets, 3, 0.3)
    W, b = model(task)
    assert_allclose(population_loss(W, b, task), integrated_loss(W, b, task, DENSITIES[values]), rtol=1e-6)


# Every law with a density and every law of sets, each once or more.
SETS_OF_THREE = (
    "", "2:all-or-none", "2:exactly-one", "3:partial:0.7", "3:correlated:0.5", "3:hierarchy:0.5", "3:exactly:2",
    "3:table:110@0.5,001@0.3,111@0.2",
)  # fmt: skip
OF_THREE = [
    (values, sets)
    for k, values in enumerate(DENSITIES)
    for sets in (SETS_OF_THREE[k % 8], SETS_OF_THREE[(3 * k + 5) % 8])
]


@pytest.mark.full
@pytest.mark.parametrize(("values", "sets"), OF_THREE)
def test_every_law_of_three_features_is_integrated(values: str, sets: str) -> None:
    task = pair_problem(values, sets, 3, 0.3)
    W, b = model(task, 1)
    reference = integrated_loss(W, b, task, DENSITIES[values])
    found = loss_estimate(W, b, task)
    assert_allclose(found.value, reference, rtol=1e-6)
    assert abs(found.value - reference) <= found.error + 1e-6 * reference


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize(
    ("values", "sets"),
    [("exponential", "2x4:exactly:2 2x2:correlated:0.5"), ("normal", "3:hierarchy:0.4 4:partial:0.6"),
     ("uniform:-1,1", "8:correlated:0.3"), ("discrete:1@0.25,3@0.75", "3:table:110@0.5,001@0.3,111@0.2"),
     ("scipy:weibull_min,1.5", "4x2:exactly-one")],
)  # fmt: skip
def test_many_features_agree_with_samples(values: str, sets: str, n: int) -> None:
    task = pair_problem(values, sets, n, 0.2 if n < 50 else 0.05)
    W, b = model(task)
    mean, error = sampled_loss(W, b, task)
    exact = loss_estimate(W, b, task, rtol=1e-4)  # atoms need many nodes
    assert exact.error < error
    assert abs(exact.value - mean) < 4 * error + exact.error
