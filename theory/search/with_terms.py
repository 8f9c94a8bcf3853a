"""The global optimum of a problem with terms, over all its free parameters.

Starts are the minima of the same problem without terms, and random ones with all features or some. As in
theory.search.global_search they are run down in rounds until the best has been found often enough, and exchanges of two
features of the best are tried. Minima are told apart by their losses.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.objective import Objective
from theory.model.problem import Problem
from theory.optimum.local_minima import LocalMinima, random_starts, refine
from theory.optimum.named_geometry import Optimum
from theory.optimum.steep_outputs import has_steep_outputs, steepness
from theory.optimum.with_terms import certified_with_terms, refine_with_terms
from theory.search.decoder_starts import decoder_starts
from theory.search.record import SearchRecord, Status, certainty, least_loss
from theory.tools.command import ticking_bar

__all__ = ["search_with_terms"]

_MAX_FEATURES = 12
_ROUNDS, _RANDOM, _SUBSET, _PLAIN, _LISTED = 12, 8, 6, 10, 40
# Starts of a round whose outputs may be steep: random ones lead there seldom.
_FREE_RANDOM, _FREE_SUBSET, _DECODER = 2, 2, 10
# Descents of each of these, how many of a batch are descended from on, the gain, as part of the loss, that
# is none, and how often that may go on.
_ROUGH, _FINISHED, _SETTLED, _AGAIN = 2, 3, 1e-9, 6
# Losses that differ by less than this part of the zero model's are those of the same minimum; by less than that one,
# of the same digits.
_SAME, _TIED = 1e-7, 1e-10
# Outputs steeper than this have run away.
_ENDLESS = 1e4

Point = tuple[Float[ndarray, "m n"], Float[ndarray, " n"], Float[ndarray, "n m"] | None]


class _Search:
    """Minima that starts led to."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self.rng = problem, np.random.default_rng(seed)
        self.scale = float(problem.zero_loss)
        self.steep = has_steep_outputs(problem)
        self.found: list[LocalMinima] = []
        self.kinds: list[str] = []
        self.exchanged = -np.inf  # loss of the best, all of whose exchanges were tried

    def run(self, kinds: Sequence[str], points: Sequence[Point]) -> None:
        """Descend from points, each of its kind."""
        if not points:
            return
        objective = Objective(self.problem)
        x = np.array([objective.join(*point) for point in points])
        W, b, W_out = objective.split(x)
        if self.steep:
            minima = refine_with_terms(self.problem.repeated(len(points)), W, b, W_out, rounds=_ROUGH)
        else:
            minima = refine(self.problem.repeated(len(points)), W, b, W_out=W_out)
        self.found.append(minima)
        self.kinds += kinds

    def _on(self, minima: LocalMinima, which: Int[ndarray, " some"]) -> LocalMinima:
        """Go on with some minima whose outputs may be steep."""
        some = minima.at(which)
        more = refine_with_terms(self.problem.repeated(len(which)), some.W, some.b, some.W_out)
        better = more.loss < some.loss
        return minima.replaced(which[better], more.at(np.flatnonzero(better)))

    def finish(self, times: int = _AGAIN) -> None:
        """Go on with the best, whose outputs may be steep, until that gains nothing."""
        for _ in range(times if self.steep else 0):
            every = self.all
            lowest = every.loss.min()
            every = self._on(every, np.argsort(every.loss)[:_FINISHED])
            self.found = [every]
            if every.loss.min() >= lowest * (1 - _SETTLED):
                return

    @property
    def all(self) -> LocalMinima:
        """Everything that was found."""
        return LocalMinima.joined(self.found)

    def from_plain(self, minimum: Point) -> None:
        """Start where the problem without terms has a minimum, freed from its symmetry."""
        W, b, _ = minimum
        kick = 0.02 * self.rng.standard_normal(W.shape)
        self.run(["product"], [(W + kick, b, None)])

    def from_random(self) -> None:
        """Start from random weights, of all features and of some; from the best outputs of some where they are free."""
        drawn = list(self._drawn())
        for some in [drawn] if self.steep else [[one] for one in drawn]:
            kinds = [kind for kind, points in some for _ in points]
            self.run(kinds, [point for _, points in some for point in points])

    def _drawn(self) -> Iterator[tuple[str, list[Point]]]:
        n, tied = self.problem.n, self.problem.terms.tied
        if self.steep:
            yield "decoder", list(zip(*decoder_starts(self.problem, _DECODER, self.rng), strict=True))
        numbers = (_FREE_RANDOM, _FREE_SUBSET) if self.steep else (_RANDOM, _SUBSET)
        for kind, count in zip(("random", "subset"), numbers, strict=True):
            W, b = random_starts(self.problem, count, self.rng)
            V = np.swapaxes(random_starts(self.problem, count, self.rng)[0], 1, 2)
            if kind == "subset":
                kept = np.array([self.rng.permutation(n) < self.rng.integers(1, n + 1) for _ in range(count)])
                W, V = W * np.where(kept, 1.0, 0.05)[:, None], V * np.where(kept, 1.0, 0.05)[..., None]
                b = np.where(kept, b, self.problem.features.mean)
            yield kind, [(W[k], b[k], None if tied else V[k]) for k in range(count)]

    def _lowest(self) -> tuple[int, float]:
        """Number and loss of the best."""
        loss = self.all.loss
        best = int(np.argmin(loss))
        return best, float(loss[best])

    def exchange_all(self) -> None:
        """Try every exchange of two features of the best, until none helps."""
        while True:
            best, lowest = self._lowest()
            if lowest >= self.exchanged - _SAME * self.scale and np.isfinite(self.exchanged):
                return
            if self.steep:
                self.finish(1)
                best, lowest = self._lowest()
            every = self.all
            self.exchanged = lowest
            W, b, V = every.W[best], every.b[best], None if every.W_out is None else every.W_out[best]
            kinds, points = self.problem.exchangeable, []
            for i in range(self.problem.n):
                for j in range(i):
                    if kinds[i] != kinds[j]:
                        order = np.arange(self.problem.n)
                        order[[i, j]] = j, i
                        points.append((W[:, order], b[order], None if V is None else V[order]))
            if not points:
                return
            self.run(["exchange"] * len(points), points)

    def record(self) -> SearchRecord:
        """What was done; minima that exchanges led to count as found, but not as starts."""
        loss, kind = self.all.loss, np.array(self.kinds)
        lowest, start = loss.min(), kind != "exchange"
        label = np.round((loss - lowest) / (_SAME * self.scale)).astype(int)
        _, count = np.unique(label[start], return_counts=True)
        names = sorted(set(kind[start].tolist()))
        return SearchRecord(
            starts_by_kind={name: int((kind == name).sum()) for name in names},
            hits={name: int(((kind == name) & (loss <= lowest + _SAME * self.scale)).sum()) for name in names},
            distinct=len(count),
            seen_once=int((count == 1).sum()),
            best_by_kind={name: float(loss[kind == name].min()) for name in names},
            reference_gap=float("nan"),
            exchanges_tried=bool(lowest >= self.exchanged - _SAME * self.scale),
        )


