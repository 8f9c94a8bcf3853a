"""The global optimum on a grid of densities and relative importances.

A grid of problems is searched from many starts on a coarse subset of its cells. The minima found there are carried
over to the cells between, and from cell to cell until no cell can learn from its neighbours any more.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.model.extra_feature import extra_feature_problem
from theory.model.problem import Problem
from theory.model.variant import STANDARD, Variant
from theory.optimum.local_minima import LocalMinima, few_nodes, refine
from theory.phase_diagram.cells import many_starts, rough_losses, search_cells
from theory.phase_diagram.solutions import SAME_BRANCH, distinct, signature
from theory.tools.command import progress
from theory.tools.parallel import Pool, Workers, open_pool

__all__ = ["Grid", "search_grid"]

# Distinct minima that a coarse cell hands on, and starts that a fine cell accepts.
_KEPT_MINIMA = 4
_FINE_STARTS = 2
_SWEEPS = 12
# A feature with a column shorter than this is left out or about to come in; the kick that shows where it should turn.
_FAINT, _KICK = 0.5, 0.02
# Features that are dense and nearly equally important have many minima of nearly equal loss, some of them in small
# regions. From this density on, and up to this ratio of importances, cells this close (so many to the whole axis) are
# searched from many starts, and nearer still to equal features every cell is.
_CROWDED, _CROWDED_RESOLUTION, _PACKED = (0.4, 2.0), 30, (0.7, 1.25)
# Losses of one minimum, met twice in one search, differ by less than the first part of them; of optima that tie, each
# as far converged as a search of many goes, by less than the second.
_SAME, _TIED = 1e-11, 1e-9
# Cells that are polished together where errors are integrated to an accuracy.
_POLISHED = 160


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
    variant : Variant
        What is asked besides sizes, density and importance.
    """

    density: Float[ndarray, " P"]
    importance: Float[ndarray, " R"]
    W: Float[ndarray, "P R m n"]
    b: Float[ndarray, "P R n"]
    loss: Float[ndarray, "P R"]
    inverse: Float[ndarray, "P R d d"]
    variant: Variant = STANDARD


