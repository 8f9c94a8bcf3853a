"""First and second moments of rows, and the part of the error that is a polynomial."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import erf

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.rows import Features, Rows

__all__ = ["Moments", "Polynomial", "expected_error", "extremes", "moments", "never_switches", "polynomial"]


@dataclass(frozen=True, eq=False)
class Moments:
    """
    What rows and features say of first and second moments.

    Attributes
    ----------
    p : ndarray, shape (rows, n)
        Probability of every single feature; 0 for members of larger sets.
    active : ndarray, shape (rows, n)
        Probability of every feature.
    mean_x : ndarray, shape (rows, n)
        E x_j.
    mean_z : ndarray, shape (rows,)
        E z.
    cov_z : ndarray, shape (rows, n)
        Cov(z, x_j).
    cov_own : ndarray, shape (rows, n) or None
        Cov(x_own, x_j) of sets of several features, the own feature left out; None without such sets.
    var_own, square_own : ndarray, shape (rows,)
        Variance and second moment of x_own.
    pairs : tuple of ndarray, shape (members, members)
        P(two members are active) of every larger set; 0 for a member with itself.
    """

    p: ndarray
    active: ndarray
    mean_x: ndarray
    mean_z: ndarray
    cov_z: ndarray
    cov_own: ndarray | None
    var_own: ndarray
    square_own: ndarray
    pairs: tuple[ndarray, ...]


def moments(rows: Rows, features: Features) -> Moments:
    """
    Compute the moments of rows.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them.

    Returns
    -------
    Moments
        All that later steps need.
    """
    G, law = rows.G, features.values
    mean, square = law.moment(1), law.moment(2)
    p = np.broadcast_to(features.density, G.shape)
    cov_own, pairs = None, []
    if features.sets:
        p = p.copy()
        p[:, [j for s in features.sets for j in s.members]] = 0.0
    active = p
    variance = p * (square - p * mean**2)
    cov_z = G * variance
    if features.sets:
        active, variance, cov_own = p.copy(), variance.copy(), np.zeros_like(G)
        for s in features.sets:
            members = list(s.members)
            first, pair = _pair_activity(s, len(members))
            pairs.append(pair)
            active[:, members] = first
            within = mean**2 * (pair - np.outer(first, first))
            np.fill_diagonal(within, first * (square - first * mean**2))
            cov_z[:, members] = G[:, members] @ within
            for k, j in enumerate(members):
                own = np.flatnonzero(rows.own == j)
                cov_own[np.ix_(own, np.array(members))] = within[k]
                cov_own[own, j] = 0.0
            variance[:, members] = np.diag(within)
    r = np.arange(len(G))
    return Moments(
        p=p,
        active=active,
        mean_x=active * mean,
        mean_z=rows.b + mean * (G * active).sum(1),
        cov_z=cov_z,
        cov_own=cov_own,
        var_own=variance[r, rows.own],
        square_own=active[r, rows.own] * square,
        pairs=tuple(pairs),
    )


def _pair_activity(s: object, size: int) -> tuple[ndarray, ndarray]:
    """P(j active) = dQ_j(1), and P(j, k active) as the second difference of the multi-affine Q."""
    one = np.ones(size)
    first = np.array([float(x) for x in s.dQ(one)])  # type: ignore[attr-defined]
    pair = np.zeros((size, size))
    for k in range(size):
        without = one.copy()
        without[k] = 0.0
        pair[:, k] = first - np.array([float(x) for x in s.dQ(without)])  # type: ignore[attr-defined]
    return first, pair


def extremes(rows: Rows, features: Features, m: Moments) -> tuple[Float[ndarray, " rows"], Float[ndarray, " rows"]]:
    """
    Give the smallest and the largest z that can occur.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them; members of larger sets count as able to be on or off.
    m : Moments
        Their moments.

    Returns
    -------
    low, high : ndarray, shape (rows,)
        Without noise, with a margin for rounding where they are sums; infinite with unbounded values.
    """
    low, high = features.values.support
    off_low, off_high = min(low, 0.0), max(high, 0.0)
    up, down = np.maximum(rows.G, 0), np.minimum(rows.G, 0)
    positive, negative = up.sum(1), down.sum(1)
    least = _times(positive, off_low) + _times(negative, off_high)
    most = _times(positive, off_high) + _times(negative, off_low)
    always = m.active >= 1
    if always.any() and np.isfinite(low) and np.isfinite(high):  # these features' values are never 0
        up, down = (up * always).sum(1), (down * always).sum(1)
        least += up * (low - off_low) + down * (high - off_high)
        most += up * (high - off_high) + down * (low - off_low)
    # A margin of the order of what rounding does to the sums: at worst a row is integrated for nothing.
    largest = max((abs(end) for end in (off_low, off_high) if np.isfinite(end)), default=0.0)
    margin = 2e-15 * (np.abs(rows.b) + (positive - negative) * largest)
    margin = np.where(positive - negative > 0, margin, 0.0)
    return rows.b + least - margin, rows.b + most + margin


def _times(sums: Float[ndarray, " rows"], end: float) -> Float[ndarray, " rows"]:
    """Product in which 0 times infinity is 0."""
    return sums * end if np.isfinite(end) else np.where(sums > 0, end, np.where(sums < 0, -end, 0.0))


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Value and gradient of the part of the error that needs no quadrature; its size measures what rounding costs."""

    value: ndarray  # (rows,)
    dG: ndarray  # (rows, n)
    db: ndarray  # (rows,)
    dnoise: ndarray  # (rows,)
    size: ndarray  # (rows,): sum of the absolute values of what was added
    slope_size: ndarray  # (rows,): the same for any entry of the gradient


