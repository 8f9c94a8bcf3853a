"""What three unit vectors at a time must satisfy, beside Delsarte's inequalities: the law of triples of cosines.

For k unit vectors u_x in m dimensions let nu be the law of (c_xy, c_xz, c_yz) over all ordered triples of different
vectors: symmetric, on 1 + 2 u v t - u^2 - v^2 - t^2 >= 0, and the law mu of cosines is its marginal. Seen from one
vector the others have directions in the m - 1 dimensions beside it. Schoenberg's theorem there says that for all
functions f_i of the cosine with that vector, and every degree d, the matrix

    M_d = Int f_i f_j dmu + (k - 2) Int f_i(u) f_j(v) P_d((t - u v) / sqrt((1 - u^2) (1 - v^2))) dnu(u, v, t)

has no negative eigenvalue, P_d of dimension m - 1; M_0 / (k - 1) not even when the products of the means of f_i and
f_j are taken off (Bachoc and Vallentin 2008). These are theorems for all k unit vectors, as Delsarte's inequalities
are, and linear in nu. Vectors at negative cosines with one vector cannot be negative with one another as often as
Delsarte's inequalities allow where k is below about 5 m.

For given prices of cosines the cheapest nu solves a linear programme: the matrices are bounded along the directions
where the last solution is most negative, until none is. Every solution on the way is a bound.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.polynomial.chebyshev import chebvander

from theory.frames.gegenbauer import gegenbauer, harmonics
from theory.frames.mean_field import CosineLaw, MeanField
from theory.frames.relaxation import RelaxedRow, RowSearch

__all__ = ["ThreePointProgramme", "three_point_row"]

# Largest degree of the matrices, number of functions f_i, and degree of Delsarte's inequalities.
_DEGREE, _FUNCTIONS, _PAIRS = 2, 6, 10
# Rounds of linear programmes; an eigenvalue, in units of the largest, and a triple's promise that are none; triples let
# in at a time; the rise, relative to the price, below which a round was the last.
_ROUNDS, _NEGATIVE, _PROMISE, _NEWCOMERS, _RISE = 40, 1e-5, 1e-5, 300, 5e-4
# Cosines nearer to 1 or -1 than this leave no direction beside the vector.
_POLE = 1e-9
# Cosines of the grid, finer ones around those that were found per spacing, the weight that counts as found, and passes.
_GRID, _FINER, _FOUND, _PASSES = 25, 2, 0.02, 3
# Turns of programmes and descents, the gain that is worth one, and parts of a new law that are tried.
_TURNS, _GAIN, _PARTS = 5, 2e-4, (1.0, 0.4)


@dataclass(frozen=True, eq=False)
class ThreePointProgramme:
    """
    The cheapest law of cosines under the inequalities of pairs and triples, for prices of cosines on a grid.

    Attributes
    ----------
    k : float
        Unit vectors, > 2.
    m : int
        Dimensions, >= 3.
    cosines : ndarray, shape (s,)
        The grid, ascending, in [-1, 1].

    Examples
    --------
    >>> import numpy as np
    >>> programme = ThreePointProgramme(5, 4, np.linspace(-1, 1, 9))  # a simplex: all cosines are -1/4
    >>> bool(abs(programme.solve(np.linspace(-1, 1, 9) ** 2)[1] - 1 / 16) < 1e-3)
    True
    """

    k: float
    m: int
    cosines: Float[ndarray, " s"]
    _cuts: list[ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.k > 2 or self.m < 3:
            what = f"got {self.k:g} in {self.m}"
            raise ValueError(f"three vectors at a time need more than 2 vectors in at least 3 dimensions, {what}")
        for M in self._matrices:  # every function and pair of functions alone, to begin with
            one = np.eye(M.shape[1])
            for i, j in zip(*np.triu_indices(len(one)), strict=True):
                self._cut(M, one[i] + one[j])
                if i != j:
                    self._cut(M, one[i] - one[j])

    @cached_property
    def _triples(self) -> Int[ndarray, "3 t"]:
        i, j, h = (index.ravel() for index in np.indices((len(self.cosines),) * 3))
        u, v, t = self.cosines[i], self.cosines[j], self.cosines[h]
        real = (i <= j) & (j <= h) & (1 + 2 * u * v * t - u * u - v * v - t * t >= -1e-12)
        return np.array([i[real], j[real], h[real]])

    @cached_property
    def _functions(self) -> Float[ndarray, "s f"]:
        """Polynomials of the cosine, the first constant, orthonormal under about the cosines of random directions."""
        weights = np.exp(-(self.cosines**2) * self.m / 8) * np.gradient(self.cosines)
        f = chebvander(self.cosines, _FUNCTIONS - 1)
        R = np.linalg.qr(f * np.sqrt(weights / weights.sum())[:, None])[1]
        return np.asarray(f @ np.linalg.inv(R))

    @cached_property
    def _matrices(self) -> list[Float[ndarray, "t f f"]]:
        """What every triple contributes to M_0, bordered by the means of the functions, and to M_1, M_2, ..."""
        c, k, f = self.cosines, self.k, self._functions
        beside, found = np.sqrt(np.maximum(1 - c**2, 0.0)), []
        for d in range(_DEGREE + 1):
            h = f[:, 1:] if d == 0 else f * (beside > _POLE)[:, None]  # of the constant M_0 knows nothing
            M = np.mean([h[one, :, None] * h[one, None, :] for one in self._triples], axis=0)
            for first, second, third in permutations(self._triples):
                scale = np.maximum(beside[first] * beside[second], _POLE**2)
                angle = np.clip((c[third] - c[first] * c[second]) / scale, -1, 1)
                P = gegenbauer(self.m - 1, max(d, 1), angle)[0][d]
                M += (k - 2) / 6 * P[:, None, None] * h[first, :, None] * h[second, None, :]
            if d == 0:
                mean = np.sqrt(k - 1) * np.mean([h[one] for one in self._triples], axis=0)
                M = np.block([[np.ones((len(mean), 1, 1)), mean[:, None, :]], [mean[:, :, None], M]])
            found.append(M)
        return found

    @cached_property
    def _pairs(self) -> tuple[Float[ndarray, "d t"], Float[ndarray, " d"]]:
        """Delsarte's inequalities: what triples contribute, and what the sum must not be below."""
        unit = np.minimum(np.sqrt(harmonics(self.m, _PAIRS))[1:], self.k - 1)
        P = gegenbauer(self.m, _PAIRS, self.cosines)[0][1:] * unit[:, None]
        return P[:, self._triples].mean(axis=1), -unit / (self.k - 1)

    def _cut(self, M: Float[ndarray, "t f f"], v: Float[ndarray, " f"]) -> None:
        """A direction in which a matrix must not be negative."""
        self._cuts.append(np.einsum("i,nij,j->n", v, M, v))

    def solve(self, price: Float[ndarray, " s"]) -> tuple[Float[ndarray, " s"], float]:
        """
        Find the cheapest law.

        Parameters
        ----------
        price : ndarray, shape (s,)
            Of every cosine, of the order of 1.

        Returns
        -------
        weights : ndarray, shape (s,)
            Of the cosines.
        bound : float
            No law on the grid that any k unit vectors have costs less.

        Raises
        ------
        ValueError
            If no law on the grid fulfils the inequalities.
        """
        cost = price[self._triples].mean(axis=0)
        active = (self._triples % 2 == 0).all(axis=0)  # of the grid every other cosine
        bound, settled = -np.inf, 0
        for _ in range(_ROUNDS):
            law, value, missing = self._round(cost, active)
            settled = settled + 1 if value + min(missing.min(), 0.0) < bound + _RISE * abs(value) else 0
            bound = max(bound, value + min(float(missing.min()), 0.0))
            negative = self._cut_off(law)
            new = np.argsort(missing)[:_NEWCOMERS]
            new = new[missing[new] < -_PROMISE]
            active[new] = True
            if not len(new) and (not negative or settled > 2):
                break
        weights = np.bincount(self._triples.ravel(), np.tile(law / 3, 3), len(self.cosines))
        return weights / weights.sum(), bound

    def _cut_off(self, law: Float[ndarray, " t"]) -> bool:
        """Bound the matrices in all directions where this law makes them negative; whether there are any."""
        before = len(self._cuts)
        for M in self._matrices:
            values, V = np.linalg.eigh(np.einsum("n,nij->ij", law, M))
            for j in np.flatnonzero(values < -_NEGATIVE * values[-1]):
                self._cut(M, V[:, j])
        return len(self._cuts) > before

    def _round(self, cost: ndarray, active: Bool[ndarray, " t"]) -> tuple[ndarray, float, ndarray]:
        """Solve for the active triples: their law, its price, and what every triple would add to it."""
        from scipy.optimize import linprog

        P, least = self._pairs
        rows = np.vstack([P, *[cut[None] for cut in self._cuts]])
        limit = np.r_[least, np.zeros(len(self._cuts))]
        while True:
            one = np.ones((1, int(active.sum())))
            found = linprog(cost[active], A_ub=-rows[:, active], b_ub=-limit, A_eq=one, b_eq=[1.0], method="highs-ds")
            if found.x is not None:
                break
            if active.all():
                raise ValueError(f"no law of {self.k:g} unit vectors in {self.m} dimensions has cosines on this grid")
            active[:] = True
        law = np.zeros(len(cost))
        law[active] = found.x
        missing = cost + rows.T @ found.ineqlin.marginals - float(found.eqlin.marginals[0])
        return law, float(cost @ law), missing


