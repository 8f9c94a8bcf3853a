"""The best law of cosines that k unit vectors in m dimensions could have: the relaxed coupling law of an even frame.

Over the squared norm g, the bias b and the law mu of cosines the loss of one output (theory.frames.mean_field) is
minimised under Delsarte's inequalities (theory.frames.gegenbauer) of the first few degrees. In the law the loss is
nearly linear where features are sparse: linear programmes over a grid of cosines, with prices to first order, and
descents of norm and bias take turns until neither gains. The minimum has few cosines, as the vertices of a linear
programme do: their places and weights are moved together (SLSQP) at the end, then a price is put on every other cosine,
the cheapest is let in, and so on until none would lower the loss.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize
from scipy.special import roots_hermitenorm, roots_jacobi

from theory.frames.gegenbauer import gegenbauer, harmonics
from theory.frames.mean_field import CosineLaw, MeanField, Nodes

__all__ = ["DEGREES", "NOTHING", "RelaxedRow", "RowSearch", "even_starts", "relaxed_row", "sphere_law", "tidied"]

# Delsarte's inequalities up to this degree; more change nothing at n = 400, m = 30 (tests).
DEGREES = 10
# Cosines to which a price is put, and what one must promise, relative to the loss of a feature left out, to be let in.
_PRICED, _PROMISE, _ROUNDS = {True: 401, False: 121}, 1e-7, 12
# Weights below this are none; cosines closer than this, in units of the Welch bound, are one, and on a grid perhaps.
_NO_WEIGHT, _SAME, _NEIGHBOURS = 1e-9, 1e-3, 0.1
# Of log g and b / g.
_BOUNDS = ((-8.0, 4.0), (-20.0, 20.0))
# Their unit: the first step of L-BFGS has length 1, and longer ones leave the basin.
_UNIT = 0.05
# Shares of the negative cosines in the laws to begin with.
_SHARES = (0.4, 0.06)
# Inequalities that are missed by less hold.
_ADMISSIBLE = 1e-6
# Cosines of Gauss's quadrature; from so many dimensions on those of a normal law.
_GAUSS, _HERMITE = 6, 300
# Accuracy of the losses in units of the zero model's where further cosines are let in, and where they are not; the most
# nodes for it; steps of a descent, and the changes of the loss at which it ends.
_ACCURACY, _MOST_NODES, _STEPS = {True: 1e-7, False: 1e-6}, 2**12, 80
_CHANGE = {True: 1e-11, False: 1e-8}
# Evaluations after which a descent is cut short: line searches along many inequalities at once may not end.
_EVALUATIONS = 160
# Most turns of linear programmes and descents; the gain, relative to the loss, at which they end (and to what part of a
# feature left out at least); parts of a new law that are tried; finer cosines around each of the last law's, per
# spacing; what decides between equal prices.
_TURNS, _GAIN, _SMALL, _PARTS, _FINER, _TIE = 8, {True: 1e-5, False: 1e-4}, 0.01, (1.0, 0.4, 0.1), 8, 1e-6
# A loss closer to that of a feature left out is no representation, and all laws are equal.
NOTHING = 1e-6


@dataclass(frozen=True, eq=False)
class RelaxedRow:
    """
    The best output that Delsarte's inequalities allow.

    Attributes
    ----------
    k : float
        Number of unit vectors.
    coupling : float
        Squared norm g = r^2.
    bias : float
        Output bias b.
    law : CosineLaw
        Cosines to the others, ascending.
    loss : float
        Expected squared error of the output.
    violation : float
        By how much Delsarte's inequalities are missed at most; rounding.
    """

    k: float
    coupling: float
    bias: float
    law: CosineLaw
    loss: float
    violation: float

    @property
    def admissible(self) -> bool:
        """Whether all inequalities hold; the loss of a law that misses them is below what any frame has."""
        return self.violation < _ADMISSIBLE


def relaxed_row(
    k: float,
    m: int,
    field: MeanField,
    start: RelaxedRow | None = None,
    degrees: int = DEGREES,
    refine: bool = True,
) -> RelaxedRow:
    """
    Minimise the loss of one output over norm, bias and law of cosines.

    Parameters
    ----------
    k : float
        Unit vectors, >= 1; between whole numbers an interpolation.
    m : int
        Dimensions, >= 2.
    field : MeanField
        Density, values and noise; its number of others is replaced by k - 1.
    start : RelaxedRow, optional
        A solution nearby, from which alone the descent starts; by default from several laws of two cosines.
    degrees : int
        Largest degree of the inequalities, >= 2.
    refine : bool
        Whether further cosines are let in, and descents end at smaller changes of the loss.

    Returns
    -------
    RelaxedRow
        The best local minimum found, to which no further cosine promises a lower loss to first order.
    """
    field = MeanField(field.density, k - 1, field.values, field.noise)
    search = RowSearch(k, m, field, degrees, refine)
    starts = even_starts(k, m) if start is None else [(start.coupling, start.bias, start.law)]
    found = [search.alternate(*one) for one in starts]
    best = min(found, key=lambda row: row.loss if row.admissible else np.inf)
    return search.refined(search.moved(best)) if refine else best


def even_starts(k: float, m: int) -> list[tuple[float, float, CosineLaw]]:
    """
    Give laws to begin with: two cosines with the least mean and mean square, the negative one with several shares.

    Parameters
    ----------
    k : float
        Vectors, >= 1; need not be whole.
    m : int
        Dimensions, >= 2.

    Returns
    -------
    list of (float, float, CosineLaw)
        Squared norm, bias and law of each start; for m < k <= 2 m the last law is that of antipodal pairs.
    """
    if k <= m:
        return [(1.0, 0.0, CosineLaw(np.zeros(1), np.ones(1)))]
    pairs = (1.0, 0.0, CosineLaw(np.array([-1.0, 0.0]), np.array([1 / (k - 1), 1 - 1 / (k - 1)])))
    last = [pairs] if k <= 2 * m else []
    if k > m * m / 4:  # too many for two cosines: those of Gauss's quadrature on the sphere fulfil all inequalities
        law = CosineLaw(*sphere_law(m))
        high = min(3 * np.sqrt((k - m) / (m * (k - 1))), 3 / 13)
        return [(1 / (1 - high), -high / (1 - high), law), (m / k, 0.0, law), *last]
    mean, square = -1 / (k - 1), (k - m) / (m * (k - 1))
    spread = np.sqrt(max(square - mean**2, 0.0))
    found = []
    for share in _SHARES:
        low = max(mean - spread * np.sqrt((1 - share) / share), -1.0)
        high = min(mean + spread * np.sqrt(share / (1 - share)), 1.0)
        g = 1 / (1 - min(max(high, 0.0), 0.6))
        found.append((g, -(g - 1), CosineLaw(np.array([low, high]), np.array([share, 1 - share]))))
    return found + last


def sphere_law(m: int) -> tuple[ndarray, ndarray]:
    """
    Give cosines that average polynomials up to degree 11 as the sphere does, by Gauss's quadrature.

    Parameters
    ----------
    m : int
        Dimensions, >= 2.

    Returns
    -------
    cosines, weights : ndarray, shape (6,)
        The cosines, within (-1, 1), and weights that sum to 1.
    """
    if m > _HERMITE:
        places, weights = roots_hermitenorm(_GAUSS)
        places = places / np.sqrt(m + 2)
    else:
        places, weights = roots_jacobi(_GAUSS, (m - 3) / 2, (m - 3) / 2)
    return places, weights / weights.sum()


class RowSearch:
    """Descents for one number of vectors."""

    def __init__(self, k: float, m: int, field: MeanField, degrees: int, fine: bool) -> None:
        self.k, self.m, self.field, self.degrees, self.fine = k, m, field, degrees, fine
        self.scale = field.density * field.values.square
        # Inequalities in units of what random directions would miss them by, or of their right-hand side.
        unit = np.sqrt(harmonics(m, degrees))[1:]
        self.unit = np.minimum(unit, max(k - 1, 1.0))
        self.bound = np.sqrt(max(k - m, 0) / (m * max(k - 1, 1e-12)))  # the Welch bound

    def constraints(self, cosines: ndarray, weights: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Slacks of the inequalities, and their derivatives in cosines and weights."""
        P, slope = gegenbauer(self.m, self.degrees, cosines)
        P, slope = P[1:], slope[1:]
        slack = P @ weights + 1 / max(self.k - 1, 1e-12)
        return self.unit * slack, self.unit[:, None] * slope * weights, self.unit[:, None] * P

    def descend(self, g: float, b: float, law: CosineLaw, fixed: bool = False) -> RelaxedRow:
        """Move norm, bias, cosines and weights downhill together, or with a fixed law norm and bias alone."""
        nodes = self.nodes(g, b, law)
        for _ in range(4):
            g, b, law = self._two(g, b, law, nodes) if fixed else self._slsqp(g, b, law, nodes)
            needed = self.nodes(g, b, law)
            if needed.step >= nodes.step * 0.999 and needed.count * needed.step <= nodes.count * nodes.step * 1.001:
                break
            step = min(nodes.step, needed.step)
            nodes = Nodes(step, min(int(np.ceil(needed.count * needed.step / step)), _MOST_NODES))
        return self._row(g, b, law, needed)

    def alternate(self, g: float, b: float, law: CosineLaw) -> RelaxedRow:
        """Take turns of linear programmes for the law and descents of norm and bias, as long as they gain."""
        row = self.descend(g, b, law, fixed=True)
        for _ in range(_TURNS if self.k > self.m else 0):
            if row.admissible and row.loss > (1 - NOTHING) * self.field.unrepresented:
                break
            law, promise, _ = self._programme(row)
            least = self._least(row)
            if row.admissible and promise > -least:
                break
            before, row = row, self._towards(row, law)
            if before.admissible and row.loss > before.loss - least:
                return min(before, row, key=lambda one: one.loss)
        return row

    def _least(self, row: RelaxedRow) -> float:
        """A gain worth a turn."""
        return _GAIN[self.fine] * max(row.loss, _SMALL * self.field.unrepresented)

    def _towards(self, row: RelaxedRow, law: CosineLaw) -> RelaxedRow:
        """Mix in as much of another law as lowers the loss."""
        for part in _PARTS:
            cosines = np.r_[row.law.cosines, law.cosines]
            weights = np.r_[(1 - part) * row.law.weights, part * law.weights]
            mixed = tidied(CosineLaw(cosines, weights), _SAME * self.bound)
            better = self.descend(row.coupling, row.bias, mixed, fixed=True)
            if better.loss < row.loss or not row.admissible:
                break
        return better

    def moved(self, row: RelaxedRow) -> RelaxedRow:
        """Move everything downhill together, neighbours on the grid as one, if that helps."""
        better = self.descend(row.coupling, row.bias, tidied(row.law, _NEIGHBOURS * self.bound))
        return better if better.admissible and better.loss < row.loss else row

    def nodes(self, g: float, b: float, law: CosineLaw) -> Nodes:
        """Nodes that do for couplings up to a tenth larger."""
        nodes = self.field.nodes(g * 1.1, b, law, _ACCURACY[self.fine])
        return Nodes(nodes.step, min(nodes.count, _MOST_NODES))

    def _row(self, g: float, b: float, law: CosineLaw, nodes: Nodes) -> RelaxedRow:
        slack = self.constraints(law.cosines, law.weights)[0]
        value = self.field.loss(g, b, law, nodes).value
        return RelaxedRow(self.k, g, b, law, value, max(0.0, -float(slack.min())))

    def _slsqp(self, g: float, b: float, law: CosineLaw, nodes: Nodes) -> tuple[float, float, CosineLaw]:
        s = len(law.cosines)
        if self.k <= 1 or self.k <= self.m:
            return self._two(g, b, law, nodes)
        unit = self.bound
        evaluations, last = 0, np.r_[np.log(g), b / g, law.cosines / unit, law.weights]

        def split(x: ndarray) -> tuple[float, float, CosineLaw]:
            weights = np.maximum(x[2 + s :], 0.0)
            g = float(np.exp(x[0]))  # norm and bias change together
            return g, g * float(x[1]), CosineLaw(np.clip(x[2 : 2 + s] * unit, -1, 1), weights)

        def loss(x: ndarray) -> tuple[float, ndarray]:
            nonlocal evaluations
            evaluations += 1
            if evaluations > _EVALUATIONS:
                raise StopIteration
            g, b, law = split(x)
            row = self.field.loss(g, b, law, nodes)
            gradient = np.r_[row.dg * g + row.db * b, row.db * g, row.dcosines * unit, row.dweights]
            return row.value / self.scale, gradient / self.scale

        def slack(x: ndarray) -> ndarray:
            _, _, law = split(x)
            return self.constraints(law.cosines, law.weights)[0]

        def slack_slope(x: ndarray) -> ndarray:
            _, _, law = split(x)
            _, in_cosines, in_weights = self.constraints(law.cosines, law.weights)
            return np.c_[np.zeros((len(in_cosines), 2)), in_cosines * unit, in_weights]

        one = np.r_[np.zeros(2 + s), np.ones(s)]

        def keep(x: ndarray) -> None:
            nonlocal last
            last = x.copy()

        with suppress(StopIteration):
            last = minimize(  # type: ignore[call-overload]
                loss,
                last,
                jac=True,
                method="SLSQP",
                bounds=[*_BOUNDS, *[(-1 / unit, 1 / unit)] * s, *[(0, 1)] * s],
                constraints=[
                    {"type": "eq", "fun": lambda x: x[2 + s :].sum() - 1, "jac": lambda x: one},
                    {"type": "ineq", "fun": slack, "jac": slack_slope},
                ],
                callback=keep,
                options={"maxiter": _STEPS, "ftol": _CHANGE[self.fine]},
            ).x
        g, b, law = split(last)
        return g, b, tidied(law, _SAME * unit)

    def _two(self, g: float, b: float, law: CosineLaw, nodes: Nodes) -> tuple[float, float, CosineLaw]:
        """Norm and bias alone, where vectors can be orthogonal."""

        def loss(x: ndarray) -> tuple[float, ndarray]:
            x = x * _UNIT
            g, b = float(np.exp(x[0])), float(np.exp(x[0]) * x[1])
            row = self.field.loss(g, b, law, nodes)
            return row.value / self.scale, _UNIT * np.array([row.dg * g + row.db * b, row.db * g]) / self.scale

        x, limits = np.array([np.log(g), b / g]) / _UNIT, np.array(_BOUNDS) / _UNIT
        options = {"ftol": _CHANGE[self.fine]}
        found = minimize(loss, x, jac=True, method="L-BFGS-B", bounds=limits, options=options)  # type: ignore[call-overload]
        x = found.x * _UNIT
        return float(np.exp(x[0])), float(np.exp(x[0]) * x[1]), law

    def refined(self, row: RelaxedRow) -> RelaxedRow:
        """Let in the cosine that promises most, until none promises anything."""
        if self.k <= self.m:
            return row
        for _ in range(_ROUNDS):
            _, promise, cosine = self._programme(row)
            if promise > -_PROMISE * self.scale:
                break
            law = row.law
            share = 1e-3
            wider = CosineLaw(np.r_[law.cosines, cosine], np.r_[law.weights * (1 - share), share])
            better = self.descend(row.coupling, row.bias, wider)
            if not better.admissible or better.loss >= row.loss:
                break
            before, row = row, better
            if before.loss - row.loss < 0.001 * self._least(row):
                break
        return row

    def _programme(self, row: RelaxedRow) -> tuple[CosineLaw, float, float]:
        """Solve the linear programme over all laws: the best, what it promises, and its newcomer of most weight."""
        from scipy.optimize import linprog

        law = row.law
        cosines = np.unique(np.r_[self._grid(law.cosines), law.cosines])
        weights = np.zeros(len(cosines))
        weights[np.searchsorted(cosines, law.cosines)] = law.weights
        nodes = self.nodes(row.coupling, row.bias, law)
        cost = self.field.loss(row.coupling, row.bias, CosineLaw(cosines, weights), nodes).dweights
        _, _, P = self.constraints(cosines, weights)
        price = cost / max(row.loss, 1e-300) + _TIE * (cosines / self.bound) ** 2
        limit, one = self.unit / (self.k - 1), np.ones((1, len(cosines)))
        found = linprog(price, A_ub=-P, b_ub=limit, A_eq=one, b_eq=[1.0])
        if found.x is None:
            return law, 0.0, 0.0
        kept = found.x > 0
        promise = float(cost @ (found.x - weights))
        new = np.where(np.isin(cosines, law.cosines), 0.0, found.x)
        return CosineLaw(cosines[kept], found.x[kept]), promise, float(cosines[np.argmax(new)])

    def _grid(self, cosines: Float[ndarray, " s"]) -> Float[ndarray, " t"]:
        """Cosines from -1 to 1, even near 0 and in ratios beyond the Welch bound, and finer ones around given ones."""
        count, unit = _PRICED[self.fine], self.bound
        a = np.arcsinh(1 / unit)
        spacing = 2 * a / (count - 1) * np.sqrt(cosines**2 + unit**2)
        fine = cosines + np.arange(-_FINER, _FINER + 1)[:, None] / _FINER * spacing
        return np.asarray(np.clip(np.r_[np.sinh(a * np.linspace(-1, 1, count)) * unit, fine.ravel()], -1, 1))


def tidied(law: CosineLaw, close: float) -> CosineLaw:
    """
    Drop cosines without weight, join those that met, and order them.

    Parameters
    ----------
    law : CosineLaw
        Any law.
    close : float
        Cosines nearer than this to the next are one, > 0.

    Returns
    -------
    CosineLaw
        Ascending cosines.
    """
    keep = law.weights > _NO_WEIGHT
    cosines, weights = law.cosines[keep], law.weights[keep]
    order = np.argsort(cosines)
    cosines, weights = cosines[order], weights[order] / weights.sum()
    group = np.r_[0, np.cumsum(np.diff(cosines) > close)]
    total = np.bincount(group, weights)
    return CosineLaw(np.bincount(group, weights * cosines) / total, total)
