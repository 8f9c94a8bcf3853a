"""The global optimum on a grid of densities and relative importances.

A grid of problems is searched from many starts on a coarse subset of its cells. The minima found there are carried
over to the cells between, and from cell to cell until no cell can learn from its neighbours any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from joblib import Parallel, delayed
from numpy import ndarray

from theory.candidates import ideal_candidates
from theory.command import progress
from theory.features import Independent
from theory.loss import output_errors
from theory.problem import Problem
from theory.search import LocalMinima, random_starts, refine, revive, take
from theory.tegum import tegum_products

__all__ = ["Grid", "extra_feature_problem", "search_grid", "signature"]

# Distinct minima that a coarse cell hands on, and starts that a fine cell accepts.
_KEPT_MINIMA = 4
_FINE_STARTS = 2
# Of the idealised candidates and the catalogue's geometries, the most promising start the search of a coarse cell.
_KEPT_SEEDS = 10
# Solutions whose norms, overlaps and biases differ by less than this count as the same branch.
_SAME_BRANCH = 0.15
# Starts are sent to the workers in chunks of so many.
_CHUNK = 800
_SWEEPS = 12
# A feature with a column shorter than this is left out or about to come in; the kick that shows where it should turn.
_FAINT, _KICK = 0.5, 0.02
# Features that are dense and nearly equally important have many minima of nearly equal loss, some of them in small
# regions. From this density on, and up to this ratio of importances, cells this close (so many to the whole axis) are
# searched from many starts, and nearer still to equal features every cell is.
_CROWDED, _CROWDED_RESOLUTION, _PACKED = (0.4, 2.0), 30, (0.7, 1.25)
# While branches compete a gradient of 1e-6 (in units of the zero model's loss) ranks them; the winners are polished.
_ROUGH, _ROUGH_ITERATIONS = 1e-6, 150


@dataclass(frozen=True, eq=False)
class Grid:
    """
    A solution for every cell; axes (density, importance).

    Attributes
    ----------
    density : ndarray, shape (P,)
        Density of every feature.
    importance : ndarray, shape (R,)
        Importance of the extra feature relative to the others.
    W : ndarray, shape (P, R, m, n)
        Embeddings.
    b : ndarray, shape (P, R, n)
        Biases.
    loss : ndarray, shape (P, R)
        Population losses.
    inverse : ndarray, shape (P, R, d, d)
        Approximate inverse Hessians (``LocalMinima.inverse``), from which solutions nearby are soon refined.
    """

    density: Float[ndarray, " P"]
    importance: Float[ndarray, " R"]
    W: Float[ndarray, "P R m n"]
    b: Float[ndarray, "P R n"]
    loss: Float[ndarray, "P R"]
    inverse: Float[ndarray, "P R d d"]


def extra_feature_problem(n: int, m: int, density: Float[ndarray, " k"], importance: Float[ndarray, " k"]) -> Problem:
    """
    Build problems in which the last of n features has an importance of its own.

    Parameters
    ----------
    n, m : int
        Number of features and of hidden dimensions.
    density : ndarray, shape (k,)
        Density of every feature.
    importance : ndarray, shape (k,)
        Importance of the last feature; the others have 1.

    Returns
    -------
    Problem
        A batch of k problems.
    """
    weight = np.ones((len(importance), n))
    weight[:, -1] = importance
    return Problem(m=m, features=Independent(np.repeat(density[:, None], n, axis=1)), importance=weight)


def signature(W: Float[ndarray, "*batch m n"], b: Float[ndarray, "*batch n"]) -> Float[ndarray, "*batch s"]:
    """
    Describe a solution by numbers that rotations, and permutations of the equal features, leave alone.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings; the last feature is the extra one.
    b : ndarray, shape (*batch, n)
        Biases.

    Returns
    -------
    ndarray, shape (*batch, 4 n - 2)
        Squared norms, sums of squared overlaps and biases, the extra feature's and the others' in order, and
        the extra feature's couplings in order.
    """
    G = W.swapaxes(-1, -2) @ W
    own = np.arange(W.shape[-1])
    norms = G[..., own, own]
    overlaps = np.sqrt(np.maximum((G**2).sum(-1) - norms**2, 0))
    parts = [part for values in (norms, overlaps, b) for part in (values[..., -1:], np.sort(values[..., :-1], axis=-1))]
    return np.concatenate([*parts, np.sort(G[..., -1, :-1], axis=-1)], axis=-1)


def search_grid(
    n: int,
    m: int,
    density: Float[ndarray, " P"],
    importance: Float[ndarray, " R"],
    seed: int = 0,
    workers: int = 1,
    coarse: int = 8,
    random: int = 6,
) -> Grid:
    """
    Find the global optimum over all (W, b) in every cell of a grid.

    Parameters
    ----------
    n, m : int
        Number of features and of hidden dimensions.
    density : ndarray, shape (P,)
        Densities, ascending.
    importance : ndarray, shape (R,)
        Importances of the last feature, ascending; the others have 1.
    seed : int
        Seed of the random starts; the result does not depend on the number of workers.
    workers : int
        Processes to use.
    coarse : int
        Cells along each axis that are searched from many starts.
    random : int
        Random starts in each of them, besides the idealised candidates and the catalogue's geometries.

    Returns
    -------
    Grid
        The best solution found in every cell.
    """
    shape = (len(density), len(importance))
    problem = extra_feature_problem(n, m, np.repeat(density, shape[1]), np.tile(importance, shape[0]))
    with Parallel(n_jobs=workers, return_as="generator") as pool:
        rows, columns = _subset(shape[0], coarse), _subset(shape[1], coarse)
        cells = (rows[:, None] * shape[1] + columns).ravel()
        known = _coarse_minima(problem, cells, random, seed, pool)
        best = _transport(problem, shape, rows, columns, known, seed, pool)
        best = _search_crowded(problem, shape, density, importance, best, random, seed, pool)
        best = _freed_from_saddles(problem, best, seed, pool)
        best = _sweep(problem, shape, best, seed, pool)
        best = _polish(problem, best, pool)
    return Grid(
        density,
        importance,
        best.W.reshape(*shape, m, n),
        best.b.reshape(*shape, n),
        best.loss.reshape(shape),
        best.inverse.reshape(*shape, *best.inverse.shape[1:]),
    )


def _subset(length: int, coarse: int) -> Int[ndarray, " k"]:
    """Evenly spaced indices, the ends included."""
    return np.unique(np.linspace(0, length - 1, min(coarse, length)).round().astype(int))


def _solve(
    pool: Parallel,
    problem: Problem,
    cells: ndarray,
    W: ndarray,
    b: ndarray,
    seed: int,
    inverse: ndarray | None = None,
) -> LocalMinima:
    """Refine starts, each in its own cell, chunk by chunk over the pool; chunks do not depend on the workers."""
    chunks = [np.arange(k, min(k + _CHUNK, len(cells))) for k in range(0, len(cells), _CHUNK)]
    jobs = (
        delayed(_solve_chunk)(
            take(problem, cells[rows]), W[rows], b[rows], (seed, k), None if inverse is None else inverse[rows]
        )
        for k, rows in enumerate(chunks)
    )
    return LocalMinima.joined(list(progress(pool(jobs), total=len(chunks), label=f"{len(cells)} searches")))


def _solve_chunk(problem: Problem, W: ndarray, b: ndarray, seed: Sequence[int], inverse: ndarray | None) -> LocalMinima:
    found = refine(problem, W, b, _ROUGH, _ROUGH_ITERATIONS, inverse)
    return revive(problem, found, np.random.default_rng(seed))


def _seeds(n: int, m: int) -> Float[ndarray, "seeds m n"]:
    """Embeddings of the idealised candidates, and of tegum products with the extra feature in every kind of factor."""
    seeds = [candidate.embedding for candidate in ideal_candidates(n, m).values()]
    for product in tegum_products(n, m):
        W = product.embedding(m=m)
        last_vertices = np.cumsum([factor.v for factor in product.polytopes]) - 1
        for last in dict(zip((factor.name for factor in product.polytopes), last_vertices, strict=True)).values():
            seeds.append(W[:, [j for j in range(n) if j != last] + [int(last)]])
    return np.array(seeds)


def _coarse_minima(problem: Problem, cells: ndarray, random: int, seed: int, pool: Parallel) -> LocalMinima:
    """Search the coarse cells from many starts; keep the best distinct minima of each, the best repeated if few."""
    found, starts = _many_starts(problem, cells, random, seed, pool)
    order = np.argsort(found.loss.reshape(len(cells), starts), axis=1)
    picks = _distinct(signature(found.W, found.b).reshape(len(cells), starts, -1), order, _KEPT_MINIMA)
    return found.at((np.arange(len(cells))[:, None] * starts + picks).ravel())


def _many_starts(problem: Problem, cells: ndarray, random: int, seed: int, pool: Parallel) -> tuple[LocalMinima, int]:
    """Search cells from their promising seeds and from random starts; the results cell by cell, and how many each."""
    n, m = problem.n, problem.m
    rng = np.random.default_rng(seed)
    W_seed, b_seed = _promising_seeds(problem, cells)
    W_random, b_random = random_starts(problem, len(cells) * random, rng)
    W = np.concatenate([W_seed, W_random.reshape(len(cells), random, m, n)], axis=1)
    # Exact symmetries are saddle points as often as minima: break them a little.
    W = W + 0.02 * rng.standard_normal(W.shape)
    b = np.concatenate([b_seed, b_random.reshape(len(cells), random, n)], axis=1)
    starts = W.shape[1]
    return _solve(pool, problem, np.repeat(cells, starts), W.reshape(-1, m, n), b.reshape(-1, n), seed), starts


def _promising_seeds(
    problem: Problem, cells: ndarray
) -> tuple[Float[ndarray, "cells kept m n"], Float[ndarray, "cells kept n"]]:
    """The seeds of lowest loss in every cell, with the mean as bias of what they leave out."""
    seeds = _seeds(problem.n, problem.m)
    W = np.broadcast_to(seeds, (len(cells), *seeds.shape))
    b = np.where((W == 0).all(2), problem.features.mean[cells][:, None, :], 0.0)
    count = W.shape[1]
    losses = _losses(problem, np.repeat(cells, count), W.reshape(-1, *W.shape[2:]), b.reshape(-1, problem.n))
    best = np.argsort(losses.reshape(len(cells), count), axis=1, kind="stable")[:, :_KEPT_SEEDS]
    rows = np.arange(len(cells))[:, None]
    return W[rows, best], b[rows, best]


def _distinct(
    signatures: Float[ndarray, "cells starts s"], order: Int[ndarray, "cells starts"], count: int
) -> Int[ndarray, "cells count"]:
    """Pick, in the given order, starts whose signatures differ; repeat the first where there are not enough."""
    cells = np.arange(len(order))
    free = np.ones(order.shape, dtype=bool)
    picks = np.repeat(order[:, :1], count, axis=1)
    for k in range(count):
        ranked_free = np.take_along_axis(free, order, 1)
        first = ranked_free.argmax(1)
        pick = np.where(ranked_free.any(1), order[cells, first], order[:, 0])
        picks[:, k] = pick
        distance = np.abs(signatures - signatures[cells, pick][:, None]).max(-1)
        free &= distance > _SAME_BRANCH
    return picks


def _losses(problem: Problem, cells: ndarray, W: ndarray, b: ndarray) -> Float[ndarray, " k"]:
    """Loss of given solutions in given cells, cheaply: enough to rank them."""
    some = take(problem, cells)
    errors = output_errors(W.swapaxes(-1, -2) @ W, b, some, rtol=1e-4)
    return (some.importance * errors.value).sum(-1)


def _transport(
    problem: Problem,
    shape: tuple[int, int],
    rows: ndarray,
    columns: ndarray,
    known: LocalMinima,
    seed: int,
    pool: Parallel,
) -> LocalMinima:
    """Start every cell from the distinct minima of the coarse cells around it; keep its best result."""
    row, column = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    above, right = np.searchsorted(rows, row), np.searchsorted(columns, column)
    below, left = (
        np.maximum(above - (rows[above] != row), 0),
        np.maximum(right - (columns[right] != column), 0),
    )
    sources = np.stack([i * len(columns) + j for i in (below, above) for j in (left, right)], axis=1)
    cells, starts = np.arange(len(row)), sources.shape[1] * _KEPT_MINIMA
    sources = (sources[..., None] * _KEPT_MINIMA + np.arange(_KEPT_MINIMA)).reshape(len(cells), starts)
    flat = sources.ravel()
    rough = _losses(problem, np.repeat(cells, starts), known.W[flat], known.b[flat]).reshape(len(cells), starts)
    marks = signature(known.W, known.b)[sources]
    picks = _distinct(marks, np.argsort(rough, axis=1), _FINE_STARTS)
    keep = np.ones(picks.shape, dtype=bool)
    keep[:, 1:] = picks[:, 1:] != picks[:, :1]
    cell, slot = np.nonzero(keep)
    start = known.at(sources[cell, picks[cell, slot]])
    found = _solve(pool, problem, cell, start.W, start.b, seed + 1, start.inverse)
    return _best_per_cell(found, cell, len(cells))


def _search_crowded(
    problem: Problem,
    shape: tuple[int, int],
    density: ndarray,
    importance: ndarray,
    best: LocalMinima,
    random: int,
    seed: int,
    pool: Parallel,
) -> LocalMinima:
    """Search from many starts where branches crowd, too close together for the coarse cells to meet them all."""
    apart = np.abs(np.log(importance))
    stride = max(1, shape[0] // _CROWDED_RESOLUTION)
    every = np.arange(shape[0])[:, None] % stride + np.arange(shape[1]) % stride == 0
    crowded = (density[:, None] >= _CROWDED[0]) & (apart <= np.log(_CROWDED[1])) & every
    packed = (density[:, None] >= _PACKED[0]) & (apart <= np.log(_PACKED[1]))
    cells = np.flatnonzero(crowded | packed)
    if not len(cells):
        return best
    found, starts = _many_starts(problem, cells, random, seed + 100, pool)
    every = np.arange(shape[0] * shape[1])
    return _best_per_cell(
        LocalMinima.joined([best, found]), np.concatenate([every, np.repeat(cells, starts)]), len(every)
    )


def _freed_from_saddles(problem: Problem, best: LocalMinima, seed: int, pool: Parallel) -> LocalMinima:
    """
    Kick solutions in which a feature is faint or left out, both ways.

    W_i = 0 is always a stationary point, and so is a faint W_i that overlaps with only some of the features that it
    should; descent may be possible to one side only: towards antipodal overlap.
    """
    cells = np.flatnonzero((np.linalg.norm(best.W, axis=1) < _FAINT).any(-1))
    if not len(cells):
        return best
    kick = _KICK * np.random.default_rng(seed).standard_normal(best.W[cells].shape)
    W = np.concatenate([best.W[cells] + kick, best.W[cells] - kick])
    found = _solve(pool, problem, np.tile(cells, 2), W, np.tile(best.b[cells], (2, 1)), seed + 200)
    every = np.arange(len(best.loss))
    return _best_per_cell(LocalMinima.joined([best, found]), np.concatenate([every, np.tile(cells, 2)]), len(every))


def _best_per_cell(found: LocalMinima, cell: ndarray, cells: int) -> LocalMinima:
    order = np.lexsort((found.loss, cell))
    first = order[np.searchsorted(cell[order], np.arange(cells))]
    return found.at(first)


def _sweep(problem: Problem, shape: tuple[int, int], best: LocalMinima, seed: int, pool: Parallel) -> LocalMinima:
    """Offer every cell its neighbours' solutions until none improves."""
    changed = np.ones(shape, dtype=bool)
    for sweep in range(_SWEEPS):
        cell, source = _offers(shape, changed)
        if not len(cell):
            break
        rough = _losses(problem, cell, best.W[source], best.b[source])
        marks = signature(best.W, best.b)
        distance = np.abs(marks[source] - marks[cell]).max(-1)
        # Another branch may win once refined; the same branch only if its cell was not converged.
        promising = (rough < best.loss[cell] * (1 - 1e-9)) | (
            (distance > _SAME_BRANCH) & (rough < 1.05 * best.loss[cell])
        )
        cell, source = cell[promising], source[promising]
        changed = np.zeros(shape, dtype=bool)
        if not len(cell):
            break
        found = _solve(pool, problem, cell, best.W[source], best.b[source], seed + 2 + sweep, best.inverse[source])
        better = np.argsort(-found.loss)  # of several offers the best is written last
        better = better[found.loss[better] < best.loss[cell[better]] * (1 - 1e-9)]
        changed.flat[cell[better]] = True
        best = best.replaced(cell[better], found.at(better))
    return best


def _polish(problem: Problem, best: LocalMinima, pool: Parallel) -> LocalMinima:
    """Converge the winners as far as rounding allows."""
    halves = np.array_split(np.arange(len(best.loss)), 2)
    parts = pool(
        delayed(refine)(take(problem, rows), best.W[rows], best.b[rows], inverse=best.inverse[rows]) for rows in halves
    )
    return LocalMinima.joined(list(parts))


def _offers(shape: tuple[int, int], changed: ndarray) -> tuple[Int[ndarray, " k"], Int[ndarray, " k"]]:
    """Pairs (cell, neighbour) in which the neighbour is new."""
    number = np.arange(shape[0] * shape[1]).reshape(shape)
    pairs = []
    for axis in (0, 1):
        low = np.take(number, range(shape[axis] - 1), axis=axis).ravel()
        high = np.take(number, range(1, shape[axis]), axis=axis).ravel()
        pairs += [(low, high), (high, low)]
    cell, source = (np.concatenate(part) for part in zip(*pairs, strict=True))
    new = changed.ravel()[source]
    return cell[new], source[new]
