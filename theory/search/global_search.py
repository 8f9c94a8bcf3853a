"""The global optimum over all (W, b), and the local minima that compete with it.

Whether a minimum is global is proved only where its loss is zero. Elsewhere it is made likely: starts of different
kinds are drawn, each is run down to a local minimum and on by exchanges of features until none helps, and this goes on
until the best solution has been found again and again and starts hardly ever end where none did before. The result
says how often (``record``), and whether that was enough (``status``).
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.geometry.recognition import recognise
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.terms import PLAIN
from theory.model.value_units import in_units
from theory.optimum.landscape import Landscape
from theory.optimum.named_geometry import Optimum, certified
from theory.optimum.with_terms import recognised
from theory.search.exchanges import climb, try_all
from theory.search.large_search import Found, Start, search_large
from theory.search.minima import GAIN, Pool, settle
from theory.search.record import SearchRecord, certainty, least_loss
from theory.search.solution import CLOSE, GlobalOptimum, Minimum
from theory.search.starts import product_starts, random_points, subset_points
from theory.tools.command import ticking_bar
from theory.tools.locking import locked
from theory.tools.parallel import Workers, check_workers
from theory.tools.seeds import Seed, seed_number

__all__ = ["global_optimum", "searched"]

_MAX_FEATURES = 12
# Rounds at most, and starts of a round: random ones, and random ones of some features.
_ROUNDS, _RANDOM, _SUBSET = 12, 8, 6
# Gradient at the end, in units of the zero model's loss, and the relative accuracy of losses that are not enumerated.
_POLISHED, _RTOL = 1e-9, 1e-9
# Losses that are enumerated are known to this part of the zero model's.
_ROUNDING = 1e-13
# Competitors at most that are looked at again with the full accuracy.
_CLOSEST = 3
# Gradient, in the same units, at which a result counts as converged.
_FLAT = 1e-6
# Minima that are listed in the result.
_LISTED = 40


def global_optimum(
    problem: Problem,
    seed: Seed = 0,
    starts: int | None = None,
    given: Sequence[tuple[ArrayLike, ...]] = (),
    progress: bool = False,
    workers: Workers = 1,
) -> GlobalOptimum:
    """
    Search for the global optimum of the population loss over all (W, b).

    Parameters
    ----------
    problem : Problem
        A single problem, of any distribution.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the random starts; the result is a function of problem, seed and starts, and keeps the
        number that repeats it.
    starts : int, optional
        Random starts. By default rounds of 14 follow one another until the best solution has been found often enough
        (``SearchRecord.repeated``), at most twelve. Up to 12 features only.
    given : sequence of (W, b) or (W, b, W_out)
        Further starts, W of shape (m, n) and b of shape (n,), such as learned models; W_out of shape (n, m) where the
        problem's terms make it free.
    progress : bool
        Whether a bar shows on a terminal how far a search has got that takes long.
    workers : int or str
        Processes for the starts of a search with more than 12 features, or the address of a Dask scheduler; the result
        does not depend on it. Smaller searches run all starts at once in this process.

    Returns
    -------
    GlobalOptimum
        The best solution, certified at a relative accuracy of 1e-9 and named by ``recognise``; the lowest local minima
        met; the search's record, and the status that follows from it. No exchange of two features of the solution,
        and no change of whether one is stored, leads to a better one.

    Raises
    ------
    ValueError
        If the problem is a batch, starts is negative, a given start does not fit, or the problem has terms and no
        minimum, or more than 12 features.

    Notes
    -----
    Beyond 12 features far fewer starts compete, by quasi-Newton descents where Hessians are expensive, and only
    exchanges that look likely are tried (theory.search.large_search): the status is then seldom more than "best
    known", and ``minima`` is empty.

    Examples
    --------
    >>> best = global_optimum(Problem(n=2, m=1, density=0.1))
    >>> best.geometry, best.converged, best.status
    ('digon', True, 'repeated')
    """
    require_problem(problem)
    if problem.batch_shape:
        raise ValueError(f"global_optimum takes a single problem, got a batch of shape {problem.batch_shape}")
    if starts is not None and starts < 0:
        raise ValueError(f"starts must not be negative, got {starts}")
    check_workers(workers)
    number = seed_number(seed)
    inner, size = in_units(problem)
    points = [(W, np.asarray(b) / size, *decoder) for W, b, *decoder in given] if size != 1 else given
    found = _found(inner, number, starts, points, progress, workers)
    return replace(found.in_problem(problem, size), seed=number)


def _found(
    problem: Problem,
    seed: int,
    starts: int | None,
    given: Sequence[tuple[ArrayLike, ...]],
    progress: bool,
    workers: Workers,
) -> GlobalOptimum:
    """The search that fits the problem."""
    if not problem.terms.plain:
        return _with_terms(problem, seed, starts, given, progress, workers)
    points = [problem.checked(W, b) for W, b in given]
    if least_loss(problem):
        return _nothing_stored(problem)
    if problem.n > _MAX_FEATURES:
        return _large(
            problem, search_large(problem, seed, [Start("given", *point) for point in points], progress, workers)
        )
    if starts is None:
        return searched(problem, seed, given=points, progress=progress)
    search = _Search(problem, np.random.default_rng(seed))
    search.from_products()
    search.from_given(points)
    search.from_random(starts, 0)
    search.exchange_all()
    return _reported(search)


def _nothing_stored(problem: Problem) -> GlobalOptimum:
    """The zero model, which nothing is better than where no value is positive."""
    found = certified(np.zeros((problem.m, problem.n)), np.zeros(problem.n), problem, f"{problem.n} unrepresented")
    record = SearchRecord({}, {}, 0, 0, {}, np.nan, True)
    return GlobalOptimum(**{f.name: getattr(found, f.name) for f in fields(found)}, record=record, status="proved")


def _with_terms(
    problem: Problem,
    seed: int,
    starts: int | None,
    given: Sequence[tuple[ArrayLike, ...]],
    progress: bool,
    workers: Workers,
) -> GlobalOptimum:
    """Go on from the minima of the problem without terms."""
    from theory.loss.terms import checked_parameters
    from theory.search.with_terms import search_with_terms

    points = [checked_parameters(problem, *point) for point in given]
    plain = global_optimum(replace(problem, terms=PLAIN), seed, starts, progress=progress, workers=workers)
    minima = [(plain.W, plain.b, None), *((other.W, other.b, None) for other in plain.minima)]
    best, found, record, status = search_with_terms(problem, seed, starts, points, minima, progress)
    decoders = found.W_out if found.W_out is not None else [None] * len(found.W)
    listed = tuple(
        Minimum(W, b, float(loss), recognised(W, V), 0, V)
        for W, b, loss, V in zip(found.W, found.b, found.loss, decoders, strict=True)
    )
    same = {f.name: getattr(best, f.name) for f in fields(best)}
    return GlobalOptimum(**same, minima=listed, record=record, status=status)


def searched(
    problem: Problem,
    seed: int,
    rounds: int = _ROUNDS,
    at_least: int = 0,
    given: Sequence[tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]] = (),
    progress: bool = False,
) -> GlobalOptimum:
    """
    Search in rounds, as long as it takes.

    Parameters
    ----------
    problem : Problem
        A single problem.
    seed : int
        Seed of the random starts.
    rounds : int
        Rounds at most.
    at_least : int
        Starts of all kinds to make, however often the best is found again; by default as many as that takes.
    given : sequence of (W, b)
        Further starts.
    progress : bool
        Whether to count stages on a terminal, if the search takes long.

    Returns
    -------
    GlobalOptimum
        As from ``global_optimum``.
    """
    search = _Search(problem, np.random.default_rng(seed))
    with ticking_bar("stages of the search", wanted=progress) as step:
        search.from_products()
        step()
        search.from_given(given)
        for _ in range(rounds):
            search.from_random(_RANDOM, _SUBSET)
            step()
            search.exchange_all()
            step()
            record = search.record()
            enough = record.total >= at_least if at_least else record.repeated
            if enough or search.solved:
                break
    return _reported(search)


class _Search:
    """Minima met so far, and where every start led to."""

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.landscape, self.rng = Landscape(problem), rng
        self.pool = Pool(self.landscape)
        self.ends: dict[str, list[int]] = {}
        self.reference = np.nan
        self.tried: set[int] = set()  # minima all of whose exchanges were descended from

    @property
    def solved(self) -> bool:
        """Whether a loss of zero has been reached."""
        return self.pool.value[self.pool.best()] <= _ROUNDING

    def from_products(self) -> None:
        """Start from the catalogue."""
        x, self.reference = product_starts(self.landscape, self.rng)
        self._run("product", x)

    def from_given(self, points: Sequence[tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]]) -> None:
        """Start from what the caller gives."""
        for W, b in points:
            self._run("given", self.landscape.join(np.array(W)[None], np.array(b)[None]))

    def from_random(self, all_features: int, some_features: int) -> None:
        """Start from random weights."""
        if all_features:
            self._run("random", random_points(self.landscape, all_features, self.rng))
        if some_features:
            self._run("subset", subset_points(self.landscape, some_features, self.rng))

    def _run(self, kind: str, x: Float[ndarray, "k d"]) -> None:
        met = self.pool.add(settle(self.landscape, x, self.rng, gain=GAIN))
        climb(self.pool, met, self.rng)
        self.ends.setdefault(kind, []).extend(met.tolist())

    def exchange_all(self) -> None:
        """Try every exchange of the best minimum, and go on from what is better, until none is."""
        while (best := self.pool.best()) not in self.tried:
            self.tried.add(best)
            better = try_all(self.pool, best, self.rng)
            if better != best:
                self.pool.better[best] = better
                climb(self.pool, np.array([better]), self.rng)

    def record(self) -> SearchRecord:
        """What was done, and how often the best was found."""
        pool, best = self.pool, self.pool.best()
        final = {kind: [pool.followed(k) for k in ends] for kind, ends in self.ends.items()}
        _, count = np.unique(np.concatenate([*final.values()]), return_counts=True)
        lowest = pool.value[best]
        return SearchRecord(
            starts_by_kind={kind: len(ends) for kind, ends in final.items()},
            hits={kind: sum(not pool.lower(lowest, pool.value[k]) for k in ends) for kind, ends in final.items()},
            distinct=len(count),
            seen_once=int((count == 1).sum()),
            best_by_kind={k: min(pool.value[e] for e in ends) * self.landscape.scale for k, ends in final.items()},
            reference_gap=self.reference / lowest - 1 if lowest > _ROUNDING else np.nan,
            exchanges_tried=best in self.tried,
        )


def _reported(search: _Search) -> GlobalOptimum:
    """Polish the minima that may be the best, certify the winner, and name it and its competitors."""
    pool, landscape = search.pool, search.landscape
    order = np.argsort(pool.value, kind="stable")
    close = [int(k) for k in order[:_CLOSEST] if pool.value[k] <= pool.value[order[0]] * (1 + CLOSE) + _ROUNDING]
    polished = [_polished(landscape, pool.x[k]) for k in close]
    best, error = min(polished, key=lambda found: found[0].loss)
    record = search.record()
    return GlobalOptimum(
        W=best.W,
        b=best.b,
        loss=best.loss,
        geometry=best.geometry,
        converged=best.converged,
        message=best.message,
        gradient_norm=best.gradient_norm,
        problem=landscape.problem,
        minima=_named(search, order[:_LISTED]),
        loss_error=error,
        record=record,
        status=certainty(record, best.loss, error, landscape.scale),
    )


def _large(problem: Problem, found: Found) -> GlobalOptimum:
    """The result of a search with more features than all exchanges are tried for."""
    name, size, unit = recognise(found.W).name, found.gradient_norm, float(problem.zero_loss)
    converged = size <= _FLAT
    message = f"The gradient vanishes to {size:.1e}."
    if not converged:
        message = f"The largest gradient component is {size:.1e} of the zero model's loss, above {_FLAT:g}."
    return GlobalOptimum(
        W=locked(found.W),
        b=locked(found.b),
        loss=found.loss,
        geometry=name,
        converged=converged,
        message=message,
        gradient_norm=size,
        problem=problem,
        loss_error=found.loss_error,
        record=found.record,
        status=certainty(found.record, found.loss, _ROUNDING * unit, unit),
    )


def _polished(landscape: Landscape, x: Float[ndarray, " d"]) -> tuple[Optimum, float]:
    """Converge a minimum to the last digits; give its loss's error, too."""
    problem = landscape.problem
    exact = Landscape(problem, _RTOL)
    end = settle(exact, x[None], np.random.default_rng(0), _POLISHED)
    W, b = (part[0] for part in exact.split(end.x))
    found = certified(W, b, problem, recognise(W).name, limit=_FLAT)
    rounding = _ROUNDING * landscape.scale
    return found, rounding + (0.0 if exact.enumerated else max(_RTOL * found.loss, found.loss_error))


def _named(search: _Search, which: Int[ndarray, " k"]) -> tuple[Minimum, ...]:
    """The lowest minima, with how many starts ended in each."""
    pool, hits = search.pool, np.zeros(len(search.pool.x), dtype=int)
    for met in (k for ends in search.ends.values() for k in ends):
        hits[list({met, pool.followed(met)})] += 1
    found = []
    for k in which.tolist():
        W, b = (part[0] for part in search.landscape.split(pool.x[k][None]))
        found.append(Minimum(W, b, pool.value[k] * search.landscape.scale, recognise(W).name, int(hits[k])))
    return tuple(found)
