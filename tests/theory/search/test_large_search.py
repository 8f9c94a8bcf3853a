"""Searches with many features: what they leave out, how many they store, and exchanges of several at once."""

from itertools import islice

import numpy as np
import pytest

from theory import Problem, population_loss
from theory.loss.population import OutputErrors
from theory.packing.best_product import best_tegum_product
from theory.search import large_descents, large_search
from theory.search.exchanges import order_of_worth
from theory.search.large_descents import LargeLoss, descended, improved_by_exchanges, stored_again
from theory.search.large_search import _Race
from theory.search.large_starts import Start, between, even, even_numbers, products, random_weights


def test_features_that_are_not_stored_add_their_variance() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(m=3, density=rng.uniform(0.02, 0.3, 30), importance=rng.uniform(0.1, 1, 30))
    start = even(problem, 11, rng)
    loss = LargeLoss(problem, 1e-8)
    stored = np.asarray(start.W.any(0))
    assert stored.sum() == 11
    few = loss.of(stored)
    alone = few(few.join(start.W[:, stored], start.b[stored]))[0] * few.problem.zero_loss
    rest = (problem.importance * problem.features.variance)[~stored].sum()
    assert loss(loss.join(start.W, start.b))[0] * problem.zero_loss == pytest.approx(alone + rest, rel=1e-7)


def test_descents_keep_out_what_is_not_stored_and_give_the_whole_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_descents, "_NEWTON", 0)
    rng = np.random.default_rng(1)
    problem = Problem(n=30, m=3, density=0.05)
    loss, start = LargeLoss(problem, 1e-6), even(problem, 9, rng)
    x = loss.join(start.W, start.b)
    (end,), (value,) = descended(loss, x[None], 10, rng)
    W, b = loss.split(end)
    np.testing.assert_array_equal(W.any(0), start.W.any(0))
    assert value < loss(x)[0]
    assert value * problem.zero_loss == pytest.approx(population_loss(W, b, problem), rel=1e-5)


def test_numbers_of_stored_features_close_in_on_the_best() -> None:
    tried = even_numbers(Problem(n=400, m=30, density=0.1))
    assert (tried[0], tried[-1]) == (31, 400)
    for _ in range(8):
        best = min(tried, key=lambda k: abs(k - 173))
        tried += between(tried, best, worse=tried)
    assert min(abs(k - 173) for k in tried) <= 1
    assert between([5, 6, 7], 6, worse=[5, 7]) == []
    assert between([5, 6, 20], 20, worse=[6]) == [11]
    assert between([10, 20, 40], 20, worse=[40]) == [28]
    assert even_numbers(Problem(n=3, m=3, density=0.1)) == [3]


BEST, EXCESS = 173, 0.1


class Race(_Race):
    """A race of descents whose loss is known: lowest for 173 features, and above its end by one over the steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, power: float = 1.0) -> None:
        problem, self.power = Problem(n=400, m=30, density=0.1), power
        super().__init__(LargeLoss(problem, 1e-3))
        monkeypatch.setattr(LargeLoss, "__call__", lambda _, x: (self.after(x), x))
        monkeypatch.setattr(LargeLoss, "join", lambda _, W, b: np.array([W[0, 0], 0.0]))
        monkeypatch.setattr(large_search, "descended", self.descended)
        monkeypatch.setattr(large_search, "even", lambda _, k, rng: self.start(k))
        self.enter([self.start(k) for k in even_numbers(problem)], np.random.default_rng(0))

    @staticmethod
    def start(k: int) -> Start:
        return Start("even", np.full((1, 1), float(k)), np.zeros(1), k)

    def after(self, x: np.ndarray) -> float:
        """Loss of k features after so many steps: descents of more features start higher."""
        k, steps = x
        return float(0.72 + 1.4e-5 * (k - BEST) ** 2 + EXCESS * k / BEST / (1 + steps) ** self.power)

    def descended(self, _: LargeLoss, x: np.ndarray, steps: int, __: object) -> tuple[np.ndarray, np.ndarray]:
        x = x + np.array([0.0, steps])
        return x, np.array([self.after(point) for point in x])

    def over(self, rounds: tuple[int, ...]) -> "Race":
        """After all rounds."""
        rng = np.random.default_rng(0)
        self.narrow(rng)
        for left in rounds:
            self.double(left, rng)
            self.narrow(rng)
        return self


def test_the_number_of_stored_features_is_found_as_closely_as_descents_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(monkeypatch).over(large_search._LEFT)
    # The parabola rises above what the best has still to gain within this distance.
    reach = np.sqrt(race.best.gain / 1.4e-5)
    assert abs(race.best.start.stored - BEST) <= reach < 3
    numbers = sorted(runner.start.stored for runner in race.runners)
    assert len(numbers) == len(set(numbers)) < 30


def test_numbers_that_cannot_be_told_apart_yet_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(monkeypatch)
    (below, best, above) = (runner for runner in race.runners if runner.start.stored in (86, 143, 239))
    assert race.numbers_between() == [111, 185]
    above.gain = 2 * (above.value - best.value)
    assert race.numbers_between() == [111]
    below.gain = 2 * (below.value - best.value)
    assert race.numbers_between() == []


def test_a_race_is_over_when_those_that_may_still_win_have_little_to_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    race, rng = Race(monkeypatch), np.random.default_rng(0)
    race.double(6, rng)
    assert not race.settled
    for _ in range(8):
        race.double(6, rng)
    assert race.settled
    late = race.start(BEST + 40)
    race.enter([late], rng)  # it cannot win, and is left behind
    assert next(runner for runner in race.runners if runner.start is late).steps < race.steps


def test_who_cannot_win_any_more_runs_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    race, rng = Race(monkeypatch), np.random.default_rng(0)
    race.double(6, rng)
    lost, *_ = (runner for runner in race.in_front if runner is not race.best)
    lost.gain = 0.9 * (lost.value - race.best.value)
    may_win = [runner for runner in race.in_front if runner.forecast <= race.best.value]
    assert race.best in may_win
    assert lost not in may_win
    race.double(6, rng)
    assert {id(runner) for runner in race.in_front} == {id(runner) for runner in may_win[:6]}


@pytest.mark.slow
@pytest.mark.usefixtures("at_full_speed")
def test_hessians_make_valleys_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same starts half as many evaluations end as low on average; without Hessians 4 to 5 % higher."""
    problem = Problem(n=30, m=10, density=0.01, importance=0.9 ** np.arange(30))
    loss, starts = LargeLoss(problem, 1e-6), islice(random_weights(problem, np.random.default_rng(0)), 4)
    points = [loss.join(start.W, start.b)[None] for start in starts]
    assert loss.curved
    assert not loss.newton
    evaluate, made = LargeLoss._errors, [0]

    def counted(self: LargeLoss, x: np.ndarray) -> OutputErrors:
        made[0] += 1
        return evaluate(self, x)

    monkeypatch.setattr(LargeLoss, "_errors", counted)

    def ends() -> tuple[np.ndarray, int]:
        before = made[0]
        found = [descended(loss, x, 320, np.random.default_rng(0), arrange=False)[1][0] for x in points]
        return np.log(found), made[0] - before

    curved, few = ends()
    monkeypatch.setattr(large_descents, "_CURVED", 0)
    plain, many = ends()
    assert (curved - plain).mean() < 0.01  # single ones differ by rounding
    assert few < 0.65 * many