def three_point_row(m: int, field: MeanField, start: RelaxedRow) -> RelaxedRow:
    """
    Minimise the loss of one output over norm, bias and law of cosines, under the inequalities of triples too.

    Parameters
    ----------
    m : int
        Dimensions, >= 3.
    field : MeanField
        Density, values and noise; its number of others is replaced by k - 1.
    start : RelaxedRow
        The solution under the inequalities of pairs alone.

    Returns
    -------
    RelaxedRow
        Of a law on a grid that is finer around its own cosines; its loss is not below that of the start.

    Raises
    ------
    ValueError
        If there are not more than 2 vectors in at least 3 dimensions.
    """
    if start.k <= m:
        return start
    search = RowSearch(start.k, m, MeanField(field.density, start.k - 1, field.values, field.noise), _PAIRS, True)
    a = np.arcsinh(1 / search.bound)
    coarse = np.sinh(a * np.linspace(-1, 1, _GRID)) * search.bound
    row, finer = start, start.law.cosines
    for _ in range(_PASSES):
        grid = np.unique(np.clip(np.r_[coarse, finer], -1, 1).round(6))
        row = _turns(search, ThreePointProgramme(start.k, m, grid), row)
        found = row.law.cosines[row.law.weights > _FOUND]
        spacing = 2 * a / (_GRID - 1) * np.sqrt(found**2 + search.bound**2)
        finer = np.r_[start.law.cosines, (found + np.arange(1 - _FINER, _FINER)[:, None] / _FINER * spacing).ravel()]
    return row if row.loss > start.loss else start


