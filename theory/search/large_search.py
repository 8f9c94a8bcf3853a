"""The best known solution for more features than all exchanges can be tried for: descents that compete.

Many starts run for a few steps, those that may still win go on in rounds of twice as many, and the best is run down to
the end and improved by exchanges of features; on the way the features that are worth most are given the vertices that
err least. Starts are tegum products of the catalogue with the features that are worth most at their best vertices;
equal directions that share all dimensions, for several numbers of stored features (above 1/(1-S) of about 7 no product
is as good) and, between the best of these numbers, for more; random weights; and what the caller gives.
What a descent gains while it doubles its steps is about what it has still to gain. The gaps between numbers of stored
features are halved as long as the losses at their ends differ by more than that: the further descents have got, the
finer their numbers.
Features that a start does not store stay out of its first descents, and are given small columns for the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.model.problem import Problem
from theory.optimum.landscape import Landscape
from theory.search.large_descents import (
    GRADIENT,
    SAME,
    LargeLoss,
    descended,
    improved_by_exchanges,
    stored_again,
)
from theory.search.large_starts import Start, between, even, even_numbers, products, random_weights
from theory.search.minima import settle
from theory.search.record import SearchRecord
from theory.tools.command import ticking_bar
from theory.tools.parallel import Workers

__all__ = ["Found", "Start", "search_large"]

# Relative accuracy of losses while starts compete, of the last descent (of all of the best start's where Hessians are
# cheap), and of the result.
_ROUGH, _SEARCH, _RESULT = 1e-3, 1e-4, 1e-7
# Steps of the first round, and starts that take part in each of the later ones, which double the steps: all rounds cost
# about the same. They end when what doubling gains falls below this part of the loss. How often a round halves the gaps
# between numbers of stored features, if the losses can be told apart.
_FIRST_STEPS, _LEFT, _SETTLED, _HALVINGS = 40, (6, 4, 2, 2, 2), 1e-4, 2
# Steps of the best with all features, and of the last descent.
_BEST_STEPS, _LAST_STEPS = 160, 80


@dataclass(frozen=True, eq=False)
class Found:
    """The best solution, its loss with an error, the size of its gradient, and what the search did."""

    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    loss: float
    loss_error: float
    gradient_norm: float
    record: SearchRecord


def search_large(
    problem: Problem, seed: int, given: Sequence[Start] = (), progress: bool = False, workers: Workers = 1
) -> Found:
    """
    Search for a solution of low loss, for any number of features.

    Parameters
    ----------
    problem : Problem
        A single problem.
    seed : int
        Seed of the random starts.
    given : sequence of Start
        Further starts.
    progress : bool
        Whether to show a bar on a terminal.
    workers : int or str
        Processes that share the starts, or the address of a Dask scheduler; the result does not depend on it.

    Returns
    -------
    Found
        The best solution met, not above any given start.
    """
    rng, race = np.random.default_rng(seed), _Race(LargeLoss(problem, _ROUGH, workers))
    with ticking_bar("descents", 3 + len(_LEFT), progress) as step:
        race.enter(
            [
                *products(problem, rng),
                *(even(problem, k, rng) for k in even_numbers(problem)),
                *random_weights(problem, rng),
                *given,
            ],
            rng,
        )
        race.narrow(rng)
        step()
        for left in _LEFT:
            race.double(left, rng)
            step()
            if race.settled:
                break
            race.narrow(rng)
        point, value = race.finished(_BEST_STEPS, rng)
        step()
        loss = race.closer.beside(value)
        point, value, helped = improved_by_exchanges(loss, point, value, rng)
        point = _polished(loss, point, value, rng)
        step()
    # Losses are known better now: a given start may have been the best after all.
    result = LargeLoss(problem, _RESULT)
    points = [point, *(loss.join(start.W, start.b) for start in given)]
    known = [result.known(one) for one in points]
    best = min(range(len(points)), key=lambda k: known[k][0])
    W, b = loss.split(points[best])
    return Found(W, b, *known[best], race.record(value, not helped))


def _polished(loss: LargeLoss, x: Float[ndarray, " d"], value: float, rng: np.random.Generator) -> Float[ndarray, " d"]:
    """Run the best down once more: with the loss's full accuracy where Hessians are cheap."""
    if loss.newton:
        return settle(Landscape(loss.problem, _RESULT), x[None], rng, GRADIENT).x[0]
    return descended(LargeLoss(loss.problem, _SEARCH).beside(value), x[None], _LAST_STEPS, rng)[0][0]


@dataclass(eq=False)
class _Runner:
    """A start, how far it has got, and what the later half of its steps gained, if it was measured."""

    start: Start
    x: ndarray
    value: float
    steps: int = 0
    gain: float = 0.0

    @property
    def forecast(self) -> float:
        """
        About the loss that its descent ends at.

        The excess over it falls about as one over the number of steps (measured: its power -1.2 for 169 equal
        directions in 30 dimensions), so that half of it is gone when the steps have doubled.
        """
        return self.value - self.gain


