"""How many of n equal features a model of m dimensions stores as an even frame, and what that costs: at any size.

The stored features are k unit vectors times a norm, whose cosines are the best that Delsarte's inequalities allow
(theory.frames.relaxation); the other n - k are left out at their best bias. The total is minimised over k. Nothing
grows with n: a million features take as long as four hundred.

What is assumed: the stored features have equal norms and biases, and all see the same law of cosines. Under that
assumption no arrangement costs less than the relaxed law of its k (if its minimum is the global one, which several
starts make likely); among all arrangements it is an estimate. What is neglected is that a law of cosines which fulfils
Delsarte's inequalities need not belong to any arrangement; at a given k ``three_point`` refuses those that ask for what
no three vectors can be (theory.frames.three_point).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from theory.frames.bounds import _shape
from theory.frames.mean_field import CosineLaw, MeanField, Nodes
from theory.frames.relaxation import NOTHING, RelaxedRow, relaxed_row
from theory.frames.three_point import three_point_row
from theory.model.features import one_density
from theory.model.value_units import unit_law
from theory.model.values import ValueLike, value_law

__all__ = ["EvenFrame", "even_frame", "predict_even_frame"]

# Numbers of stored features that are tried first, in ratios, and how well the best is then bracketed.
_TRIED, _BRACKET = 9, 0.004
# A loss that twice as many frequencies change by more is none.
_TRUSTED = 1e-3
# Tries in a row that cost more end the list.
_RISING = 2


@dataclass(frozen=True, eq=False)
class EvenFrame:
    """
    A predicted even frame.

    Attributes
    ----------
    n, m : int
        Features and dimensions.
    density : float
        Density p of the features.
    k : int
        Features that are stored.
    norm, bias : float
        Norm r of each stored feature's embedding, and its output bias.
    law : CosineLaw
        Cosines between stored features.
    stored_loss, left_out_loss : float
        Loss of one stored feature, and of one that is left out.

    Examples
    --------
    >>> import theory
    >>> theory.even_frame(100, 10, 0.02).k <= 100
    True
    """

    n: int
    m: int
    density: float
    k: int
    norm: float
    bias: float
    law: CosineLaw
    stored_loss: float
    left_out_loss: float

    @property
    def loss(self) -> float:
        """Population loss, summed over all n features of importance 1."""
        return self.k * self.stored_loss + (self.n - self.k) * self.left_out_loss

    @property
    def dimensionality(self) -> float:
        """D_i of every stored feature, one over the sum of its squared cosines: m/k where the frame is tight."""
        return 1 / (1 + (self.k - 1) * float(self.law.weights @ self.law.cosines**2))

    @property
    def dimensions_per_feature(self) -> float:
        """The average m / |W|_F^2."""
        return self.m / (self.k * self.norm**2)

    @property
    def squared_overlap(self) -> float:
        """Mean squared cosine of two different stored features."""
        return float(self.law.weights @ self.law.cosines**2)


def even_frame(
    k: int,
    m: int,
    density: ArrayLike,
    n: int | None = None,
    values: ValueLike = "uniform",
    noise: float = 0.0,
    three_point: bool = False,
) -> EvenFrame:
    """
    Predict norm, bias, cosines and loss of k features that share m dimensions evenly.

    Parameters
    ----------
    k : int
        Stored features, >= 1.
    m : int
        Hidden dimensions, >= 2.
    density : float
        Probability p that a feature is active, in (0, 1].
    n : int, optional
        Features altogether, >= k; k by default.
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value.
    noise : float
        Standard deviation of Gaussian noise on every hidden dimension, >= 0.
    three_point : bool
        Whether the law obeys what three vectors at a time must, too (theory.frames.three_point): some ten seconds, and
        a higher loss where k is below about 5 m; on a grid of cosines, hence a little too high.

    Returns
    -------
    EvenFrame
        The relaxed frame: a lower bound of the loss of every k features of equal norm and bias that all see the same
        law of cosines (see the module's text), and an estimate of the best loss.

    Raises
    ------
    TypeError
        If a number is not whole, or the value law not a law.
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> frame = even_frame(12, 3, 0.001)  # cosines -1 and +-1/sqrt(5): the icosahedron's
    >>> frame.law.cosines.round(3)
    array([-1.   , -0.447,  0.447])
    """
    _shape(k, m)
    total = k if n is None else n
    _shape(total, m)
    if total < k:
        raise ValueError(f"of n = {total} features k = {k} cannot be stored")
    field, size = _field(m, density, values, noise)
    row = relaxed_row(float(k), m, field)
    return _frame(total, m, field, three_point_row(m, field, row) if three_point else row, size)


def predict_even_frame(
    n: int, m: int, density: ArrayLike, values: ValueLike = "uniform", noise: float = 0.0
) -> EvenFrame:
    """
    Predict how many of n equal features an even frame stores, how, and at which loss.

    Parameters
    ----------
    n : int
        Features of equal density and importance 1, >= 1.
    m : int
        Hidden dimensions, >= 2.
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1].
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value.
    noise : float
        Standard deviation of Gaussian noise on every hidden dimension, >= 0.

    Returns
    -------
    EvenFrame
        The best over the number k of stored features.

    Raises
    ------
    TypeError
        If n or m is not a whole number, or the value law not a law.
    ValueError
        If a number is out of range, or the density too small for the loss to be computed to a thousandth.

    Notes
    -----
    An estimate from below. Exact descents at n = 400, m = 30 end 1 to 2 % higher from p = 0.05 to 0.2 and 8 % higher at
    p = 0.01; where all features are stored and n/m is 4, up to 36 % higher (docs/derivations.md).

    Examples
    --------
    >>> frame = predict_even_frame(400, 30, 0.05)
    >>> round(frame.loss, 2), round(frame.bias, 2)
    (4.77, -0.45)
    """
    _shape(n, m)
    field, size = _field(m, density, values, noise)
    left_out = field.unrepresented

    def total(row: RelaxedRow) -> float:
        return row.k * row.loss + (n - row.k) * left_out if row.admissible else np.inf

    def solved(k: float, near: RelaxedRow | None) -> RelaxedRow:
        found = [] if near is None else [relaxed_row(k, m, field, near, refine=False)]
        if k <= 2 * m or not found or total(found[0]) > n * left_out * (1 - NOTHING):
            found.append(relaxed_row(k, m, field, refine=False))
        return min(found, key=total)

    # From many to few: a law that many vectors may have, fewer may have too.
    tried: list[RelaxedRow] = []
    for k in np.unique(np.geomspace(min(n, m), n, _TRIED if n > m else 1).round())[::-1]:
        tried.append(solved(float(k), tried[-1] if tried else None))
        best = min(range(len(tried)), key=lambda j: total(tried[j]))
        if total(tried[best]) < n * left_out / 2 and len(tried) - best > _RISING:
            break  # most is stored, and fewer features cost more and more
    around = tried[max(best - 1, 0) : best + 2]
    row = _narrowed(tried[best], around[-1].k, around[0].k, solved, total)
    whole = {min(max(round(end), 1), n) for end in (np.floor(row.k), np.ceil(row.k))}
    ends = [relaxed_row(float(k), m, field, row) for k in whole]
    row = min([*(one for one in tried if one.k.is_integer()), *ends], key=total)
    other = relaxed_row(row.k, m, field, refine=False)  # from afar, lest one valley was followed past a deeper one
    if total(other) < total(row):
        row = min(row, relaxed_row(row.k, m, field, other), key=total)
    return _frame(n, m, field, row, size)


def _narrowed(
    row: RelaxedRow,
    low: float,
    high: float,
    solve: Callable[[float, RelaxedRow], RelaxedRow],
    total: Callable[[RelaxedRow], float],
) -> RelaxedRow:
    """Brent's method on log k, each solution starting from the best so far; an end is left only if a step pays."""
    from scipy.optimize import minimize_scalar

    if row.k in (low, high) and high > low:
        inwards = row.k * np.exp(_BRACKET if row.k == low else -_BRACKET)
        if total(solve(inwards, row)) >= total(row):
            return row
    best = row

    def at(x: float) -> float:
        nonlocal best
        new = solve(float(np.exp(x)), best)
        best = min(best, new, key=total)
        return total(new)

    if high > low:
        minimize_scalar(at, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": _BRACKET})
    return best


def _field(m: int, density: ArrayLike, values: ValueLike, noise: float) -> tuple[MeanField, float]:
    """What an output sees if values have size 1, and their size: losses are its square's multiples, biases its own."""
    if m < 2:
        raise ValueError("an even frame needs at least 2 dimensions; in one there are only a feature and its antipode")
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be a finite standard deviation >= 0, got {noise!r}")
    unit, size = unit_law(value_law(values))
    return MeanField(one_density(density), 0.0, unit, float(noise) / size), size


def _frame(n: int, m: int, field: MeanField, row: RelaxedRow, size: float) -> EvenFrame:
    seen = MeanField(field.density, row.k - 1, field.values, field.noise)
    nodes = seen.nodes(row.coupling, row.bias, row.law)  # as many as the loss needs, not as a search can afford
    exact = seen.loss(row.coupling, row.bias, row.law, nodes).value
    twice = seen.loss(row.coupling, row.bias, row.law, Nodes(nodes.step, 2 * nodes.count)).value
    if abs(exact - twice) > _TRUSTED * max(exact, _TRUSTED * field.unrepresented):
        raise ValueError(
            f"the loss of {n} features of density {field.density:g} in {m} dimensions needs more frequencies than the "
            "prediction takes; try a density that is not as small"
        )
    return EvenFrame(
        n=n,
        m=m,
        density=field.density,
        k=round(row.k),
        norm=float(np.sqrt(row.coupling)),
        bias=size * row.bias,
        law=row.law,
        stored_loss=size**2 * exact,
        left_out_loss=size**2 * field.unrepresented,
    )