def polynomial(rows: Rows, m: Moments, error: SquaredError, sign: Float[ndarray, "rows kinks"]) -> Polynomial:
    """
    Give E x^2 and the polynomial terms of E (x - f(z))^2, kinks that z never passes included.

    Parameters
    ----------
    rows : Rows
        The rows.
    m : Moments
        Their moments.
    error : SquaredError
        The activation.
    sign : ndarray, shape (rows, kinks)
        1 where z - theta is never negative, -1 where it is never positive, 0 where it changes sign.

    Returns
    -------
    Polynomial
        Value and gradient. Coefficients are added before they multiply, so that what cancels is exactly 0.
    """
    cross = np.full(len(rows.b), error.linear_cross)
    square = np.full(len(rows.b), error.square)
    linear, own_mean, constant = np.zeros_like(cross), np.zeros_like(cross), np.zeros_like(cross)
    for q, (theta, absolute, signed_square, kink_cross) in enumerate(error.kinks):
        s = sign[:, q]
        square += s * signed_square
        cross += s * kink_cross
        linear += s * (absolute - 2 * theta * signed_square)
        own_mean -= s * theta * kink_cross
        constant += s * (theta**2 * signed_square - theta * absolute)
    r, own = np.arange(len(rows.b)), rows.own
    mean_own = m.mean_x[r, own]
    var_z = (rows.G * m.cov_z).sum(1) + rows.noise
    x_z = mean_own * m.mean_z + m.cov_z[r, own]
    z_z = m.mean_z**2 + var_z
    value = m.square_own + own_mean * mean_own + constant + linear * m.mean_z + cross * x_z + square * z_z
    slope = linear + cross * mean_own + 2 * square * m.mean_z
    dG = slope[:, None] * m.mean_x
    dG += 2 * square[:, None] * m.cov_z
    if m.cov_own is not None:
        dG += cross[:, None] * m.cov_own
    dG[r, own] += cross * m.var_own
    size = m.square_own + np.abs(constant) + np.abs(own_mean * mean_own) + np.abs(linear * m.mean_z)
    # mean_z cancels in itself where biases oppose couplings
    reach = np.abs(rows.b) + np.abs(rows.G * m.mean_x).sum(1)
    size += np.abs(cross) * (np.abs(mean_own) * reach + np.abs(m.cov_z[r, own])) + square * (reach**2 + var_z)
    slope_size = np.abs(linear) + np.abs(cross) + 2 * square * (reach + np.abs(rows.G).max(1))
    return Polynomial(value, dG, slope, square, size, slope_size * np.maximum(1.0, np.abs(m.mean_x).max(1)))


def expected_error(rows: Rows, m: Moments, error: SquaredError) -> Float[ndarray, " rows"]:
    """Guess the error: that of leaving the own feature out, and what all others would add if their sum were normal."""
    r, own = np.arange(len(rows.b)), rows.own
    mean = m.mean_z - rows.G[r, own] * m.mean_x[r, own]
    variance = (rows.G * m.cov_z).sum(1) - rows.G[r, own] * m.cov_z[r, own] + rows.noise
    deviation = np.sqrt(np.maximum(variance, 1e-300))
    others = error.square * (mean**2 + deviation**2)
    for theta, absolute, signed_square, _ in error.kinks:
        y = mean - theta
        x = np.clip(y / deviation, -30.0, 30.0)
        sign, density = erf(x / np.sqrt(2)), deviation * np.exp(-(x**2) / 2) * np.sqrt(2 / np.pi)
        others += absolute * (y * sign + density) + signed_square * ((y**2 + deviation**2) * sign + y * density)
    return np.asarray(m.square_own + (1 - m.active[r, own]) * np.maximum(others, 0.0))


def never_switches(low: ndarray, high: ndarray, error: SquaredError) -> Float[ndarray, "rows kinks"]:
    """Sign of z - theta where it is the same for every x, else 0; where z = theta always, -1: ReLU'(0) is 0."""
    theta = np.array([kink[0] for kink in error.kinks])
    return np.where(high[:, None] <= theta, -1.0, np.where(low[:, None] >= theta, 1.0, 0.0))
