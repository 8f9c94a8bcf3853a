"""Exchanges of two features: the moves that lead from one arrangement of unequal features to a better one.

Local minima of unequal features differ mostly in which feature sits at which vertex. From a minimum all exchanges of
two features are tried at once: a step of descent each tells which are worth a few more, and these which are worth a
whole descent. In trials on minima of six to eight features the losses after three steps ranked the ends almost always.

Minima may also differ in whether a feature is stored at all: not storing it can be a local minimum beside one that
stores it faintly. These changes are tried from the best minimum alone.
"""

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.model.problem import Problem
from theory.optimum.landscape import Landscape
from theory.search.minima import GAIN, Pool, settle
from theory.tools.trust_region import first_step

__all__ = ["climb", "exchanged", "order_of_worth", "place_by_worth", "stored_or_not", "try_all"]

# Of the exchanges of a minimum so many get a few steps after the first, and so many of these a whole descent.
_FEW, _STEPS, _WHOLE = 6, 3, 2
# A column shorter than this stores nothing; one that begins to store has this norm. Directions closer than this cosine
# are tried once.
_UNSTORED, _FAINT, _SAME_DIRECTION = 0.02, 0.2, 0.95


def _pairs(landscape: Landscape) -> list[tuple[int, int]]:
    """Pairs of features whose exchange makes a difference: not equal ones alone, nor equal ones of the same set."""
    problem = landscape.problem
    kinds, owner, weight = problem.exchangeable, problem.features.set_of_feature, problem.importance
    same = (kinds[:, None] == kinds) | ((owner[:, None] == owner) & (weight[:, None] == weight))
    return [(i, j) for i, j in combinations(range(problem.n), 2) if not same[i, j]]


def _orders(landscape: Landscape) -> Int[ndarray, "pairs n"]:
    """All exchanges of two unequal features, as orders of all features."""
    pairs, n = _pairs(landscape), landscape.problem.n
    orders = np.tile(np.arange(n), (len(pairs), 1))
    for order, (i, j) in zip(orders, pairs, strict=True):
        order[[i, j]] = j, i
    return orders


def exchanged(landscape: Landscape, x: Float[ndarray, "k d"]) -> Float[ndarray, "k pairs d"]:
    """
    Exchange the columns and biases of every pair of unequal features.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : ndarray, shape (k, d)
        Points.

    Returns
    -------
    ndarray, shape (k, pairs, d)
        All exchanges of each.
    """
    orders = _orders(landscape)
    W, b = landscape.split(x)
    moved = np.moveaxis(W[:, :, orders], 2, 1)
    return np.concatenate([moved.reshape(len(x), len(orders), W[0].size), b[:, orders]], -1)


def order_of_worth(problem: Problem, errors: Float[ndarray, "k n"]) -> Int[ndarray, "k n"]:
    """
    The order of vertices in which those that err least come to the features that are worth most.

    Parameters
    ----------
    problem : Problem
        A single problem.
    errors : ndarray, shape (k, n)
        Errors of all outputs.

    Returns
    -------
    ndarray of int, shape (k, n)
        The vertex that each feature takes.
    """
    zero = problem.features.value_square * problem.density
    best_vertices = np.argsort(errors / zero, axis=1, kind="stable")
    orders = np.empty_like(best_vertices)
    orders[:, np.argsort(-problem.importance * zero, kind="stable")] = best_vertices
    return orders


def place_by_worth(landscape: Landscape, x: Float[ndarray, "k d"]) -> Float[ndarray, "k d"]:
    """
    Give the vertices that err least to the features that are worth most.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : ndarray, shape (k, d)
        Points.

    Returns
    -------
    ndarray, shape (k, d)
        The same with features exchanged. For independent features of equal density this is the best order, since
        errors belong to the vertices and the sum of products is smallest when one falls as the other rises.
    """
    W, b = landscape.split(x)
    orders = order_of_worth(landscape.problem, landscape.errors(W.swapaxes(-1, -2) @ W, b).value)
    moved = np.take_along_axis(W, orders[:, None, :], 2)
    return landscape.join(moved, np.take_along_axis(b, orders, 1))


def stored_or_not(landscape: Landscape, x: Float[ndarray, " d"]) -> Float[ndarray, "p d"]:
    """
    Leave out every feature that is stored, one at a time; store every other one faintly, in every direction in use.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : ndarray, shape (d,)
        A point.

    Returns
    -------
    ndarray, shape (p, d)
        The changed points; equal features are changed once.
    """
    problem = landscape.problem
    (W,), (b,) = landscape.split(x[None])
    norms = np.linalg.norm(W, axis=0)
    stored = norms >= _UNSTORED
    directions: list[ndarray] = []
    for u in (W[:, stored] / norms[stored]).T:
        for one in (u, -u):
            if all(one @ other < _SAME_DIRECTION for other in directions):
                directions.append(one)
    empty, trials, left_out = np.zeros(problem.m), [], set()
    for i in range(problem.n):
        kind = int(problem.exchangeable[i])
        if stored[i]:
            columns = [empty]
        elif kind in left_out:
            continue
        else:
            left_out.add(kind)
            columns = [_FAINT * one for one in directions]
        for column in columns:
            V, c = W.copy(), b.copy()
            V[:, i], c[i] = column, problem.features.mean[i]
            trials.append(landscape.join(V[None], c[None])[0])
    return np.array(trials).reshape(-1, len(x))