def search_grid(
    n: int,
    m: int,
    density: Float[ndarray, " P"],
    importance: Float[ndarray, " R"],
    seed: int = 0,
    workers: Workers = 1,
    coarse: int = 8,
    random: int = 6,
    variant: Variant = STANDARD,
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
    workers : int or str
        Processes to use, or the address of a Dask scheduler.
    coarse : int
        Cells along each axis that are searched from many starts.
    random : int
        Random starts in each of them, besides the idealised candidates and the catalogue's geometries.
    variant : Variant
        What is asked besides sizes, density and importance.

    Returns
    -------
    Grid
        The best solution found in every cell.
    """
    shape = (len(density), len(importance))
    problem = extra_feature_problem(n, m, np.repeat(density, shape[1]), np.tile(importance, shape[0]), variant)
    with open_pool(workers) as pool:
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
        variant,
    )


def _subset(length: int, coarse: int) -> Int[ndarray, " k"]:
    """Evenly spaced indices, the ends included."""
    return np.unique(np.linspace(0, length - 1, min(coarse, length)).round().astype(int))


def _coarse_minima(problem: Problem, cells: ndarray, random: int, seed: int, pool: Pool) -> LocalMinima:
    """Search the coarse cells from many starts; keep the best distinct minima of each, the best repeated if few."""
    found, starts = many_starts(problem, cells, random, seed, pool)
    order = np.argsort(found.loss.reshape(len(cells), starts), axis=1)
    picks = distinct(signature(found.W, found.b).reshape(len(cells), starts, -1), order, _KEPT_MINIMA)
    return found.at((np.arange(len(cells))[:, None] * starts + picks).ravel())


def _transport(
    problem: Problem,
    shape: tuple[int, int],
    rows: ndarray,
    columns: ndarray,
    known: LocalMinima,
    seed: int,
    pool: Pool,
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
    alike = (row[:, None] * len(known.loss) + sources).ravel()  # cells of a row have one density
    rough = rough_losses(problem, np.repeat(cells, starts), known.W[flat], known.b[flat], alike)
    marks = signature(known.W, known.b)[sources]
    picks = distinct(marks, np.argsort(rough.reshape(len(cells), starts), axis=1), _FINE_STARTS)
    keep = np.ones(picks.shape, dtype=bool)
    keep[:, 1:] = picks[:, 1:] != picks[:, :1]
    cell, slot = np.nonzero(keep)
    start = known.at(sources[cell, picks[cell, slot]])
    found = search_cells(pool, problem, cell, start.W, start.b, seed + 1, start.inverse)
    return _best_per_cell(found, cell, len(cells))


def _search_crowded(
    problem: Problem,
    shape: tuple[int, int],
    density: ndarray,
    importance: ndarray,
    best: LocalMinima,
    random: int,
    seed: int,
    pool: Pool,
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
    found, starts = many_starts(problem, cells, random, seed + 100, pool)
    every = np.arange(shape[0] * shape[1])
    return _best_per_cell(
        LocalMinima.joined([best, found]), np.concatenate([every, np.repeat(cells, starts)]), len(every)
    )


def _freed_from_saddles(problem: Problem, best: LocalMinima, seed: int, pool: Pool) -> LocalMinima:
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
    b, inverse = np.tile(best.b[cells], (2, 1)), np.tile(best.inverse[cells], (2, 1, 1))
    found = search_cells(pool, problem, np.tile(cells, 2), W, b, seed + 200, inverse)
    every = np.arange(len(best.loss))
    return _best_per_cell(LocalMinima.joined([best, found]), np.concatenate([every, np.tile(cells, 2)]), len(every))


def _best_per_cell(found: LocalMinima, cell: ndarray, cells: int) -> LocalMinima:
    """The lowest minimum of every cell; of those that differ by rounding alone the first."""
    lowest = np.full(cells, np.inf)
    np.minimum.at(lowest, cell, found.loss)
    order = np.lexsort((found.loss > lowest[cell] * (1 + _SAME), cell))
    first = order[np.searchsorted(cell[order], np.arange(cells))]
    return found.at(first)


def _sweep(problem: Problem, shape: tuple[int, int], best: LocalMinima, seed: int, pool: Pool) -> LocalMinima:
    """
    Offer every cell its neighbours' solutions until none improves.

    Where optima tie, as at density 1 those do that differ in the signs of couplings, rounding would choose: a cell has
    what the next lower density has.
    """
    changed = np.ones(shape, dtype=bool)
    for sweep in range(_SWEEPS):
        cell, source = _offers(shape, changed)
        if not len(cell):
            break
        rough = rough_losses(problem, cell, best.W[source], best.b[source])
        marks = signature(best.W, best.b)
        distance = np.abs(marks[source] - marks[cell]).max(-1)
        # Another branch may win once refined; the same branch only if its cell was not converged.
        promising = (rough < best.loss[cell] * (1 - 1e-9)) | (
            (distance > SAME_BRANCH) & (rough < 1.05 * best.loss[cell])
        )
        cell, source = cell[promising], source[promising]
        changed = np.zeros(shape, dtype=bool)
        if not len(cell):
            break
        start = best.at(source)
        found = search_cells(pool, problem, cell, start.W, start.b, seed + 2 + sweep, start.inverse)
        apart = np.abs(signature(found.W, found.b) - marks[cell]).max(-1) > SAME_BRANCH
        tied = (source == cell - shape[1]) & apart & (found.loss <= best.loss[cell] * (1 + _TIED))
        better = np.argsort(-found.loss)  # of several offers the best is written last
        better = better[(tied | (found.loss < best.loss[cell] * (1 - 1e-9)))[better]]
        changed.flat[cell[better]] = True
        best = best.replaced(cell[better], found.at(better))
    return best


def _polish(problem: Problem, best: LocalMinima, pool: Pool) -> LocalMinima:
    """Converge the winners as far as rounding allows."""
    count = max(2, math.ceil(len(best.loss) / _POLISHED)) if few_nodes(problem) else 2
    parts = np.array_split(np.arange(len(best.loss)), count)
    jobs = [(problem.take(rows), best.W[rows], best.b[rows], best.inverse[rows]) for rows in parts]
    found = pool.map(_polish_part, jobs)
    return LocalMinima.joined(list(progress(found, label="polishing cells", sizes=[len(rows) for rows in parts])))


def _polish_part(problem: Problem, W: ndarray, b: ndarray, inverse: ndarray) -> LocalMinima:
    return refine(problem, W, b, inverse=inverse)


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
