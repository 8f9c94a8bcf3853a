"""What characteristic functions of rows have lost at low frequencies, to the last digit.

With a heavy tail z has no exponential moment, and frequencies down to one over the largest values that matter count.
There E x exp(itz) is nearly E x, and the integrands, differences of both over t^2, would be all rounding. They are
computed from what single features have lost, e(a) - 1 and e'(a) - e'(0) (``ValueLaw.losses``), without taking
differences of large numbers: for independent features

    1 - phi = -expm1(sum log1p(p (e - 1))) ,   E x_j - E x_j exp(itz) = E x_j (1 - phi) + phi L_j ,
    L_j = p_j (m p_j (e_j - 1) + i (e_j' - e_j'(0))) / (1 + p_j (e_j - 1)) ,   m = E u ,

and for sets the same with their polynomials, which are affine in every e_j: differences of them are sums of slopes.
With z|z| = z . |z| all that is integrated is, for weights x of 1, z, x_own and their products,

    E x|z| = (2/pi) Int (E x - Re E x exp(itz)) / t^2 dt ,   E x sgn z = (2/pi) Int Im E x exp(itz) / t dt .
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.loss.engine.frame import Frame
from theory.loss.engine.laws import SetLaw
from theory.loss.engine.moments import Moments

__all__ = ["LowSums", "low_sums"]

# Stands for a factor that is exactly 0.
_ZERO = 1e-200


@dataclass(frozen=True, eq=False)
class LowSums:
    """
    Contributions of some nodes at low frequencies to the kinks' terms of patterns that are not closed.

    Attributes
    ----------
    value, db, dnoise : ndarray, shape (rows,)
        Of the value, and derivatives in bias and noise.
    dG : ndarray, shape (rows, n)
        Derivatives in the couplings.
    terms, slope_terms : ndarray of complex, shape (rows, nodes)
        What nodes contribute to the value, and to the derivative in the bias; their imaginary parts tell of integrals
        that are not taken.
    signed : ndarray, shape (rows, nodes)
        (2/pi) times the coefficient of E y|y| times (t E y - Im E exp(ity)) / t^2.
    """

    value: ndarray
    db: ndarray
    dnoise: ndarray
    dG: ndarray
    terms: ndarray
    slope_terms: ndarray
    signed: ndarray


@dataclass(frozen=True, eq=False)
class _Parts:
    """Characteristic function of G x + noise in logarithm, and by feature what is left and lost of E x_j exp(itz)."""

    log: Complex[ndarray, "rows nodes"]
    x: Complex[ndarray, "n rows nodes"]  # E x_j exp(itz) over phi
    lost: Complex[ndarray, "n rows nodes"]  # E x_j - E x_j exp(itz) = E x_j (1 - phi) + phi times this
    pairs: Complex[ndarray, "n rows nodes"]  # E x_own x_j exp(itz) over phi


def low_sums(f: Frame, m: Moments, t: Float[ndarray, "rows nodes"], h: Float[ndarray, "rows nodes"]) -> LowSums:
    """
    Sum over some nodes.

    Parameters
    ----------
    f : Frame
        A block of rows.
    m : Moments
        Their moments.
    t, h : ndarray, shape (rows, nodes)
        Frequencies > 0, and the weight of each.

    Returns
    -------
    LowSums
        The contributions.
    """
    rows, law = f.rows, f.features.values
    r, own, mean = np.arange(len(t)), rows.own, law.moment(1)
    G, mean_x, single = (a.T[:, :, None] for a in (rows.G, m.mean_x, f.single))
    d, d1 = law.losses(G * t)
    own_second = law.transform(G[own, r] * t, 2)
    parts = _parts(f, m, t, d, d1, own_second)
    lost_z = (G * parts.lost).sum(0) - 1j * rows.noise[:, None] * t
    moving = np.where(G == 0, 0.0, single)
    none, alone, beside = f.none[:, None], f.alone[:, None], f.with_single[:, None]
    own_moves = np.where(G[own, r] != 0, alone, 0.0)
    mass = none + moving.sum(0) + own_moves
    mean_closed = mean * ((G * moving).sum(0) + own_moves * G[own, r])
    value, db, dnoise = np.zeros(len(t)), np.zeros(len(t)), np.zeros(len(t))
    dG, signed = np.zeros_like(rows.G), np.zeros(t.shape)
    terms, slope_terms = np.zeros(t.shape, dtype=complex), np.zeros(t.shape, dtype=complex)
    twice, once, flat = (2 / np.pi) * h / t**2, (2 / np.pi) * h / t, h / np.pi
    for q in range(f.weights.shape[1]):
        theta, absolute, square, cross = f.weights[:, q].T[:, :, None]
        if not (absolute.any() or square.any() or cross.any()):
            continue
        beta, mean_y = rows.b[:, None] - theta, m.mean_z[:, None] - theta
        turned = np.expm1(1j * beta * t)
        gone = -np.expm1(parts.log + 1j * beta * t)
        phi = 1 - gone
        # Closed patterns in which feature j alone moves z: what they have lost of 1 and of u_j
        e_gone, u_gone = -(turned + (1 + turned) * d), -mean * turned + 1j * (1 + turned) * d1
        few = (moving * e_gone).sum(0)
        closed = few - none * turned + own_moves * e_gone[own, r]
        z_closed = beta * closed + (G * moving * u_gone).sum(0) + own_moves * G[own, r] * u_gone[own, r]
        x_closed = alone * u_gone[own, r] + beside * mean * few
        rest, rest_z = gone - closed, mean_y * gone + phi * lost_z - z_closed
        rest_x = mean_x * gone + phi * parts.lost - single * u_gone
        rest_x[own, r] = rest_own = mean_x[own, r] * gone + phi * parts.lost[own, r] - x_closed
        pairs = phi * parts.pairs - beside * mean * single * (mean - u_gone)
        squares = -(1 + turned) * own_second
        few_left = moving.sum(0) - few
        pairs[own, r] = phi * parts.pairs[own, r] - alone * squares - beside * law.moment(2) * few_left
        summand = twice * (absolute * rest + square * rest_z + cross * rest_own)
        # Im E exp(ity) of the patterns that are not closed is minus Im of what they have lost; its real part is needed
        # for noise only, where no pattern is closed
        slope = 2 * twice * square * rest + 1j * once * (absolute * rest + cross * rest_own)
        value += summand.real.sum(1)
        db += slope.real.sum(1)
        dG += (2 * twice * square * rest_x.real - once * (absolute * rest_x.imag - cross * pairs.imag)).sum(2).T
        kept = absolute * (1 - mass - rest.real) + cross * (mean_x[own, r] - rest_own.real)
        dnoise += (flat * kept - once * square * rest.imag).sum(1)
        terms += summand
        slope_terms += slope
        signed += (2 / np.pi) * square * (t * (mean_y - beta * mass - mean_closed) + rest.imag) / t**2
    return LowSums(value, db, dnoise, dG, terms, slope_terms, signed)


def _parts(f: Frame, m: Moments, t: ndarray, d: ndarray, d1: ndarray, own_second: ndarray) -> _Parts:
    """Multiply over features and sets."""
    r, own, mean = np.arange(len(t)), f.rows.own, f.features.values.moment(1)
    p = m.p.T[:, :, None]
    change = p * d
    factor = np.where(change == -1, _ZERO, 1 + change)
    log = _log1p(change).sum(0) - 0.5 * f.rows.noise[:, None] * t**2
    left = mean - 1j * d1  # E u exp(iau)
    x, lost = p * left / factor, p * (mean * change + 1j * d1) / factor
    squares = -own_second * p[own, r] / factor[own, r]
    joint = []
    for number, s in enumerate(f.features.sets):
        members = list(s.members)
        value, slopes, slope_change, at_one = _of_set(s, d[members])
        log = log + _log1p(value)
        Q = np.where(value == -1, _ZERO, 1 + value)
        x[members] = left[members] * slopes / Q
        lost[members] = (mean * (at_one * value - slope_change) + 1j * d1[members] * slopes) / Q
        here = np.flatnonzero(f.own_set == number)
        if not len(here):
            continue
        position, row = np.array([members.index(j) for j in own[here]]), np.arange(len(here))
        squares[here] = -own_second[here] * slopes[position, here] / Q[here]
        e = 1 + d[np.ix_(np.array(members), here)]
        for k, j in enumerate(members):
            upper, lower = e.copy(), e.copy()
            upper[k], lower[k] = 1.0, 0.0
            both = (s.dQ(upper) - s.dQ(lower))[position, row]
            joint.append((j, here, left[own[here], here] * left[j, here] * both / Q[here]))
    pairs = x * x[own, r]
    for j, here, both in joint:
        pairs[j, here] = both
    pairs[own, r] = squares
    return _Parts(log, x, lost, pairs)


def _of_set(s: SetLaw, d: Complex[ndarray, "members rows nodes"]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Q(1 + d) - 1, dQ(1 + d), dQ(1 + d) - dQ(1) and dQ(1): from 1 to 1 + d one member at a time, affine in each."""
    one = np.ones_like(d)
    at_one = s.dQ(np.ones((len(d), 1, 1)))
    point, change, value = one, np.zeros_like(d), np.zeros(d.shape[1:], dtype=complex)
    for k in range(len(d)):
        upper, lower = point.copy(), point.copy()
        upper[k], lower[k] = 1.0, 0.0
        above = s.dQ(upper)
        value += d[k] * above[k]
        step = d[k] * (above - s.dQ(lower))
        step[k] = 0.0
        change += step
        point = point.copy()
        point[k] = 1 + d[k]
    return value, at_one + change, change, at_one + np.zeros_like(d)


def _log1p(x: Complex[ndarray, "*shape"]) -> Complex[ndarray, "*shape"]:
    """log(1 + x) without rounding of 1 + |x|; NumPy's takes the logarithm of a modulus."""
    out = np.empty_like(x)
    with np.errstate(divide="ignore"):
        out.real = np.maximum(0.5 * np.log1p(np.maximum(2 * x.real + x.real**2 + x.imag**2, -1.0)), -1e3)
    out.imag = np.arctan2(x.imag, 1 + x.real)
    return out