def climb(pool: Pool, starts: Int[ndarray, " k"], rng: np.random.Generator) -> Int[ndarray, " k"]:
    """
    Improve minima by exchanges until none helps.

    Parameters
    ----------
    pool : Pool
        The minima met; grows on the way, and remembers where exchanges led.
    starts : ndarray of int, shape (k,)
        Numbers of minima.
    rng : numpy.random.Generator
        Of the repairs.

    Returns
    -------
    ndarray of int, shape (k,)
        Numbers of the minima that exchanges lead to.
    """
    here = np.array(starts, dtype=int)
    while True:
        here = np.array([pool.followed(int(k)) for k in here], dtype=int)
        unknown = sorted({int(k) for k in here if int(k) not in pool.better})
        if not unknown:
            return here
        if unsorted := _sort(pool, unknown, rng):
            _explore(pool, unsorted, rng)


def _sort(pool: Pool, which: list[int], rng: np.random.Generator) -> list[int]:
    """Put features in the order of their worth; write down where that leads. Give the minima that stay as they are."""
    landscape = pool.landscape
    points = np.array([pool.x[k] for k in which])
    placed = place_by_worth(landscape, points)
    new = np.flatnonzero((placed != points).any(-1))
    if not len(new):
        return which
    ends = pool.add(settle(landscape, placed[new], rng, gain=GAIN))
    found = {which[i]: int(end) for i, end in zip(new, ends, strict=True)}
    better = {k: end for k, end in found.items() if pool.lower(pool.value[end], pool.value[k])}
    pool.better.update(better)
    return [k for k in which if k not in better]


def _explore(pool: Pool, which: list[int], rng: np.random.Generator) -> None:
    """Try the exchanges of some minima, and write down where they lead."""
    landscape = pool.landscape
    points = np.array([pool.x[k] for k in which])
    if not len(_orders(landscape)):
        pool.better.update((k, k) for k in which)
        return
    if landscape.alike and landscape.smooth:
        trials = np.array([_one_step(landscape, x) for x in points])
    else:
        trials = _most_promising(landscape, exchanged(landscape, points), 1, _FEW, rng)
    trials = _most_promising(landscape, trials, _STEPS, _WHOLE, rng)
    ends = pool.add(settle(landscape, trials.reshape(-1, trials.shape[-1]), rng, gain=GAIN)).reshape(len(which), -1)
    for k, found in zip(which, ends, strict=True):
        least = min(found.tolist(), key=lambda end: pool.value[end])
        pool.better[k] = least if pool.lower(pool.value[least], pool.value[k]) else k


def _one_step(landscape: Landscape, x: Float[ndarray, " d"]) -> Float[ndarray, "p d"]:
    """The exchanges of a minimum that are lowest after a step, of features that differ in importance alone."""
    at, value, gradient, hessian = landscape.rearranged(x, _orders(landscape))
    moved = first_step(at, gradient, hessian, landscape.kinks)
    after = landscape.slopes(moved)[0]
    lowest = np.argsort(np.minimum(value, after), kind="stable")[:_FEW]
    return np.where((after < value)[lowest, None], moved[lowest], at[lowest])


def _most_promising(
    landscape: Landscape, trials: Float[ndarray, "k p d"], steps: int, keep: int, rng: np.random.Generator
) -> Float[ndarray, "k q d"]:
    """Take steps of descent on all trials; keep those that are lowest then."""
    count, trial_count, d = trials.shape
    if trial_count <= keep:
        return trials
    ends = settle(landscape, trials.reshape(-1, d), rng, steps=steps)
    chosen = np.argsort(ends.value.reshape(count, -1), axis=1, kind="stable")[:, :keep]
    return np.take_along_axis(ends.x.reshape(trials.shape), chosen[:, :, None], 1)


def try_all(pool: Pool, k: int, rng: np.random.Generator) -> int:
    """
    Descend from every exchange of a minimum, and with every feature left out or stored after all.

    Parameters
    ----------
    pool : Pool
        The minima met.
    k : int
        Number of a minimum.
    rng : numpy.random.Generator
        Of the repairs.

    Returns
    -------
    int
        Number of the lowest minimum that was found, or k if none is lower.
    """
    x = pool.x[k]
    trials = np.concatenate([exchanged(pool.landscape, x[None])[0], stored_or_not(pool.landscape, x)])
    if not len(trials):
        return k
    found = pool.add(settle(pool.landscape, trials, rng, gain=GAIN))
    least = min(found.tolist(), key=lambda end: pool.value[end])
    return least if pool.lower(pool.value[least], pool.value[k]) else k