class _Race:
    """The starts that compete."""

    def __init__(self, loss: LargeLoss) -> None:
        self.loss = loss
        self.runners: list[_Runner] = []
        self.steps = _FIRST_STEPS
        self.reference = np.inf

    @property
    def closer(self) -> LargeLoss:
        """The loss for the best: more accurate where that is cheap."""
        return replace(self.loss, rtol=_SEARCH) if self.loss.newton else self.loss

    @property
    def best(self) -> _Runner:
        """The lowest."""
        return min(self.runners, key=lambda runner: runner.value)

    @property
    def in_front(self) -> list[_Runner]:
        """Those that have come as far as any, the lowest first."""
        far = (runner for runner in self.runners if runner.steps == self.steps)
        return sorted(far, key=lambda runner: runner.value)

    @property
    def settled(self) -> bool:
        """Whether those that may still win have little to gain."""
        lowest = self.best.value
        return all(runner.gain <= _SETTLED * lowest for runner in self.in_front if runner.forecast <= lowest)

    def enter(self, starts: Sequence[Start], rng: np.random.Generator) -> None:
        """Begin with more starts, which catch up with those in front as long as they may still win."""
        if not starts:
            return
        x = [self.loss.join(start.W, start.b) for start in starts]
        runners = [_Runner(start, point, self.loss(point)[0]) for start, point in zip(starts, x, strict=True)]
        self.reference = min([self.reference, *(runner.value for runner in runners if runner.start.kind == "product")])
        self.runners += runners
        self.run(runners, _FIRST_STEPS, rng)
        while runners and runners[0].steps < self.steps:
            self.run(runners, runners[0].steps, rng)
            runners = [runner for runner in runners if runner.forecast <= self.best.value]

    def narrow(self, rng: np.random.Generator) -> None:
        """Store numbers of features between the best and its neighbours, where that can matter."""
        for _ in range(_HALVINGS):
            self.enter([even(self.loss.problem, k, rng) for k in self.numbers_between()], rng)

    def numbers_between(self) -> list[int]:
        """
        Numbers of features, stored in equal directions, between the best in front and its neighbours.

        A gap stays if the loss at its other end may still become the lower one: no finer number could be told apart.
        """
        furthest = {
            runner.start.stored: runner
            for runner in sorted(self.runners, key=lambda runner: runner.steps)
            if runner.start.stored
        }
        best = next((runner for runner in self.in_front if runner.start.stored), None)
        if best is None:
            return []
        worse = {k for k, runner in furthest.items() if runner.forecast > best.value}
        return between(list(furthest), best.start.stored, worse)

    def double(self, most: int, rng: np.random.Generator) -> None:
        """Let those in front that may still win take as many steps again, not more than so many."""
        lowest = self.best.value
        some = [runner for runner in self.in_front[:most] if not runner.gain or runner.forecast <= lowest]
        self.run(some, self.steps, rng)
        self.steps *= 2

    def run(self, runners: Sequence[_Runner], steps: int, rng: np.random.Generator) -> None:
        """Go on with some."""
        loss = self.loss.beside(self.best.value)
        x, values = descended(loss, np.array([runner.x for runner in runners]), steps, rng)
        for runner, point, value in zip(runners, x, values, strict=True):
            runner.gain = runner.value - float(value) if runner.steps else 0.0
            runner.x, runner.value = point, float(value)
            runner.steps += steps

    def finished(self, steps: int, rng: np.random.Generator) -> tuple[Float[ndarray, " d"], float]:
        """Run the best down, with all features."""
        best = self.best
        loss = self.closer.beside(best.value)
        whole = stored_again(loss, best.x, rng)
        starts = [whole] if (whole == best.x).all() else [whole, best.x]  # small columns do not always help
        x, values = descended(loss, np.array(starts), steps, rng)
        lowest = int(values.argmin())
        best.x, best.value = x[lowest], float(values[lowest])
        return best.x, best.value

    def record(self, best: float, tried: bool) -> SearchRecord:
        """What was done; ``best`` is the lowest loss after exchanges."""
        kinds, values = [runner.start.kind for runner in self.runners], np.array([r.value for r in self.runners])
        return _record(kinds, values, min(best, float(values.min())), self.reference, self.loss.problem, tried)


def _record(
    kinds: list[str], values: Float[ndarray, " k"], best: float, reference: float, problem: Problem, tried: bool
) -> SearchRecord:
    names, unit = list(dict.fromkeys(kinds)), float(problem.zero_loss)
    of_kind = {name: values[[kind == name for kind in kinds]] for name in names}
    rounded = np.unique(np.round(np.log(np.maximum(values, 1e-300)) / SAME), return_counts=True)[1]
    return SearchRecord(
        starts_by_kind={name: len(those) for name, those in of_kind.items()},
        hits={name: int((those <= best * (1 + SAME)).sum()) for name, those in of_kind.items()},
        distinct=len(rounded),
        seen_once=int((rounded == 1).sum()),
        best_by_kind={name: float(those.min()) * unit for name, those in of_kind.items()},
        reference_gap=reference / best - 1 if best > 0 else np.nan,
        exchanges_tried=tried,
    )
