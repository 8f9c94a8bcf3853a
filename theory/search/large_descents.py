"""Descents and exchanges of features where Hessians are expensive.

Few variables descend by Newton's method, some thousands by L-BFGS in variables in which a Hessian, made anew once in a
while, is round, and more by L-BFGS alone.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.loss.population import AccuracyWarning, OutputErrors, output_errors
from theory.model.features import Independent
from theory.model.problem import Problem
from theory.optimum.landscape import Landscape
from theory.search.exchanges import order_of_worth
from theory.search.minima import settle
from theory.tools.parallel import Workers, spread

__all__ = ["GRADIENT", "SAME", "LargeLoss", "descended", "improved_by_exchanges", "stored_again"]

# Gradients at the end of a descent, in units of the zero model's loss; losses this close, relative, are the same.
GRADIENT, SAME = 1e-8, 1e-6
# Up to so many variables Newton's method descends, in this part of the steps, but at least so many.
_NEWTON, _QUICKER, _LEAST_STEPS = 300, 8, 2
# Up to so many variables Hessians make the valleys of quasi-Newton descents round, once in so many steps; curvatures
# below this part of the largest count as much. Such a descent ends when it gains less.
_CURVED, _CURVED_PART, _FLAT, _CURVED_GAIN = 2500, 40, 0.01, 1e-5
# Steps of a quasi-Newton descent after which features may move, and how often they may after Newton's; power of the
# density that is a bias's unit.
_PART, _TIMES, _BIAS_POWER = 80, 5, 0.25
# A column shorter than this stores nothing; one that is to store something starts with this norm or so.
_DEAD, _DISTURBANCE = 1e-3, 1e-2
# Steps of an exchange, and more for the lowest. Exchanges that are tried, those first that cost least before features
# adapt, and rounds: by Newton's method, and without.
_EXCHANGE_STEPS, _EXCHANGE_LAST, _CHEAP, _DEAR = 16, 80, (16, 12), (8, 2)


@dataclass(frozen=True, eq=False)
class LargeLoss:
    """
    Loss of a point x = (W, b) in units of the zero model's, with its gradient.

    Attributes
    ----------
    problem : Problem
        A single problem.
    rtol : float
        Relative accuracy.
    workers : int or str
        Processes that share descents, or the address of a Dask scheduler.
    enough : float
        Accuracy that is enough, in the same units: outputs that are nearly perfect need not be known to ``rtol``.
    """

    problem: Problem
    rtol: float
    workers: Workers = 1
    enough: float = 0.0

    def beside(self, loss: float) -> "LargeLoss":
        """The same to an accuracy that is enough for losses of about that size."""
        return replace(self, enough=self.rtol * loss)

    @cached_property
    def _unit(self) -> float:
        return float(self.problem.zero_loss)

    @property
    def newton(self) -> bool:
        """Whether Hessians are cheap."""
        problem = self.problem
        return problem.textbook and (problem.m + 1) * problem.n <= _NEWTON

    @property
    def curved(self) -> bool:
        """Whether Hessians are worth their price to quasi-Newton descents."""
        problem = self.problem
        return problem.textbook and (problem.m + 1) * problem.n <= _CURVED

    def hessian(self, x: Float[ndarray, " d"]) -> Float[ndarray, "d d"]:
        """Second derivatives to a digit or two."""
        slope = self._errors(x).dG * (self.problem.importance / self._unit)[:, None]
        return np.asarray(Landscape(self.problem).hessians(x[None], slope)[0])

    def split(self, x: Float[ndarray, " d"]) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]:
        """W and b of a point."""
        m, n = self.problem.m, self.problem.n
        return x[: m * n].reshape(m, n), x[m * n :]

    def join(self, W: Float[ndarray, "m n"], b: Float[ndarray, " n"]) -> Float[ndarray, " d"]:
        """A point from W and b."""
        return np.concatenate([W.ravel(), b])

    def __call__(self, x: Float[ndarray, " d"]) -> tuple[float, Float[ndarray, " d"]]:
        """Loss and gradient."""
        loss, dW, db = self._errors(x).pull_back(self.split(x)[0][None], self.problem.importance / self._unit)
        return float(loss[0]), self.join(dW[0], db[0])

    def output_errors(self, x: Float[ndarray, " d"]) -> Float[ndarray, " n"]:
        """Every output's error."""
        return self._errors(x).value[0]

    def known(self, x: Float[ndarray, " d"]) -> tuple[float, float, float]:
        """Loss in its own units, its error, and the largest gradient component in the zero model's."""
        W, b = self.split(x)
        with warnings.catch_warnings():  # an accuracy that is missed is part of the result
            warnings.simplefilter("ignore", AccuracyWarning)
            errors = output_errors((W.T @ W)[None], b[None], self.problem.repeated(1), rtol=self.rtol)
        loss, dW, db = errors.pull_back(W[None], self.problem.importance)
        miss = 0.0 if errors.error is None else float(self.problem.importance @ errors.error[0])
        return float(loss[0]), miss, float(np.abs(self.join(dW[0], db[0])).max() / self._unit)

    def of(self, which: Bool[ndarray, " n"]) -> "LargeLoss":
        """The loss of some features, when the others are not stored."""
        problem, law = self.problem, self.problem.features.values
        features = Independent(problem.density[which], values=law)
        few = Problem(
            m=problem.m, features=features, importance=problem.importance[which], activation=problem.activation
        )
        return LargeLoss(few, self.rtol, enough=self.enough * self._unit / float(few.zero_loss))

    def _errors(self, x: Float[ndarray, " d"]) -> OutputErrors:
        W, b = self.split(x)
        with warnings.catch_warnings():  # a loss known to fewer digits still leads downhill
            warnings.simplefilter("ignore", AccuracyWarning)
            enough = self.enough * self._unit
            return output_errors((W.T @ W)[None], b[None], self.problem.repeated(1), rtol=self.rtol, enough=enough)