def search_with_terms(
    problem: Problem,
    seed: int,
    starts: int | None,
    given: Sequence[Point],
    minima: Sequence[Point],
    progress: bool = False,
) -> tuple[Optimum, LocalMinima, SearchRecord, Status]:
    """
    Search for the global optimum of a problem with terms.

    Parameters
    ----------
    problem : Problem
        A single problem.
    seed : int
        Seed of the random starts.
    starts : int, optional
        Random starts, rounded up to whole rounds of 14; by default as many as it takes.
    given, minima : sequence of (W, b, W_out)
        Starts of the caller, and minima of the problem without terms.
    progress : bool
        Whether to count stages on a terminal, if the search takes long.

    Returns
    -------
    best : Optimum
        The best solution.
    found : LocalMinima
        Distinct minima, the best first.
    record : SearchRecord
        What was done.
    status : str
        How sure the result is.

    Raises
    ------
    ValueError
        If there are more than 12 features, or the loss has no minimum.
    """
    if problem.n > _MAX_FEATURES:
        raise ValueError(f"with terms the optimum is searched for up to {_MAX_FEATURES} features, got {problem.n}")
    problem.terms.require_optimum()
    search = _Search(problem, seed)
    rounds = _ROUNDS if starts is None else -(-starts // (_RANDOM + _SUBSET))
    with ticking_bar("stages of the search with terms", wanted=progress) as step:
        for minimum in minima[:_PLAIN]:
            search.from_plain(minimum)
            step()
        search.run(["given"] * len(given), given)
        for _ in range(rounds):
            search.from_random()
            step()
            search.exchange_all()
            step()
            if starts is None and search.record().repeated:
                break
        if not rounds:
            search.exchange_all()
        search.finish()
    every = search.all
    # of those that rounding alone tells apart first the one that has converged
    tied = np.floor((every.loss - every.loss.min()) / (_TIED * search.scale))
    order = np.lexsort((every.loss, ~every.converged, tied))
    apart = np.diff(every.loss[order], prepend=-np.inf) > _SAME * search.scale
    found = every.at(order[apart][:_LISTED])
    V = None if found.W_out is None else found.W_out[0]
    settled = bool(found.converged[0]) if problem.terms.l1 else None
    endless = V is not None and search.steep and bool((steepness(found.W[:1], V[None]) > _ENDLESS).any())
    note = "outputs grow steeper without end: the loss comes near an infimum that is not attained" if endless else ""
    best = certified_with_terms(found.W[0], found.b[0], V, problem, note=note, converged=settled)
    record = search.record()
    return best, found, record, certainty(record, best.loss - least_loss(problem), best.loss_error, search.scale)
