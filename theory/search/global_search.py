"""The global optimum over all (W, b), and the local minima that compete with it.

Nothing proves that a minimum is global; what makes it likely is where the search starts. Every tegum product that fits
is a start, optimised first, so that the answer never loses to a geometry of the catalogue. Random starts find what has
no name. Dead features are repaired, and the best minima are shaken and refined again as long as that pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.curvature.newton import solve_stationary
from theory.geometry.recognition import recognise
from theory.geometry.tegum import tegum_products
from theory.model.problem import Problem
from theory.optimum.local_minima import LocalMinima, random_starts, refine, revive
from theory.optimum.named_geometry import Optimum, certified, optimise
from theory.tools.parallel import Pool, Workers, open_pool

__all__ = ["GlobalOptimum", "Minimum", "global_optimum"]

_MAX_FEATURES = 12
# While minima compete a gradient of 1e-6 (in units of the zero model's loss) ranks them.
_ROUGH, _ROUGH_ITERATIONS = 1e-6, 120
# Losses that differ by less than this part, and whose couplings' spectra by less than _SAME, are the same minimum up
# to rotations and permutations.
_SAME_LOSS, _SAME = 1e-6, 1e-2
# A loss below this part of the zero model's is none at all: anticorrelated pairs can be stored without any.
_NOTHING = 1e-10
_DEAD = 1e-3
# Basin hopping: minima that are shaken, shakes each, their size, and rounds at most.
_SHAKEN, _SHAKES, _SHAKE, _ROUNDS = 3, 4, 0.3, 3
# Starts that descend together; how they are divided does not depend on the workers.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Minimum:
    """
    A local minimum that the search met.

    Attributes
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    loss : float
        Population loss.
    geometry : str
        What it looks like (``recognise``).
    hits : int
        How many starts ended there.
    """

    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    loss: float
    geometry: str
    hits: int


@dataclass(frozen=True, eq=False)
class GlobalOptimum(Optimum):
    """
    The best solution found, with the fields of an ``Optimum`` and its competitors.

    Attributes
    ----------
    minima : tuple of Minimum
        Distinct local minima, the best first.
    """

    minima: tuple[Minimum, ...] = ()


def global_optimum(problem: Problem, seed: int = 0, starts: int | None = None, workers: Workers = 1) -> GlobalOptimum:
    """
    Search for the global optimum of the population loss over all (W, b).

    Parameters
    ----------
    problem : Problem
        A single problem with n <= 12 features, of any distribution.
    seed : int
        Seed of the random starts and shakes; the result is a function of problem, seed and starts.
    starts : int, optional
        Random starts; by default 32 up to five features, 16 beyond.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; the result does not depend on it.

    Returns
    -------
    GlobalOptimum
        The best solution, certified at a relative accuracy of 1e-9, named by ``recognise``, and all distinct local
        minima met. It is never worse than ``optimise`` for any geometry of the catalogue.

    Raises
    ------
    ValueError
        If the problem is a batch or has more than 12 features, or starts is negative.

    Examples
    --------
    >>> best = global_optimum(Problem(n=2, m=1, density=0.1), starts=4)
    >>> best.geometry, best.converged
    ('digon', True)
    """
    if problem.batch_shape:
        raise ValueError(f"global_optimum takes a single problem, got a batch of shape {problem.batch_shape}")
    if problem.n > _MAX_FEATURES:
        raise ValueError(
            f"global_optimum searches up to n = {_MAX_FEATURES} features, got {problem.n}; "
            "best_tegum_product goes further"
        )
    if starts is not None and starts < 0:
        raise ValueError(f"starts must not be negative, got {starts}")
    rng = np.random.default_rng(seed)
    with open_pool(workers) as pool:
        names = [product.name for product in tegum_products(problem.n, problem.m)]
        geometries = list(pool.map(optimise, [(problem, name) for name in names]))
        found = _searched(problem, geometries, starts, rng, pool)
    groups = _distinct(problem, found)
    groups = _hopped(problem, groups, rng)
    return _reported(problem, groups, geometries)


def _searched(
    problem: Problem, geometries: Sequence[Optimum], starts: int | None, rng: np.random.Generator, pool: Pool
) -> LocalMinima:
    """Refine the catalogue's geometries, each also shaken off saddle points, and random starts."""
    count = (32 if problem.n <= 5 else 16) if starts is None else starts
    W, b = random_starts(problem, count, rng)
    exact_W, exact_b = np.array([g.W for g in geometries]), np.array([g.b for g in geometries])
    off_saddles = exact_W + 1e-2 * rng.standard_normal(exact_W.shape)
    W, b = np.concatenate([exact_W, off_saddles, W]), np.concatenate([exact_b, exact_b, b])
    if len(W) <= _CHUNK:
        return _descended(problem, W, b, rng)
    rows = np.split(np.arange(len(W)), range(_CHUNK, len(W), _CHUNK))
    jobs = [(problem, W[some], b[some], each) for some, each in zip(rows, rng.spawn(len(rows)), strict=True)]
    return LocalMinima.joined(list(pool.map(_descended, jobs)))