def descended(
    loss: LargeLoss, x: Float[ndarray, "k d"], steps: int, rng: np.random.Generator, arrange: bool = True
) -> tuple[Float[ndarray, "k d"], Float[ndarray, " k"]]:
    """
    Run starts down: by Newton's method where Hessians are cheap, else by L-BFGS; repair dead features.

    On the way the features that are worth most are given the vertices that err least, if that lowers the loss.

    Parameters
    ----------
    loss : LargeLoss
        The loss.
    x : ndarray, shape (k, d)
        Starts. Features whose columns are exactly zero stay out of quasi-Newton descents.
    steps : int
        Steps at most of a quasi-Newton descent; Newton's method takes an eighth of them.
    rng : numpy.random.Generator
        Of the repairs.
    arrange : bool
        Whether features may be given other vertices.

    Returns
    -------
    x : ndarray, shape (k, d)
        Ends.
    value : ndarray, shape (k,)
        Losses there.
    """
    if loss.newton:
        return _by_newton(loss, x, steps, rng, arrange)
    jobs = [(loss, one, steps, child, arrange) for one, child in zip(x, rng.spawn(len(x)), strict=True)]
    found = list(spread(_one_descended, jobs, loss.workers))
    return np.array([one[0] for one in found]).reshape(x.shape), np.array([one[1] for one in found])


