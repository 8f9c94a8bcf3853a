"""The closed patterns' part of the kinks' terms, and the rule's term in L that belongs to all other patterns."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.frame import Frame
from theory.loss.engine.one_active import signed_moments

__all__ = ["closed_part"]

# Couplings handled at once, so that a dozen arrays of them fit the L2 cache.
_CACHED = 12_000
_EPS = float(np.finfo(float).eps)


def closed_part(f: Frame, half: Float[ndarray, " rows"]) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
    """
    Give the kinks' terms of the closed patterns, and the rule's term in L that belongs to all others.

    Parameters
    ----------
    f : Frame
        The rows.
    half : ndarray, shape (rows,)
        Windows L.

    Returns
    -------
    value, dG, db : ndarray
        Sums over the kinks and their gradients.
    size : ndarray, shape (rows,)
        Sum of the absolute values of the terms, by which rounding is judged.
    unsure : ndarray, shape (rows,)
        How far any derivative can be off because rounding may put an atom of z on the other side of a kink.
    """
    rows, m = f.rows, f.moments
    r, own, G, b = np.arange(len(rows.b)), rows.own, rows.G, rows.b
    mean = f.features.values.moment(1)
    own_c = G[r, own]
    some = f.none + f.alone + f.single.max(1) > 0
    moving = np.where(G == 0, 0.0, f.single) if some.any() else f.single
    mass_moving = moving.sum(1)
    mass = 1 - f.none - mass_moving - f.alone * (own_c != 0)
    rest_x = m.mean_x - mean * f.single
    rest_x[r, own] = m.mean_x[r, own] - mean * (f.alone + f.with_single * mass_moving)
    # a closed pattern in which j moves z weighs as much as its x_j
    rest_z = b * mass + np.einsum("rj,rj->r", G, rest_x)
    reach = np.einsum("rj,rj->r", np.abs(G), m.active)
    value, db, size, unsure, dG = *(np.zeros(len(r)) for _ in range(4)), np.zeros_like(G)
    for q in range(f.weights.shape[1]):
        theta, absolute, square, cross = f.weights[:, q].T
        if not (absolute.any() or square.any() or cross.any()):
            continue
        beta, lead = b - theta, half / 2
        scale = np.abs(beta) + reach
        value += lead * (absolute * mass + 2 * square * (rest_z - theta * mass) + cross * rest_x[r, own])
        db += lead * 2 * square * mass
        dG += (lead * 2 * square)[:, None] * rest_x
        size += lead * (np.abs(absolute) + 2 * np.abs(square) * scale + np.abs(cross) * np.abs(m.mean_x[r, own]))
        size += (np.abs(absolute) + np.abs(square) * scale + np.abs(cross) * m.active[r, own]) * scale
        if not some.any():
            continue
        for atom, mass in f.features.values.atoms:
            unsure += mass * _unsure(f, beta, atom, absolute, cross)
        own_value, own_db, own_dG = _own_alone(f, beta, absolute, square, cross)
        value += own_value
        db += own_db
        dG[r, own] += own_dG
        step = max(1, _CACHED // G.shape[1])
        for first in range(0, len(r), step):
            c = slice(first, first + step)
            # a feature that is always active is the only one that can be active alone
            alone = np.flatnonzero(f.single[c].any(0))
            j = alone if 2 * len(alone) < G.shape[1] else slice(None)
            others = _others(f, moving, c, j, beta[c], absolute[c], square[c], cross[c])
            value[c] += others[0]
            db[c] += others[1]
            dG[c, j] += others[2]
            dG[r[c], own[c]] += others[3]
    return value, dG, db, size, unsure


def _unsure(f: Frame, beta: ndarray, atom: float, absolute: ndarray, cross: ndarray) -> Float[ndarray, " rows"]:
    """Jumps of derivatives at atoms y = beta + c u, one feature moving z, that are 0 up to rounding."""
    G, r, own = f.rows.G, np.arange(len(beta)), f.rows.own
    near = np.abs(beta[:, None] + G * atom) <= 4 * _EPS * (np.abs(beta[:, None]) + np.abs(G * atom)) + (
        np.abs(atom) * f.rows.blur[:, None]
    )
    near &= G != 0
    if not near.any():
        return np.zeros(len(beta))
    mean = abs(f.features.values.moment(1))
    others = (near * f.single).sum(1) * (np.abs(absolute) + np.abs(cross) * mean * f.with_single)
    alone = near[r, own] * f.alone * (np.abs(absolute) + np.abs(cross * atom))
    return 2 * (others + alone) * max(1.0, abs(atom))


def _own_alone(
    f: Frame, beta: ndarray, absolute: ndarray, square: ndarray, cross: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """No feature but the own one moves z: value, and derivatives in bias and own coupling."""
    own_c = f.rows.G[np.arange(len(beta)), f.rows.own]
    S0, S1, S2 = signed_moments(f.features.values, own_c, beta)
    y, u_y = beta * S0 + own_c * S1, beta * S1 + own_c * S2
    # An own feature that does not move z is in P(none) already; then, if single, it is independent of z
    moves = f.alone * (own_c != 0)
    with_set = np.where((own_c == 0) & (f.own_set >= 0), f.alone, 0.0)
    extra = absolute + cross * f.features.values.moment(1) * f.with_single
    value = moves * (absolute * y + square * (beta * y + own_c * u_y)) + (moves + with_set) * cross * u_y
    db = moves * (absolute * S0 + 2 * square * y) + (moves + with_set) * cross * S1
    value += f.none * np.abs(beta) * (extra + square * beta)
    db += f.none * (extra * np.sign(beta) + 2 * square * np.abs(beta))
    return value, db, f.alone * (absolute * S1 + 2 * square * u_y + cross * S2)


def _others(
    f: Frame,
    moving: ndarray,
    c: slice,
    j: Int[ndarray, " some"] | slice,
    beta: ndarray,
    absolute: ndarray,
    square: ndarray,
    cross: ndarray,
) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Exactly one other feature j moves z: value, and derivatives in bias, couplings and own coupling."""
    G, moving, law = f.rows.G[c, j], moving[c, j], f.features.values
    mean, with_single = law.moment(1), f.with_single[c]
    S0, S1, S2 = signed_moments(law, G, beta[:, None])
    extra = absolute + cross * mean * with_single
    weighted = moving * G
    S2 *= G
    sum0 = np.einsum("rj,rj->r", moving, S0)
    sum1 = np.einsum("rj,rj->r", weighted, S1)
    sum2 = np.einsum("rj,rj->r", weighted, S2)
    y = beta * sum0 + sum1
    value = extra * y + square * (beta * y + beta * sum1 + sum2)
    db = extra * sum0 + 2 * square * y
    S1 *= (extra + 2 * square * beta)[:, None]
    S2 *= 2 * square[:, None]
    S1 += S2
    S1 *= f.single[c, j]
    beside = with_single * (mean * (absolute * sum0 + 2 * square * y) + cross * law.moment(2) * sum0)
    return value, db, S1, beside
