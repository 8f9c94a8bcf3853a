"""Exact squared errors of discrete value laws beyond the few features whose states can all be listed: half by half.

Output i reads z = y + z_B, where y = b + z_A comes from one half of the features, its own among them, and z_B from the
other. With f(z) = l z + k max(0, z),

    E (x - f)^2 = E (x - l z)^2 + E [((k^2 + 2 k l) z^2 - 2 k x z) 1{z > 0}] ,

of which the first term needs moments only. For a state of A the second is one over those states of B with z_B > -y: the
end of a sorted list, where sums of p, p z_B and p z_B^2 are known once they are added up from the end. So |A| + |B|
states and a search for each cost what |A| |B| would. The derivative in z_B of a state of B adds up over the states of A
that reach it, from the same searches.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.halves import Halves, States, collision, halves_of
from theory.model.activations import Activation
from theory.model.features import FeatureDistribution

__all__ = ["RowErrors", "errors_by_halves", "rows_by_halves"]

_EPS = float(np.finfo(float).eps)
# Terms that are added one after the other: rounding grows with them, and with the number of such blocks.
_BLOCK = 512
# States of a half that may be listed.
_MOST = 1_000_000, 12_000_000
# What may be left out to reach an accuracy, and how much more is where characteristic functions do not reach it: up to
# so many features, several values each.
_SHARE, _MORE, _FEW = 1 / 64, (10.0, 100.0, 500.0), 16
# Seconds of a row: at all, per state of the first half, and of the second; per feature, value and node of the engine,
# which has so many nodes for an accuracy of 1e-7, unless samples are seldom alike.
_ROW, _SEARCHED, _SORTED = 1.3e-4, 1.1e-7, 1.5e-7
_NODE, _NODES, _USUAL, _ALIKE = 5.5e-8, 16384, 1e-7, 1e-8
# A loss is known to this part of the zero model's at best.
_FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class RowErrors:
    """
    Expected squared errors of rows, their gradients, and bounds on both.

    Attributes
    ----------
    value : ndarray, shape (rows,)
        E (x_own - f(z))^2.
    dG, db : ndarray, shape (rows, n), (rows,)
        Its derivatives.
    truncation, rounding : ndarray, shape (rows,)
        Bounds on what the value is wrong by, for states left out and for double precision.
    gradient_error : ndarray, shape (rows,)
        Bound on the absolute error of any entry of dG and db.
    """

    value: Float[ndarray, " rows"]
    dG: Float[ndarray, "rows n"]
    db: Float[ndarray, " rows"]
    truncation: Float[ndarray, " rows"]
    rounding: Float[ndarray, " rows"]
    gradient_error: Float[ndarray, " rows"]


def rows_by_halves(
    G: Float[ndarray, "rows n"],
    b: Float[ndarray, " rows"],
    own: Int[ndarray, " rows"],
    features: FeatureDistribution,
    activation: Activation,
    rtol: float,
    enough: Float[ndarray, " rows"] | None = None,
    blur: Float[ndarray, " rows"] | None = None,
) -> RowErrors | None:
    """
    Compute the expected squared error of every row to an accuracy, if that is quicker by halves than by transforms.

    Parameters
    ----------
    G : ndarray, shape (rows, n)
        Couplings.
    b : ndarray, shape (rows,)
        Biases.
    own : ndarray of int, shape (rows,)
        The feature that each row should reproduce.
    features : FeatureDistribution
        A single distribution.
    activation : Activation
        The output activation, of two straight pieces that meet at 0.
    rtol : float
        Relative accuracy of every row.
    enough : ndarray, shape (rows,), optional
        Accuracy of every row that is enough, whatever part of it that is.
    blur : ndarray, shape (rows,), optional
        As for ``errors_by_halves``.

    Returns
    -------
    RowErrors or None
        Values and gradients, known to the accuracy or better than transforms would know them; None where those do.
    """
    if not features.values.atoms:
        return None
    budget, share = _engine_seconds(features, rtol), _SHARE * rtol
    misses = features.n <= _FEW and len(features.values.atoms) > 1
    for more in (1.0, *_MORE) if misses else (1.0,):
        halves = _affordable(features, more * share, budget)
        if halves is not None:
            share *= more
            break
    else:
        return None
    found = errors_by_halves(G, b, own, halves, activation, blur)
    wanted = np.maximum(rtol * found.value, _FLOOR * features.values.square * features.feature_density[own])
    wanted = wanted if enough is None else np.maximum(wanted, enough)
    missed = np.flatnonzero(found.truncation + found.rounding > wanted)
    if not len(missed) or not found.truncation[missed].any():
        return found
    short = float((wanted[missed] / (found.truncation + found.rounding)[missed]).min())
    share *= 10.0 ** np.floor(np.log10(short / 2))  # the same for models nearby, whose losses are compared
    halves = _affordable(features, share, budget)
    if halves is None:
        return found if misses else None
    finer = errors_by_halves(
        G[missed], b[missed], own[missed], halves, activation, None if blur is None else blur[missed]
    )
    for part in fields(RowErrors):
        getattr(found, part.name)[missed] = getattr(finer, part.name)
    return found


def _engine_seconds(features: FeatureDistribution, rtol: float) -> float:
    """Seconds of a row by characteristic functions, as measured for laws of 1 to 90 values and 7 to 100 features."""
    values = len(features.values.atoms)
    easier = min(1.0, np.sqrt(_USUAL / rtol) * values**2) * min(1.0, (collision(features) / _ALIKE) ** 0.15)
    return _ROW + _NODE * _NODES * features.n * values * easier


def _affordable(features: FeatureDistribution, share: float, budget: float) -> Halves | None:
    """Lists that leave out so much, if a row takes no more seconds than it may."""
    most = (min(_MOST[0], int(budget / _SORTED)), min(_MOST[1], int(budget / _SEARCHED)))
    halves = halves_of(features, share, most)
    if halves is None:
        return None
    first, second = halves.sizes
    return halves if _ROW + _SEARCHED * first + _SORTED * second <= budget else None


def errors_by_halves(
    G: Float[ndarray, "rows n"],
    b: Float[ndarray, " rows"],
    own: Int[ndarray, " rows"],
    halves: Halves,
    activation: Activation,
    blur: Float[ndarray, " rows"] | None = None,
) -> RowErrors:
    """
    Compute the expected squared error of every row.

    Parameters
    ----------
    G : ndarray, shape (rows, n)
        Couplings.
    b : ndarray, shape (rows,)
        Biases.
    own : ndarray of int, shape (rows,)
        The feature that each row should reproduce.
    halves : Halves
        States of the features.
    activation : Activation
        The output activation f, of two straight pieces that meet at 0.
    blur : ndarray, shape (rows,), optional
        How far z may be off because couplings are, rounded products that they are; 0 by default.

    Returns
    -------
    RowErrors
        Values, gradients, and how far both can be wrong.
    """
    left, bend = activation.left, activation.bend
    square, cross = bend * (bend + 2 * left), 2 * bend
    value, dG, db = _straight(G, b, own, halves, left)
    largest = max(float(np.abs(states.values).max(initial=0.0)) for states in halves.lists)
    blur = np.zeros(len(b)) if blur is None else blur
    slack = (G.shape[1] + 4) * _EPS * (np.abs(b) + largest * np.abs(G).sum(1)) + blur
    near = np.zeros(len(b))
    for r in range(len(b)):
        more, near[r], slopes = _beyond_the_kink(G[r], b[r], int(own[r]), halves, square, cross, slack[r])
        value[r] += more
        for states, slope in zip(halves.lists, slopes, strict=True):
            dG[r, states.members] += states.values @ slope
        db[r] += slopes[0].sum()
    truncation, rounding, slope_error = _errors(G, b, own, halves, activation)
    steepest = max(abs(left), abs(left + bend))
    rounding += 2 * steepest * blur * (np.sqrt(np.maximum(value, 0.0)) + steepest * blur)
    slope_error += 2 * steepest**2 * blur * max(1.0, largest)
    # rounding may have put z beyond its kink: E |x| max(1, |x_j|) 1{near}, the second by the inequality of Schwarz
    root = np.sqrt(halves.whole.diagonal())
    slope_error += abs(cross) * np.minimum(max(1.0, largest) * near, root[own + 1] * root.max())
    return RowErrors(np.maximum(value, 0.0), dG, db, truncation, rounding, slope_error)


def _own_values(states: States, own: int) -> Float[ndarray, " s"]:
    """What the own feature is in every state, 0 if it is none of theirs."""
    return np.asarray(states.values[states.members == own].sum(0))


def _beyond_the_kink(
    c: Float[ndarray, " n"], b: float, own: int, halves: Halves, square: float, cross: float, slack: float
) -> tuple[float, float, tuple[Float[ndarray, " listed"], Float[ndarray, " joined"], Float[ndarray, " searched"]]]:
    """
    E [(square z^2 - cross x z) 1{z > 0}], and its derivatives in what each list's states add to z.

    Between the two E |x| 1{|z| <= slack}.
    """
    listed, joined, searched = halves.lists
    z = c[searched.members] @ searched.values
    order = np.argsort(z)
    z, p = z[order], searched.share[order]
    terms = [p, p * z, p * z * z]
    if own in searched.members:
        x = _own_values(searched, own)[order]
        terms += [p * x, p * x * z, p * np.abs(x)]
    tails = _tail_sums(np.stack(terms))
    base, shift = b + c[listed.members] @ listed.values, c[joined.members] @ joined.values
    x_listed, x_joined = _own_values(listed, own), _own_values(joined, own)
    value, near, slope_listed, slope_joined = 0.0, 0.0, np.zeros_like(base), np.zeros_like(shift)
    edges = np.concatenate([[-np.inf], z, [np.inf]])
    chance, constant = np.zeros(len(z) + 1), np.zeros(len(z) + 1)  # of states of A, by the first of B with z > 0
    ascending = np.argsort(base)  # a search for ascending numbers takes a tenth of the time
    for u, count in enumerate(halves.counts):
        some = ascending if count == len(base) else ascending[ascending < count]
        y, q, x_own = base[some] + shift[u], joined.share[u] * listed.share[some], x_listed[some] + x_joined[u]
        reached = np.searchsorted(z, -y, side="right")
        mass, first, second, *crossed = tails[:, reached]
        z_mean = y * mass + first
        x_mean, xz_mean = x_own * mass, x_own * z_mean
        if crossed:
            x_mean, xz_mean = crossed[0], y * crossed[0] + crossed[1]
        value += float((q * (square * (y * (z_mean + first) + second) - cross * xz_mean)).sum())
        slope = q * (2 * square * z_mean - cross * x_mean)
        slope_listed[some] += slope
        slope_joined[u] = slope.sum()
        chance += np.bincount(reached, q, len(chance))
        constant += np.bincount(reached, q * (2 * square * y - cross * x_own), len(chance))
        close = (edges[reached] >= -y - slack) | (edges[reached + 1] <= -y + slack)
        close &= bool(crossed) | (x_own != 0)
        if close.any():
            first_near = np.searchsorted(z, -y[close] - slack, side="left")
            behind = np.searchsorted(z, -y[close] + slack, side="right")
            sizes, weight = (tails[-1], q) if crossed else (tails[0], q * np.abs(x_own))
            near += float(weight[close] @ (sizes[first_near] - sizes[behind]))
    chance, constant = np.cumsum(chance[:-1]), np.cumsum(constant[:-1])
    slope_searched = np.empty_like(z)
    slope_searched[order] = p * (2 * square * z * chance + constant)
    if own in searched.members:
        slope_searched[order] -= p * cross * x * chance
    return value, near, (slope_listed, slope_joined, slope_searched)


def _tail_sums(terms: Float[ndarray, "k s"]) -> Float[ndarray, "k t"]:
    """Sum every row from each place on, and from behind the last, in blocks."""
    k, states = terms.shape
    blocks = -(-states // _BLOCK)
    padded = np.zeros((k, blocks * _BLOCK))
    padded[:, :states] = terms[:, ::-1]
    sums = padded.reshape(k, blocks, _BLOCK).cumsum(2)
    sums[:, 1:] += sums[:, :-1, -1].cumsum(1)[:, :, None]
    tails = np.zeros((k, states + 1))
    tails[:, :states] = sums.reshape(k, -1)[:, :states][:, ::-1]
    return tails


def _straight(
    G: Float[ndarray, "rows n"], b: Float[ndarray, " rows"], own: Int[ndarray, " rows"], halves: Halves, left: float
) -> tuple[Float[ndarray, " rows"], Float[ndarray, "rows n"], Float[ndarray, " rows"]]:
    """E (x - l z)^2 and its gradient."""
    rest = -left * np.concatenate([b[:, None], G], axis=1)  # x - l z as a sum over 1 and the features
    rest[np.arange(len(b)), own + 1] += 1
    moment = rest @ halves.whole
    slope = -2 * left * moment
    return (rest * moment).sum(1), slope[:, 1:], slope[:, 0]


def _errors(
    G: Float[ndarray, "rows n"],
    b: Float[ndarray, " rows"],
    own: Int[ndarray, " rows"],
    halves: Halves,
    activation: Activation,
) -> tuple[Float[ndarray, " rows"], Float[ndarray, " rows"], Float[ndarray, " rows"]]:
    """Bounds on what values are wrong by, for truncation and rounding, and on what gradients are."""
    left, bend = activation.left, activation.bend
    square, cross = abs(bend * (bend + 2 * left)), abs(2 * bend)
    c = np.concatenate([b[:, None], G], axis=1)
    root = np.sqrt(halves.whole.diagonal())
    size = np.abs(c) @ root  # sqrt(E z^2), at most
    diagonal = np.maximum(halves.missing.diagonal(), 0) + halves.unsure * halves.whole.diagonal()
    z = np.sqrt(np.maximum(((c @ halves.missing) * c).sum(1), 0) + halves.unsure * size**2)
    x, largest = np.sqrt(diagonal[own + 1]), np.sqrt(diagonal.max())
    states = max(halves.sizes)
    blocks = _EPS * (min(_BLOCK, states) + states / _BLOCK + G.shape[1])
    weight = (1 + left**2 + square + cross) * (size + root[own + 1])
    rounding = 2 * blocks * weight * (size + root[own + 1])
    truncation = square * z**2 + cross * x * z
    slope = largest * (2 * square * z + cross * x) + 4 * states * _EPS * weight * root.max()
    return truncation, rounding, slope