def _by_newton(
    loss: LargeLoss, x: Float[ndarray, "k d"], steps: int, rng: np.random.Generator, arrange: bool
) -> tuple[Float[ndarray, "k d"], Float[ndarray, " k"]]:
    landscape, steps = Landscape(loss.problem, loss.rtol), max(_LEAST_STEPS, steps // _QUICKER)
    ends = settle(landscape, x, rng, GRADIENT, steps)
    x, value = ends.x, ends.value
    for k in range(len(x) if arrange else 0):
        for _ in range(_TIMES):
            moved, lower = _arranged(loss, x[k], value[k])
            if lower >= value[k] * (1 - SAME):
                break
            again = settle(landscape, moved[None], rng, GRADIENT, steps)
            x[k], value[k] = again.x[0], again.value[0]
    return x, value


def _one_descended(
    loss: LargeLoss, x: Float[ndarray, " d"], steps: int, rng: np.random.Generator, arrange: bool
) -> tuple[ndarray, float]:
    W, b = loss.split(x)
    stored = np.asarray(W.any(0))
    if not loss.problem.features.independent or stored.all() or not stored.any():
        return _minimised(loss, x, steps, rng, arrange)
    few = loss.of(stored)  # the cost of a step grows with the square of their number
    V, c = few.split(_minimised(few, few.join(W[:, stored], b[stored]), steps, rng, arrange)[0])
    W, b = W.copy(), b.copy()
    W[:, stored], b[stored] = V, c
    x = loss.join(W, b)
    return x, loss(x)[0]


def _minimised(
    loss: LargeLoss, x: Float[ndarray, " d"], steps: int, rng: np.random.Generator, arrange: bool
) -> tuple[ndarray, float]:
    """
    L-BFGS in parts; between them dead features are revived, and features take the vertices they are worth.

    Where Hessians make the valleys round half the steps do: they end at n = 80, m = 20 where all did without.
    """
    from scipy.optimize import minimize

    def moved_by(y: Float[ndarray, " d"], origin: Float[ndarray, " d"], basis: Any) -> tuple[float, ndarray]:
        value, slope = loss(origin + basis @ y)
        return value, basis.T @ slope

    curved = loss.curved and steps >= _PART
    value, part, little = (loss(x)[0], _CURVED_PART, _CURVED_GAIN) if curved else (np.inf, _PART, SAME)
    left = steps // 2 if curved else steps
    while left > 0:
        origin, basis = x, _round_valley(loss, x) if curved else _units(loss)
        options: Any = {"maxiter": min(left, part), "maxfun": 2 * part, "maxcor": 30, "ftol": 1e-12, "gtol": GRADIENT}
        found = minimize(moved_by, np.zeros_like(x), (origin, basis), jac=True, method="L-BFGS-B", options=options)
        x, before, value = origin + basis @ found.x, value, float(found.fun)
        left -= max(found.nit, found.nfev // 2, 1)  # line searches that find nothing cost as much
        moved, lower = _revived(loss, x, value, rng)
        if arrange:
            moved, lower = _arranged(loss, moved, lower)
        if lower >= value * (1 - SAME) and (found.success or value >= before * (1 - little)):
            break
        x, value = moved, lower
    return x, value


def _units(loss: LargeLoss) -> Any:
    """
    Units of the variables, a diagonal matrix, in which curvatures differ least.

    The loss curves along a column as often as its feature is active, along a bias as often as its output is above 0:
    between as often as its feature and always. Biases are counted in units between both.
    """
    from scipy.sparse import diags_array

    problem = loss.problem
    biases = np.maximum(problem.density, 1e-12) ** _BIAS_POWER
    return diags_array(loss.join(np.ones((problem.m, problem.n)), biases))


def _round_valley(loss: LargeLoss, x: Float[ndarray, " d"]) -> Float[ndarray, "d d"]:
    """Variables in which the loss curves by one in all directions, up or down, but where it hardly curves."""
    units = _units(loss)
    curvature, directions = np.linalg.eigh(units @ (units @ loss.hessian(x)).T)
    size = np.abs(curvature)
    return np.asarray(units @ (directions / np.sqrt(np.maximum(size, _FLAT * size.max()))))


def _revived(
    loss: LargeLoss, x: Float[ndarray, " d"], value: float, rng: np.random.Generator
) -> tuple[Float[ndarray, " d"], float]:
    """Give dead features a small column and the bias of one that is not stored, which always helps."""
    W, b = loss.split(x)
    dead = (np.linalg.norm(W, axis=0) < _DEAD) & (b < 0)
    if not dead.any():
        return x, value
    W, b = W.copy(), b.copy()
    W[:, dead], b[dead] = _DISTURBANCE * rng.standard_normal(W[:, dead].shape), loss.problem.features.mean[dead]
    moved = loss.join(W, b)
    lower = loss(moved)[0]
    return (moved, lower) if lower < value else (x, value)


def _arranged(loss: LargeLoss, x: Float[ndarray, " d"], value: float) -> tuple[Float[ndarray, " d"], float]:
    """Give the vertices that err least to the features that are worth most, if that lowers the loss."""
    (order,) = order_of_worth(loss.problem, loss.output_errors(x)[None])
    (moved,) = _rearranged(loss, x, order[None])
    if (moved == x).all():
        return x, value
    lower = loss(moved)[0]
    return (moved, lower) if lower < value else (x, value)


def stored_again(loss: LargeLoss, x: Float[ndarray, " d"], rng: np.random.Generator) -> Float[ndarray, " d"]:
    """Give features that are not stored small columns, from which a descent can store them."""
    W, b = loss.split(x.copy())
    out = np.linalg.norm(W, axis=0) < _DEAD
    W[:, out] = _DISTURBANCE * rng.standard_normal(W[:, out].shape)
    return loss.join(W, b)


def improved_by_exchanges(
    loss: LargeLoss, x: Float[ndarray, " d"], value: float, rng: np.random.Generator
) -> tuple[Float[ndarray, " d"], float, bool]:
    """
    Exchange features as long as that helps.

    Parameters
    ----------
    loss : LargeLoss
        The loss.
    x : ndarray, shape (d,)
        A minimum.
    value : float
        Its loss.
    rng : numpy.random.Generator
        Of the repairs.

    Returns
    -------
    x : ndarray, shape (d,)
        A minimum that none of the likely exchanges improves, or the last one.
    value : float
        Its loss.
    helped : bool
        Whether the last exchange still did.
    """
    trials, rounds = _CHEAP if loss.newton else _DEAR
    for _ in range(rounds):
        orders = _likely_orders(loss, x, trials)
        if not len(orders):
            return x, value, False
        ends, values = descended(loss, _rearranged(loss, x, orders), _EXCHANGE_STEPS, rng, arrange=False)
        end, lowest = ends[values.argmin()], values.min()
        together = _together(loss, orders, values, value)
        if together is not None:
            moved = _rearranged(loss, x, together[None])
            several, several_value = descended(loss, moved, _EXCHANGE_STEPS, rng, arrange=False)
            if several_value[0] < lowest:
                end = several[0]
        (end,), (lowest,) = descended(loss, end[None], _EXCHANGE_LAST, rng)
        if lowest >= value * (1 - SAME):
            return x, value, False
        x, value = end, float(lowest)
    return x, value, True


def _rearranged(loss: LargeLoss, x: Float[ndarray, " d"], orders: Int[ndarray, "k n"]) -> Float[ndarray, "k d"]:
    W, b = loss.split(x)
    return np.array([loss.join(W[:, order], b[order]) for order in orders])


def _likely_orders(loss: LargeLoss, x: Float[ndarray, " d"], trials: int) -> Int[ndarray, "k n"]:
    """Exchanges of unequal features that cost least if errors stay with their vertices."""
    problem = loss.problem
    share = loss.output_errors(x) / (problem.features.value_square * problem.density)
    worth, kinds = problem.importance * problem.density, problem.exchangeable
    i, j = np.triu_indices(problem.n, 1)
    unequal = kinds[i] != kinds[j]
    i, j = i[unequal], j[unequal]
    cost = (worth[i] - worth[j]) * (share[j] - share[i])
    swaps = list(_swaps(problem.n, i, j, np.argsort(cost, kind="stable")[:trials]))
    return np.array(swaps, dtype=int).reshape(-1, problem.n)


def _swaps(n: int, i: ndarray, j: ndarray, which: ndarray) -> Iterator[Int[ndarray, " n"]]:
    for k in which:
        order = np.arange(n)
        order[[i[k], j[k]]] = j[k], i[k]
        yield order


def _together(
    loss: LargeLoss, orders: Int[ndarray, "k n"], values: Float[ndarray, " k"], value: float
) -> Int[ndarray, " n"] | None:
    """All exchanges that help, the best first, as long as no feature occurs twice; None if that is one or none."""
    joint, count = np.arange(loss.problem.n), 0
    for k in np.argsort(values, kind="stable"):
        moved = orders[k] != np.arange(len(joint))
        if values[k] < value * (1 - SAME) and not (joint != np.arange(len(joint)))[moved].any():
            joint[moved] = orders[k][moved]
            count += 1
    return joint if count > 1 else None
