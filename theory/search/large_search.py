"""The best known solution for more features than all exchanges can be tried for: descents that compete.

Many starts run for a few steps, the better ones go on, and the best is run down to the end and improved by exchanges of
features; on the way the features that are worth most are given the vertices that err least. Starts are tegum products
of the catalogue with the features that are worth most at their best vertices; equal directions that share all
dimensions, for several numbers of stored features (above 1/(1-S) of about 7 no product is as good) and, between the
best of these numbers, for more; random weights; and what the caller gives.
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
from theory.tools.parallel import Workers

__all__ = ["Found", "Start", "search_large"]

# Relative accuracy of losses while starts compete, of the last descent (of all of the best start's where Hessians are
# cheap), and of the result.
_ROUGH, _SEARCH, _RESULT = 1e-3, 1e-4, 1e-7
# Steps of the first round; rounds in which numbers of stored features between the best are tried; steps of the later
# rounds, and starts that take part; steps of the best, and of the last descent.
_FIRST_STEPS, _BETWEEN, _STEPS, _LEFT, _BEST_STEPS, _LAST_STEPS = 40, 2, (100, 200), (4, 2), 160, 80


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
    from tqdm import tqdm

    rng, race = np.random.default_rng(seed), _Race(LargeLoss(problem, _ROUGH, workers))
    with tqdm(total=3 + _BETWEEN + len(_STEPS), desc="descents", disable=None if progress else True) as bar:
        race.enter(
            [
                *products(problem, rng),
                *(even(problem, k, rng) for k in even_numbers(problem)),
                *random_weights(problem, rng),
                *given,
            ],
            rng,
        )
        bar.update()
        for _ in range(_BETWEEN):
            race.enter([even(problem, k, rng) for k in race.numbers_between()], rng)
            bar.update()
        for steps, left in zip(_STEPS, _LEFT, strict=True):
            race.run(race.lowest(left), steps, rng)
            bar.update()
        point, value = race.finished(_BEST_STEPS, rng)
        bar.update()
        loss = race.closer.beside(value)
        point, value, helped = improved_by_exchanges(loss, point, value, rng)
        point = _polished(loss, point, value, rng)
        bar.update()
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


class _Race:
    """Starts, how far they have got, and what they reached."""

    def __init__(self, loss: LargeLoss) -> None:
        self.loss = loss
        self.starts: list[Start] = []
        self.x: list[ndarray] = []
        self.values: list[float] = []
        self.reference = np.inf

    @property
    def closer(self) -> LargeLoss:
        """The loss for the best: more accurate where that is cheap."""
        return replace(self.loss, rtol=_SEARCH) if self.loss.newton else self.loss

    def enter(self, starts: Sequence[Start], rng: np.random.Generator) -> None:
        """Begin with more starts."""
        if not starts:
            return
        x = [self.loss.join(start.W, start.b) for start in starts]
        values = [self.loss(point)[0] for point in x]
        of_products = [v for v, start in zip(values, starts, strict=True) if start.kind == "product"]
        self.reference = min([self.reference, *of_products])
        first = len(self.x)
        self.starts += starts
        self.x += x
        self.values += values
        self.run(list(range(first, len(self.x))), _FIRST_STEPS, rng)

    def numbers_between(self) -> list[int]:
        """Numbers of features, stored in equal directions, between the best so far and its neighbours."""
        tried = {start.stored: k for k, start in enumerate(self.starts) if start.stored}
        return between(list(tried), min(tried, key=lambda number: self.values[tried[number]]))

    def lowest(self, count: int) -> list[int]:
        """The starts that have got furthest."""
        return np.argsort(self.values, kind="stable")[:count].tolist()

    def run(self, which: list[int], steps: int, rng: np.random.Generator) -> None:
        """Go on with some."""
        loss = self.loss.beside(min(self.values))
        x, values = descended(loss, np.array([self.x[k] for k in which]), steps, rng)
        for k, point, value in zip(which, x, values, strict=True):
            self.x[k], self.values[k] = point, float(value)

    def finished(self, steps: int, rng: np.random.Generator) -> tuple[Float[ndarray, " d"], float]:
        """Run the best down, with all features."""
        (best,) = self.lowest(1)
        loss = self.closer.beside(self.values[best])
        before = loss(self.x[best])[0]
        (x,), (value,) = descended(loss, stored_again(loss, self.x[best], rng)[None], steps, rng)
        if value >= before:  # small columns do not always help
            (x,), (value,) = descended(loss, self.x[best][None], steps, rng)
        self.x[best], self.values[best] = x, float(value)
        return x, float(value)

    def record(self, best: float, tried: bool) -> SearchRecord:
        """What was done; ``best`` is the lowest loss after exchanges."""
        kinds, values = [start.kind for start in self.starts], np.array(self.values)
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
