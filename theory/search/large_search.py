"""The best known solution for more features than all exchanges can be tried for: quasi-Newton descents that compete.

Many starts run for a few steps, the better ones go on, and the best few are run down to the end and improved by
exchanges of features. Starts are tegum products of the catalogue with the features that are worth most at their best
vertices; equal directions that share all dimensions, for several numbers of represented features (above 1/(1-S) of
about 7 no product is as good); random weights; and what the caller gives.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.population import AccuracyWarning, output_errors
from theory.model.problem import Problem
from theory.optimum.landscape import Landscape
from theory.packing.best_product import best_tegum_product
from theory.search.minima import settle
from theory.search.record import SearchRecord
from theory.tools.parallel import Workers, spread

__all__ = ["Found", "Start", "search_large"]

# Relative accuracy of losses while starts compete, and of the result.
_SEARCH, _RESULT = 1e-5, 1e-7
# Steps of the rounds, and starts that are left after each.
_STEPS, _LEFT = (30, 80, 200), (8, 3, 2)
# Steps to the end, from the best; gradients there, in units of the zero model's loss.
_LAST_STEPS, _GRADIENT = 800, 1e-8
# Up to so many variables Newton's method descends, in this part of the steps, but at least so many.
_NEWTON, _QUICKER, _LEAST_STEPS = 300, 8, 6
# Numbers of represented features that are tried, random starts, and passes that make directions share evenly.
_NUMBERS, _RANDOM, _EVEN_PASSES = 6, 2, 30
# Norm and bias that equal directions start with, about what is best for even frames.
_NORM, _BIAS = 1.1, -0.3
_DISTURBANCE, _DEAD = 1e-2, 1e-3
# Exchanges that are tried from the best solution, those first that cost least before features adapt, and their steps.
_EXCHANGES, _EXCHANGE_STEPS, _EXCHANGE_ROUNDS = 32, 30, 8
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Start:
    """A kind, and a point (W, b)."""

    kind: str
    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]


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
        The best solution met.
    """
    from tqdm import tqdm

    rng, loss = np.random.default_rng(seed), _Loss(problem, workers=workers)
    starts = [*_products(problem, rng), *_even(problem, rng), *_random(problem, rng), *given]
    x = np.array([loss.join(start.W, start.b) for start in starts])
    kinds, values = [start.kind for start in starts], np.array([loss(point)[0] for point in x])
    reference = float(values[[kind == "product" for kind in kinds]].min())
    alive = np.arange(len(x))
    for steps, left in tqdm([*zip(_STEPS, _LEFT, strict=True)], desc="descents", disable=None if progress else True):
        x[alive], values[alive] = _descended(loss, x[alive], steps, rng)
        alive = alive[np.argsort(values[alive], kind="stable")[:left]]
    x[alive], values[alive] = _descended(loss, x[alive], _LAST_STEPS, rng)
    best = int(alive[values[alive].argmin()])
    point, value, helped = _exchanged(loss, x[best], float(values[best]), rng)
    point = _polished(problem, point, rng)
    W, b = loss.split(point)
    exact, error, gradient = _Loss(problem, _RESULT).known(point)
    record = _record(kinds, values, min(value, float(values[best])), reference, problem, not helped)
    return Found(W, b, exact, error, gradient, record)


def _polished(problem: Problem, x: Float[ndarray, " d"], rng: np.random.Generator) -> Float[ndarray, " d"]:
    """Run the best down once more with the loss's full accuracy, where Hessians are cheap."""
    if not (problem.textbook and len(x) <= _NEWTON):
        return x
    return settle(Landscape(problem, _RESULT), x[None], rng, _GRADIENT).x[0]


def _record(
    kinds: list[str], values: Float[ndarray, " k"], best: float, reference: float, problem: Problem, tried: bool
) -> SearchRecord:
    names, unit = list(dict.fromkeys(kinds)), float(problem.zero_loss)
    of_kind = {name: values[[kind == name for kind in kinds]] for name in names}
    rounded = np.unique(np.round(np.log(np.maximum(values, 1e-300)) / _SAME), return_counts=True)[1]
    return SearchRecord(
        starts_by_kind={name: len(those) for name, those in of_kind.items()},
        hits={name: int((those <= best * (1 + _SAME)).sum()) for name, those in of_kind.items()},
        distinct=len(rounded),
        seen_once=int((rounded == 1).sum()),
        best_by_kind={name: float(those.min()) * unit for name, those in of_kind.items()},
        reference_gap=reference / best - 1 if best > 0 else np.nan,
        exchanges_tried=tried,
    )