@pytest.mark.slow
def test_the_best_product_is_among_the_starts() -> None:
    problem = Problem(n=8, m=3, density=0.2)
    starts = products(problem, np.random.default_rng(0))
    losses = [population_loss(start.W, start.b, problem) for start in starts]
    # Starts are displaced by a hundredth, so that their losses differ by some ten thousandths.
    assert min(losses) == pytest.approx(best_tegum_product(8, 3, 0.2).loss, rel=1e-2)


def test_exchanges_that_help_are_made_together_unless_they_share_a_feature() -> None:
    loss = LargeLoss(Problem(n=6, m=2, density=0.1), 1e-3)
    orders = np.array([[1, 0, 2, 3, 4, 5], [0, 2, 1, 3, 4, 5], [0, 1, 2, 4, 3, 5], [0, 1, 2, 3, 5, 4]])
    joint = large_descents._together(loss, orders, np.array([0.7, 0.8, 0.9, 1.1]), 1.0)
    assert joint is not None
    assert joint.tolist() == [1, 0, 2, 4, 3, 5]  # the second shares a feature with the first, the last does not help
    assert large_descents._together(loss, orders, np.array([0.7, 0.8, 1.0, 1.1]), 1.0) is None


def paired(problem: Problem, pairs: list[tuple[int, int]]) -> np.ndarray:
    """A point with a digon for every pair, the other features not stored."""
    W, b = np.zeros((problem.m, problem.n)), np.array(problem.features.mean)
    for axis, (i, j) in enumerate(pairs):
        W[axis, [i, j]], b[[i, j]] = (1.0, -1.0), 0.0
    return np.concatenate([W.ravel(), b])


@pytest.mark.slow
def test_exchanges_put_features_that_stand_wrong_in_their_places() -> None:
    problem = Problem(n=14, m=3, density=0.1, importance=0.7 ** np.arange(14))
    loss, rng = LargeLoss(problem, 1e-5), np.random.default_rng(0)
    starts = np.array([paired(problem, [(0, 1), (2, 3), (4, 5)]), paired(problem, [(0, 5), (1, 4), (2, 3)])])
    x, (wrong, right) = descended(loss, starts, 160, rng, arrange=False)
    assert wrong > right * (1 + 1e-4)
    _, improved, _ = improved_by_exchanges(loss, x[0], float(wrong), rng)
    assert improved <= right * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 300], ids=["quasi-Newton", "Newton"])
def test_descents_give_the_best_vertices_to_what_is_worth_most(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_descents, "_NEWTON", most)
    problem = Problem(n=14, m=3, density=0.01, importance=0.7 ** np.arange(14))
    loss, rng = LargeLoss(problem, 1e-5), np.random.default_rng(0)
    start = next(iter(random_weights(problem, rng)))
    x = loss.join(start.W, start.b)[None]
    (_,), (stuck,) = descended(loss, x, 240, rng, arrange=False)
    (end,), (value,) = descended(loss, x, 240, rng)
    assert value < stuck * (1 - 1e-3)
    assert loss(end)[0] == pytest.approx(value, rel=1e-4)
    (order,) = order_of_worth(problem, loss.output_errors(end)[None])
    W, b = loss.split(end)
    assert loss(loss.join(W[:, order], b[order]))[0] > value * (1 - 1e-4)


@pytest.mark.slow
def test_biases_do_not_run_ahead_of_rare_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_descents, "_CURVED", 0)  # Hessians see the same
    problem = Problem(n=40, m=10, density=0.001, importance=0.9 ** np.arange(40))
    loss = LargeLoss(problem, 1e-3).beside(1e-2)
    start, rng = even(problem, 30, np.random.default_rng(0)), np.random.default_rng(1)
    x, ends = stored_again(loss, loss.join(start.W, start.b), rng)[None], []
    for power in (0.0, 0.25):
        monkeypatch.setattr(large_descents, "_BIAS_POWER", power)
        ends.append(descended(loss, x, 120, np.random.default_rng(0), arrange=False)[1][0])
    assert ends[1] < 0.8 * ends[0]
