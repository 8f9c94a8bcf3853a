"""Searches in the cells of a phase diagram: their problems, where searches start, and which results are the same.

A cell is one problem of a batch: a density of all features and an importance of the last, the extra feature.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.geometry.phases import ideal_candidates
from theory.geometry.tegum import tegum_products
from theory.loss.accuracy import AccuracyWarning
from theory.loss.enumeration import max_features
from theory.loss.objective import losses
from theory.loss.outputs import output_values
from theory.model.problem import Problem
from theory.model.terms import Terms
from theory.model.values import ValueLaw
from theory.optimum.local_minima import LocalMinima, few_nodes, random_starts, refine, revive, search_nodes
from theory.phase_diagram.solutions import distinct, signature
from theory.tools.command import progress
from theory.tools.parallel import Pool

__all__ = ["is_quick", "many_starts", "rough_losses", "search_cells"]

# Of the idealised candidates and the catalogue's geometries, the most promising start the search of a coarse cell.
_KEPT_SEEDS = 10
# Starts are sent to the workers in an even number of chunks of at most so many: where starts are cheap, calls that few
# of them still need cost most, and chunks are large. Up to so many cells of two features are not even divided.
# Where errors are integrated to an accuracy every start costs much: chunks are done in seconds.
_CHEAP, _CHUNK_OF_CHEAP, _CHUNK, _UNDIVIDED, _CHUNK_OF_DEAR = 3, 4000, 100, 5000, 80
# While branches compete a gradient of 1e-6 (in units of the zero model's loss) ranks them; the winners are polished.
_ROUGH, _ROUGH_ITERATIONS = 1e-6, 150
_RANKED = 1e-4
# Until the gradient is this small, half the nodes show the way where their number is fixed. Of a cell's many starts the
# best so many that still differ then are followed to the end.
_FAR, _FOLLOWED = 1e-3, 6


def is_quick(n: int, cells: int, values: ValueLaw, terms: Terms) -> bool:
    """
    Say whether cells are searched in less time than other processes take to start: calls then cost more than all else.

    Parameters
    ----------
    n : int
        Number of features.
    cells : int
        Number of cells.
    values : ValueLaw
        Law of an active feature's value.
    terms : Terms
        Terms of the loss.

    Returns
    -------
    bool
        True for two features whose errors are enumerated, on a grid that is not too fine.
    """
    return n <= 2 and n <= max_features(values) and terms.plain and cells <= _UNDIVIDED


def rough_losses(
    problem: Problem, cells: ndarray, W: ndarray, b: ndarray, alike: ndarray | None = None
) -> Float[ndarray, " k"]:
    """
    Give the loss of solutions in given cells, cheaply: enough to rank them.

    Parameters
    ----------
    problem : Problem
        The batch of all cells.
    cells : ndarray of int, shape (k,)
        The cell of every solution.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.
    alike : ndarray of int, shape (k,), optional
        Equal where solutions and densities are: errors, which importances only weigh, are then computed once.

    Returns
    -------
    ndarray, shape (k,)
        Losses, to 1e-4 where quadrature is needed.
    """
    if alike is None or not problem.terms.plain:
        return losses(problem.take(cells), W, b, rtol=_RANKED)
    _, first, which = np.unique(alike, return_index=True, return_inverse=True)
    with warnings.catch_warnings():  # that few digits are enough is known
        warnings.simplefilter("ignore", AccuracyWarning)
        V = W[first]
        errors = output_values(V.swapaxes(-1, -2) @ V, b[first], problem.take(cells[first]), _RANKED)
    return np.asarray((problem.importance[cells] * errors[which]).sum(-1))


def search_cells(
    pool: Pool,
    problem: Problem,
    cells: ndarray,
    W: ndarray,
    b: ndarray,
    seed: int,
    inverse: ndarray | None = None,
) -> LocalMinima:
    """
    Refine starts, each in its own cell, chunk by chunk over the pool; chunks do not depend on the workers.

    Parameters
    ----------
    pool : Pool
        Runs the chunks.
    problem : Problem
        The batch of all cells.
    cells : ndarray of int, shape (k,)
        The cell of every start.
    W : ndarray, shape (k, m, n)
        Starting embeddings.
    b : ndarray, shape (k, n)
        Starting biases.
    seed : int
        Seed of the repair of dead features.
    inverse : ndarray, shape (k, d, d), optional
        What is known of the inverse Hessians.

    Returns
    -------
    LocalMinima
        One per start, in the same order.
    """
    return _by_chunks(pool, _search_chunk, problem, cells, W, b, seed, inverse)


def _by_chunks(
    pool: Pool,
    search: Callable[..., LocalMinima],
    problem: Problem,
    cells: ndarray,
    W: ndarray,
    b: ndarray,
    seed: int,
    inverse: ndarray | None,
) -> LocalMinima:
    """
    Run one of the searches below over the pool.

    Of c chunks each takes every c-th start: neighbouring cells take about as long, and so do then all chunks.
    """
    size = _CHUNK_OF_DEAR if few_nodes(problem) else _CHUNK_OF_CHEAP if problem.n <= _CHEAP else _CHUNK
    undivided = is_quick(problem.n, len(problem.importance), problem.features.values, problem.terms)
    count = min(1 if undivided else 2 * math.ceil(len(cells) / (2 * size)), len(cells))
    chunks = [np.arange(k, len(cells), count) for k in range(count)]
    jobs = [
        (problem.take(cells[rows]), W[rows], b[rows], (seed, k), None if inverse is None else inverse[rows])
        for k, rows in enumerate(chunks)
    ]
    found = pool.map(search, jobs)
    joined = LocalMinima.joined(list(progress(found, label="searches", sizes=[len(rows) for rows in chunks])))
    return joined.at(np.argsort(np.concatenate(chunks)))


def _search_chunk(
    problem: Problem, W: ndarray, b: ndarray, seed: Sequence[int], inverse: ndarray | None
) -> LocalMinima:
    if _approached(problem):
        there = _approach_chunk(problem, W, b, seed, inverse)
        W, b, inverse = there.W, there.b, there.inverse
    found = refine(problem, W, b, _ROUGH, _ROUGH_ITERATIONS, inverse)
    return revive(problem, found, np.random.default_rng(seed), _ROUGH, _ROUGH_ITERATIONS)


def _approached(problem: Problem) -> bool:
    """Whether searches are dear, and go on from their most promising ends only."""
    return bool(search_nodes(problem)) or (problem.terms.plain and few_nodes(problem))


def _approach_chunk(
    problem: Problem, W: ndarray, b: ndarray, seed: Sequence[int], inverse: ndarray | None
) -> LocalMinima:
    """Show the way, with half the nodes where their number is fixed."""
    nodes = search_nodes(problem)
    return refine(problem, W, b, _FAR, _ROUGH_ITERATIONS, inverse, nodes=nodes and nodes // 2)


def many_starts(problem: Problem, cells: ndarray, random: int, seed: int, pool: Pool) -> tuple[LocalMinima, int]:
    """
    Search cells from their promising seeds and from random starts.

    Parameters
    ----------
    problem : Problem
        The batch of all cells.
    cells : ndarray of int, shape (k,)
        Cells to search.
    random : int
        Random starts in each.
    seed : int
        Seed of the random starts.
    pool : Pool
        Runs the searches.

    Returns
    -------
    found : LocalMinima
        Results, cell by cell.
    starts : int
        How many of them each cell has.
    """
    n, m = problem.n, problem.m
    rng = np.random.default_rng(seed)
    W_seed, b_seed = _promising_seeds(problem, cells)
    W_random, b_random = random_starts(problem, len(cells) * random, rng)
    W = np.concatenate([W_seed, W_random.reshape(len(cells), random, m, n)], axis=1)
    # Exact symmetries are saddle points as often as minima: break them a little.
    W = W + 0.02 * rng.standard_normal(W.shape)
    b = np.concatenate([b_seed, b_random.reshape(len(cells), random, n)], axis=1)
    starts = W.shape[1]
    start, cell = (W.reshape(-1, m, n), b.reshape(-1, n)), np.repeat(cells, starts)
    if not _approached(problem):
        return search_cells(pool, problem, cell, *start, seed), starts
    there = _by_chunks(pool, _approach_chunk, problem, cell, *start, seed, None)
    order = np.argsort(there.loss.reshape(len(cells), starts), axis=1)
    picks = distinct(signature(there.W, there.b).reshape(len(cells), starts, -1), order, _FOLLOWED)
    there, cell = there.at((np.arange(len(cells))[:, None] * starts + picks).ravel()), np.repeat(cells, _FOLLOWED)
    return search_cells(pool, problem, cell, there.W, there.b, seed, there.inverse), _FOLLOWED


def _promising_seeds(
    problem: Problem, cells: ndarray
) -> tuple[Float[ndarray, "cells kept m n"], Float[ndarray, "cells kept n"]]:
    """The seeds of lowest loss in every cell, with the mean as bias of what they leave out."""
    seeds = _seeds(problem.n, problem.m)
    W = np.broadcast_to(seeds, (len(cells), *seeds.shape))
    b = np.where((W == 0).all(2), problem.features.mean[cells][:, None, :], 0.0)
    count = W.shape[1]
    density = np.unique(problem.features.density[cells, 0], return_inverse=True)[1]
    alike = density[:, None] * count + np.arange(count)
    solutions = W.reshape(-1, *W.shape[2:]), b.reshape(-1, problem.n)
    rough = rough_losses(problem, np.repeat(cells, count), *solutions, alike.ravel())
    best = np.argsort(rough.reshape(len(cells), count), axis=1, kind="stable")[:, :_KEPT_SEEDS]
    rows = np.arange(len(cells))[:, None]
    return W[rows, best], b[rows, best]


def _seeds(n: int, m: int) -> Float[ndarray, "seeds m n"]:
    """Embeddings of the idealised candidates, and of tegum products with the extra feature in every kind of factor."""
    seeds = [candidate.embedding for candidate in ideal_candidates(n, m).values()]
    for product in tegum_products(n, m):
        W = product.embedding(m=m)
        last_vertices = np.cumsum([factor.v for factor in product.polytopes]) - 1
        for last in dict(zip((factor.name for factor in product.polytopes), last_vertices, strict=True)).values():
            seeds.append(W[:, [j for j in range(n) if j != last] + [int(last)]])
    return np.array(seeds)