def _descended(problem: Problem, W: ndarray, b: ndarray, rng: np.random.Generator) -> LocalMinima:
    batch = problem.repeated(len(W))
    found = refine(batch, W, b, tolerance=_ROUGH, iterations=_ROUGH_ITERATIONS)
    return revive(batch, found, rng)


def _fingerprint(problem: Problem, W: Float[ndarray, "m n"], b: Float[ndarray, " n"]) -> Float[ndarray, " s"]:
    """Numbers that do not change when hidden space is rotated or equal features are exchanged."""
    G = W.T @ W
    norms = np.diag(G)
    b = np.where((norms < _DEAD**2) & (b < 0), 0.0, b)  # the bias of an output that never fires is arbitrary
    placed = [problem.importance @ norms, problem.density @ norms, problem.importance @ b, problem.density @ b]
    return np.concatenate([np.linalg.eigvalsh(G), np.sort(norms), np.sort(b), np.sort((G**2).sum(1)), placed])


def _distinct(problem: Problem, found: LocalMinima, known: Sequence[Minimum] = ()) -> list[Minimum]:
    """Group minima that are the same; best first."""
    groups: list[list] = [[m.W, m.b, m.loss, m.hits, _fingerprint(problem, m.W, m.b)] for m in known]
    floor = _NOTHING * problem.zero_loss
    for k in np.argsort(found.loss, kind="stable"):
        if groups and not found.converged[k] and found.loss[k] >= min(group[2] for group in groups):
            continue  # a search that was cut short is of interest only if it leads
        mark, loss = _fingerprint(problem, found.W[k], found.b[k]), float(found.loss[k])
        for group in groups:
            if abs(loss - group[2]) <= _SAME_LOSS * group[2] + floor and np.abs(mark - group[4]).max() < _SAME:
                group[3] += 1
                break
        else:
            groups.append([found.W[k], found.b[k], loss, 1, mark])
    groups.sort(key=lambda group: group[2])
    return [Minimum(W, b, loss, "", hits) for W, b, loss, hits, _ in groups]


def _hopped(problem: Problem, groups: list[Minimum], rng: np.random.Generator) -> list[Minimum]:
    """Shake the best minima and refine, until that finds none better."""
    for _ in range(_ROUNDS):
        best = groups[0].loss
        parents = groups[:_SHAKEN]
        W = np.repeat([m.W for m in parents], _SHAKES, axis=0)
        b = np.repeat([m.b for m in parents], _SHAKES, axis=0)
        W = W + _SHAKE * rng.standard_normal(W.shape)
        for k in range(0, len(W), 2):  # every other shake also exchanges two features
            i, j = rng.choice(problem.n, 2, replace=False) if problem.n > 1 else (0, 0)
            W[k][:, [i, j]], b[k][[i, j]] = W[k][:, [j, i]], b[k][[j, i]]
        groups = _distinct(problem, _descended(problem, W, b, rng), groups)
        if groups[0].loss >= best * (1 - _SAME_LOSS) - _NOTHING * problem.zero_loss:
            break
    return groups


def _polished(problem: Problem, minimum: Minimum) -> Optimum:
    """Converge a minimum to the last digits, by Newton's method where it is smooth, by descent where not."""
    point = solve_stationary(minimum.W, minimum.b, problem)
    W, b = (point.W, point.b) if point.expansion.loss <= minimum.loss * (1 + 1e-9) else (minimum.W, minimum.b)
    if not point.converged:
        again = refine(problem.repeated(1), W[None], b[None])
        W, b = again.W[0], again.b[0]
    return certified(W, b, problem, recognise(W).name)


def _reported(problem: Problem, groups: Sequence[Minimum], geometries: Sequence[Optimum]) -> GlobalOptimum:
    """Certify the winner; search losses are of less accuracy than the geometries' own."""
    close = [m for m in groups[:3] if m.loss <= groups[0].loss + 1e-4 * problem.zero_loss]
    candidates = [_polished(problem, m) for m in close]
    candidates += [g for g in geometries if g.loss < min(c.loss for c in candidates)]
    best = min(candidates, key=lambda c: c.loss)
    named = tuple(Minimum(m.W, m.b, m.loss, recognise(m.W).name, m.hits) for m in groups)
    return GlobalOptimum(
        W=best.W,
        b=best.b,
        loss=best.loss,
        geometry=recognise(best.W).name,
        converged=best.gradient_norm <= 1e-6,
        message=best.message,
        gradient_norm=best.gradient_norm,
        problem=problem,
        minima=named,
    )