class _Loss:
    """Loss in units of the zero model's, with its gradient, of a point x = (W, b)."""

    def __init__(self, problem: Problem, rtol: float = _SEARCH, workers: Workers = 1) -> None:
        self.problem, self._rtol, self.workers = problem, rtol, workers
        self._unit = float(problem.zero_loss)

    def split(self, x: Float[ndarray, " d"]) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]:
        m, n = self.problem.m, self.problem.n
        return x[: m * n].reshape(m, n), x[m * n :]

    def join(self, W: Float[ndarray, "m n"], b: Float[ndarray, " n"]) -> Float[ndarray, " d"]:
        return np.concatenate([W.ravel(), b])

    def __call__(self, x: Float[ndarray, " d"]) -> tuple[float, Float[ndarray, " d"]]:
        W, b = self.split(x)
        with warnings.catch_warnings():  # a loss known to fewer digits still leads downhill
            warnings.simplefilter("ignore", AccuracyWarning)
            errors = output_errors((W.T @ W)[None], b[None], self.problem.repeated(1), rtol=self._rtol)
        loss, dW, db = errors.pull_back(W[None], self.problem.importance / self._unit)
        return float(loss[0]), self.join(dW[0], db[0])

    def output_errors(self, x: Float[ndarray, " d"]) -> Float[ndarray, " n"]:
        """Every output's error."""
        W, b = self.split(x)
        return output_errors((W.T @ W)[None], b[None], self.problem.repeated(1), rtol=self._rtol).value[0]

    def known(self, x: Float[ndarray, " d"]) -> tuple[float, float, float]:
        """Loss in its own units, its error, and the largest gradient component in the zero model's."""
        W, b = self.split(x)
        errors = output_errors((W.T @ W)[None], b[None], self.problem.repeated(1), rtol=self._rtol)
        loss, dW, db = errors.pull_back(W[None], self.problem.importance)
        miss = 0.0 if errors.error is None else float(self.problem.importance @ errors.error[0])
        return float(loss[0]), miss, float(np.abs(self.join(dW[0], db[0])).max() / self._unit)


