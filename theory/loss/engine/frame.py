"""Rows prepared for quadrature: steps, kinks, and the patterns that are taken out and treated in closed form.

The slowest part of phi(t) = E exp(itz) comes from patterns in which at most one feature moves z. Features with
coupling 0 do not move z, so they may be on or off in such a pattern.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.activation import SquaredError
from theory.loss.engine.moments import Moments
from theory.loss.engine.rows import Features, Rows

__all__ = ["Frame", "frame"]

_RARE = 1e-15


@dataclass(frozen=True, eq=False)
class Frame:
    """
    What quadrature needs of rows; the own feature is separate, column ``own`` of ``p`` and ``single`` is 0.

    Attributes
    ----------
    rows, features, moments
        What was asked.
    p : ndarray, shape (rows, n)
        Probability of the single features that move z.
    p_own : ndarray, shape (rows,)
        Probability of the own feature if it is single, else 0.
    none : ndarray, shape (rows,)
        P(z = b for certain): no feature that moves z is active.
    single : ndarray, shape (rows, n)
        P(only feature j moves z).
    alone : ndarray, shape (rows,)
        P(x_own active, nothing else moves z).
    with_single : ndarray, shape (rows,)
        Factor of ``single`` by which the own feature, where its coupling is 0, is active beside feature j.
    own_set : ndarray of int, shape (rows,)
        Number of the set that holds the own feature; -1 for single features.
    weights : ndarray, shape (rows, kinks, 4)
        theta and the coefficients of E|y|, E y|y| and E x|y|; 0 for kinks that z never passes.
    quiet, quiet_others : ndarray, shape (rows,)
        P(no feature moves z but those that are always active), and the same of all but the own feature.
    """

    rows: Rows
    features: Features
    moments: Moments
    p: ndarray
    p_own: ndarray
    none: ndarray
    single: ndarray
    alone: ndarray
    with_single: ndarray
    own_set: ndarray
    weights: ndarray
    quiet: ndarray
    quiet_others: ndarray

    def take(self, which: Int[ndarray, " some"] | slice) -> "Frame":
        """Return some of the rows; their moments stay behind."""
        arrays = ("p", "p_own", "none", "single", "alone", "with_single", "own_set", "weights", "quiet", "quiet_others")
        return Frame(
            self.rows.take(which),
            self.features.take(which),
            self.moments,
            *(getattr(self, name)[which] for name in arrays),
        )


def frame(rows: Rows, features: Features, m: Moments, error: SquaredError, sign: Float[ndarray, "rows kinks"]) -> Frame:
    """
    Prepare rows.

    Parameters
    ----------
    rows : Rows
        The rows.
    features : Features
        What feeds them.
    m : Moments
        Their moments.
    error : SquaredError
        The activation.
    sign : ndarray, shape (rows, kinks)
        Non-zero for kinks that need no quadrature.

    Returns
    -------
    Frame
        The rows with their closed patterns.
    """
    G, own, r = rows.G, rows.own, np.arange(len(rows.b))
    p = np.where(G == 0, 0.0, m.p)
    moves_own = G[r, own] != 0
    p_own = m.p[r, own]
    q = 1 - p
    p[r, own] = 0.0
    always = q == 0
    some_always = bool(always.any())
    zeros = always.sum(1) if some_always else np.zeros(len(r), dtype=int)
    rest = (np.where(always, 1.0, q) if some_always else q).prod(1)  # P(no other moves z), but for those always active
    none = np.where(zeros == 0, rest, 0.0)
    q[r, own] = 1.0
    # P(only j): the others' product; if one feature is always active, only that one can be alone
    if some_always:
        always[r, own] = False
        others = np.where(zeros[:, None] == 0, none[:, None] / np.where(always, 1.0, q), 0.0)
        others = np.where((zeros[:, None] == 1) & always, rest[:, None], others)
    else:
        others = np.divide(none[:, None], q, out=q)
    single = p * others
    q_own = np.where(moves_own, 1 - p_own, 1.0)
    own_zero = (moves_own & (p_own == 1)).astype(int)  # counted among the zeros above
    without_own = np.where(zeros - own_zero == 0, rest / np.where(moves_own & (p_own < 1), q_own, 1.0), 0.0)
    alone = p_own * without_own
    quiet, quiet_others = rest, rest / np.where(moves_own & (p_own < 1), q_own, 1.0)
    own_set = np.full(len(r), -1)
    for number, law in enumerate(features.sets):
        members = list(law.members)
        idle = (G[:, members] == 0).astype(float).T
        Q0, dQ0 = law.Q(idle) * np.ones(len(r)), law.dQ(idle) * np.ones((len(members), len(r)))
        here = np.isin(own, members)
        own_set[here] = number
        position = np.array([members.index(j) if j in members else 0 for j in own])
        single *= Q0[:, None]
        alone = np.where(here, none * dQ0[position, r], alone * Q0)
        single[:, members] = none[:, None] * dQ0.T
        single[r[here], own[here]] = 0.0
        none = none * Q0
        quiet, quiet_others = quiet * Q0, quiet_others * np.where(here, 1.0, Q0)
    # With noise phi decays by itself, and closed forms would need the error function; what is as rare as rounding
    # errors are large is not worth them.
    skip = (rows.noise > 0) | (none + single.sum(1) + alone < _RARE)
    if skip.any():
        none, alone, single = np.where(skip, 0.0, none), np.where(skip, 0.0, alone), single * ~skip[:, None]
    weights = np.tile(np.array(error.kinks), (len(r), 1, 1))
    weights[..., 1:] *= (sign == 0)[..., None]
    with_single = np.where(moves_own | (own_set >= 0), 0.0, p_own)
    return Frame(rows, features, m, p, p_own, none, single, alone, with_single, own_set, weights, quiet, quiet_others)