def _turns(search: RowSearch, programme: ThreePointProgramme, near: RelaxedRow) -> RelaxedRow:
    """Take turns of programmes for the law and descents of norm and bias, as long as they gain."""
    best = search.descend(near.coupling, near.bias, _cheapest(search, programme, near), fixed=True)
    for _ in range(_TURNS):
        law = _cheapest(search, programme, best)
        row = min((_mixed(search, best, law, part) for part in _PARTS), key=lambda one: one.loss)
        if row.loss > best.loss * (1 - _GAIN):
            break
        best = row
    return min(best, row, key=lambda one: one.loss)


def _cheapest(search: RowSearch, programme: ThreePointProgramme, row: RelaxedRow) -> CosineLaw:
    """Find the law that costs least to first order."""
    grid, law = programme.cosines, row.law
    seen = CosineLaw(np.r_[law.cosines, grid], np.r_[law.weights, np.zeros(len(grid))])
    nodes = search.nodes(row.coupling, row.bias, law)
    cost = search.field.loss(row.coupling, row.bias, seen, nodes).dweights[len(law.cosines) :]
    weights = programme.solve(cost / row.loss)[0]
    return CosineLaw(grid[weights > 0], weights[weights > 0])


def _mixed(search: RowSearch, row: RelaxedRow, law: CosineLaw, part: float) -> RelaxedRow:
    """Mix in a part of another law."""
    cosines = np.r_[row.law.cosines, law.cosines]
    both = CosineLaw(cosines, np.r_[(1 - part) * row.law.weights, part * law.weights])
    at, place = np.unique(both.cosines, return_inverse=True)
    return search.descend(row.coupling, row.bias, CosineLaw(at, np.bincount(place, both.weights)), fixed=True)
