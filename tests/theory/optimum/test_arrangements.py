"""Which feature sits where: the arrangement that is best once everything is released."""

from itertools import permutations

import numpy as np
import pytest

from theory import Problem, optimise


def decaying(n: int, m: int) -> Problem:
    return Problem(n=n, m=m, density=0.1, importance=0.7 ** np.arange(n))


@pytest.mark.parametrize(
    ("n", "m", "geometry", "loss"),
    [
        (4, 2, "2 digon", 0.00419202),
        (6, 3, "3 digon", 0.00483914),
        (8, 3, "3 digon", 0.01100591),
        pytest.param(20, 5, "4 digon + dedicated", 0.00762882, marks=pytest.mark.slow),
    ],
)
def test_the_best_pairing_is_found(n: int, m: int, geometry: str, loss: float) -> None:
    optimum = optimise(decaying(n, m), geometry)
    assert optimum.converged
    assert optimum.loss == pytest.approx(loss, abs=5e-9)  # to the digits given


@pytest.mark.parametrize("seed", range(3))
def test_no_pairing_of_four_random_features_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = Problem(m=2, density=rng.uniform(0.02, 0.15, 4), importance=rng.uniform(0.4, 1, 4))
    best = optimise(problem, "2 digon")
    others = [optimise(problem, "2 digon", order=order) for order in ([0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2])]
    assert best.loss == pytest.approx(min(one.loss for one in others if one.converged), rel=1e-10)


@pytest.mark.slow
def test_no_order_around_a_pentagon_is_better() -> None:
    problem = Problem(n=5, m=2, density=0.05, importance=[1.0, 0.95, 0.9, 0.87, 0.84])
    best = optimise(problem, "pentagon")
    orders = [(0, *rest) for rest in permutations(range(1, 5)) if rest[0] < rest[-1]]  # up to turns and reflections
    losses = [optimise(problem, "pentagon", order=order).loss for order in orders]
    assert best.converged
    assert len(losses) == 12
    assert best.loss == pytest.approx(min(losses), rel=1e-10)


def test_the_result_says_which_feature_sits_at_which_vertex() -> None:
    problem = Problem(n=5, m=2, density=0.05, importance=[1, 1, 0.2, 1, 1])
    chosen = optimise(problem, "2 digon")
    assert chosen.order is not None
    assert chosen.order[-1] == 2  # factors in canonical order: the unrepresented feature comes last
    again = optimise(problem, "2 digon", order=chosen.order)
    assert again.order == chosen.order
    assert again.loss == pytest.approx(chosen.loss, rel=1e-12)
    for i, j in (chosen.order[:2], chosen.order[2:4]):
        assert chosen.W[:, i] @ chosen.W[:, j] < -0.5