def _descended(
    loss: _Loss, x: Float[ndarray, "k d"], steps: int, rng: np.random.Generator
) -> tuple[Float[ndarray, "k d"], Float[ndarray, " k"]]:
    """Run starts down: by Newton's method where Hessians are cheap, else by L-BFGS; repair dead features."""
    if loss.problem.textbook and x.shape[1] <= _NEWTON:
        ends = settle(Landscape(loss.problem), x, rng, _GRADIENT, max(_LEAST_STEPS, steps // _QUICKER))
        return ends.x, ends.value
    jobs = [(loss, one, steps, child) for one, child in zip(x, rng.spawn(len(x)), strict=True)]
    found = list(spread(_one_descended, jobs, loss.workers))
    return np.array([one[0] for one in found]).reshape(x.shape), np.array([one[1] for one in found])


def _one_descended(loss: _Loss, x: Float[ndarray, " d"], steps: int, rng: np.random.Generator) -> tuple[ndarray, float]:
    from scipy.optimize import minimize

    function: Any = loss
    options: Any = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 1e-12, "gtol": _GRADIENT}
    found = minimize(function, x, jac=True, method="L-BFGS-B", options=options)
    W, b = loss.split(found.x.copy())
    dead = (np.linalg.norm(W, axis=0) < _DEAD) & (b < 0)
    if not dead.any():
        return found.x, float(found.fun)
    W[:, dead], b[dead] = _DISTURBANCE * rng.standard_normal(W[:, dead].shape), loss.problem.features.mean[dead]
    again = minimize(function, loss.join(W, b), jac=True, method="L-BFGS-B", options=options)
    return (again.x, float(again.fun)) if again.fun < found.fun else (found.x, float(found.fun))


def _exchanged(
    loss: _Loss, x: Float[ndarray, " d"], value: float, rng: np.random.Generator
) -> tuple[Float[ndarray, " d"], float, bool]:
    """Exchange pairs of features as long as that helps; say whether the last round still did."""
    for _ in range(_EXCHANGE_ROUNDS):
        trials = np.array(list(_exchanges(loss, x)))
        if not len(trials):
            return x, value, False
        ends, values = _descended(loss, trials, _EXCHANGE_STEPS, rng)
        (end,), (lowest,) = _descended(loss, ends[values.argmin()][None], _LAST_STEPS, rng)
        if lowest >= value * (1 - _SAME):
            return x, value, False
        x, value = end, float(lowest)
    return x, value, True


def _exchanges(loss: _Loss, x: Float[ndarray, " d"]) -> Iterator[Float[ndarray, " d"]]:
    """Exchanges of unequal features that cost least if errors stay with their vertices."""
    problem = loss.problem
    W, b = loss.split(x)
    share = loss.output_errors(x) / (problem.features.value_square * problem.density)
    worth, kinds = problem.importance * problem.density, problem.exchangeable
    i, j = np.triu_indices(problem.n, 1)
    unequal = kinds[i] != kinds[j]
    i, j = i[unequal], j[unequal]
    cost = (worth[i] - worth[j]) * (share[j] - share[i])
    for k in np.argsort(cost, kind="stable")[:_EXCHANGES]:
        order = np.arange(problem.n)
        order[[i[k], j[k]]] = j[k], i[k]
        yield loss.join(W[:, order], b[order])


def _products(problem: Problem, rng: np.random.Generator) -> Iterator[Start]:
    """The best tegum products of the features that are worth most, for several numbers of them."""
    n, m = problem.n, problem.m
    worth = np.argsort(-problem.importance * problem.density, kind="stable")
    weight = problem.importance * problem.density
    density = float(problem.density @ weight / weight.sum()) if weight.any() else float(problem.density.mean())
    for k in sorted({min(n, k) for k in (m + m // 2, 2 * m, 2 * m + m // 2, n)}):
        packing = best_tegum_product(k, m, density)
        V, c = packing.embedding()
        W, b = np.zeros((m, n)), np.array(problem.features.mean)
        # Vertices that err least come first: the long columns, those that share their dimension last.
        vertices = np.argsort(-np.concatenate([packing.dimensionality]), kind="stable")
        pairs = _folded(worth[:k], vertices, packing.dimensionality)
        W[:, pairs], b[pairs] = V, c
        yield Start("product", W + _DISTURBANCE * rng.standard_normal(W.shape), b)


def _folded(worth: ndarray, vertices: ndarray, share: Float[ndarray, " k"]) -> ndarray:
    """Feature at each vertex: the more dimensions it has, the more it is worth; pairs join the first with the last."""
    feature = np.empty(len(worth), dtype=int)
    start = 0
    for value in np.unique(np.round(share, 9))[::-1]:
        same = np.flatnonzero(np.round(share, 9) == value)
        some = worth[start : start + len(same)]
        folded = some.copy()
        folded[::2], folded[1::2] = some[: (len(some) + 1) // 2], some[::-1][: len(some) // 2]
        feature[same] = folded
        start += len(same)
    return feature


def _even(problem: Problem, rng: np.random.Generator) -> Iterator[Start]:
    """Equal directions over all dimensions for the k features that are worth most."""
    n, m = problem.n, problem.m
    worth = np.argsort(-problem.importance * problem.density, kind="stable")
    numbers = np.unique(np.geomspace(min(m + 1, n), n, _NUMBERS).astype(int))
    for k in [*numbers.tolist()]:
        U = rng.standard_normal((m, k))
        for _ in range(_EVEN_PASSES):  # alternate between a tight frame and columns of equal norm
            U = np.linalg.solve(np.linalg.cholesky(U @ U.T + 1e-9 * np.eye(m)), U)
            U /= np.linalg.norm(U, axis=0)
        W, b = _DISTURBANCE * rng.standard_normal((m, n)), np.array(problem.features.mean)
        W[:, worth[:k]], b[worth[:k]] = _NORM * U, _BIAS
        yield Start("even", W, b)


def _random(problem: Problem, rng: np.random.Generator) -> Iterator[Start]:
    """Random weights."""
    for _ in range(_RANDOM):
        W = 0.8 * rng.standard_normal((problem.m, problem.n)) / np.sqrt(problem.m)
        yield Start("random", W, 0.1 * rng.standard_normal(problem.n))
