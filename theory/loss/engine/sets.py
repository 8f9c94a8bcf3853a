"""Sets of several features at every node: their polynomials Q, multiplied, and the gradient by second differences."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.loss.engine.frame import Frame
from theory.loss.engine.laws import transforms

__all__ = ["SetFactors", "set_factors"]

# Stands for a factor that is exactly 0, which a division could not undo in a product.
_ZERO = 1e-200


@dataclass(frozen=True, eq=False)
class _OneSet:
    e: ndarray  # (members, rows, nodes)
    e1: ndarray
    Q: ndarray  # (rows, nodes)
    dQ: ndarray  # (members, rows, nodes)


@dataclass(frozen=True, eq=False)
class SetFactors:
    """
    The sets' part of a characteristic function.

    Attributes
    ----------
    others : ndarray of complex, shape (rows, nodes)
        Product of all factors but that of a single own feature.
    own_slope : ndarray of complex, shape (rows, nodes)
        Its derivative in e_own where a set holds the own feature.
    single : ndarray of complex, shape (rows, nodes)
        Sum of P(only j moves z) e_j over the members.
    """

    others: Complex[ndarray, "rows nodes"]
    own_slope: Complex[ndarray, "rows nodes"]
    single: Complex[ndarray, "rows nodes"]
    sets: tuple[_OneSet, ...]

    def gradient(
        self, f: Frame, t: ndarray, u: ndarray, v_o1: ndarray, full: ndarray, to_closed: ndarray
    ) -> list[Float[ndarray, "members rows"]]:
        """Derivatives in the members' couplings; what is said of the own feature's does not count."""
        gradients = []
        for number, (law, s) in enumerate(zip(f.features.sets, self.sets, strict=True)):
            members = list(law.members)
            # where another set or a single feature is the own one, all depends on e_j through Q
            outer = full / s.Q
            slope = outer * s.dQ
            here = f.own_set == number
            if here.any():
                without = self.others[here] / s.Q[here]
                position = np.array([members.index(j) for j in f.rows.own[here]])
                r = np.arange(here.sum())
                own_dQ = np.stack([_second(law, s.e[:, here], j)[position, r] for j in range(len(members))])
                slope[:, here] = without * (u[here] * s.dQ[:, here] + v_o1[here] * own_dQ)
            single = f.single[:, members].T[:, :, None]
            change = t * slope - single * to_closed
            gradients.append(-(change * s.e1).real.sum(2))
        return gradients


def _second(law: object, e: Complex[ndarray, "members rows nodes"], j: int) -> Complex[ndarray, "members rows nodes"]:
    """Derivative of dQ in e_j: Q is affine in each e."""
    upper, lower = e.copy(), e.copy()
    upper[j], lower[j] = 1.0, 0.0
    return law.dQ(upper) - law.dQ(lower)  # type: ignore[attr-defined]


def set_factors(f: Frame, t: Float[ndarray, "rows nodes"], others: Complex[ndarray, "rows nodes"]) -> SetFactors:
    """
    Multiply the factors of the larger sets.

    Parameters
    ----------
    f : Frame
        A block of rows.
    t : ndarray, shape (rows, nodes)
        Frequencies.
    others : ndarray of complex, shape (rows, nodes)
        Product over the single features but the own one.

    Returns
    -------
    SetFactors
        Products, and what the gradient needs.
    """
    law, sets = f.features.values, []
    single, own_slope = np.zeros_like(others), np.zeros_like(others)
    for s in f.features.sets:
        c = f.rows.G[:, list(s.members)].T[:, :, None]
        e, e1 = transforms(law, c * t)
        Q = s.Q(e)
        Q = np.where(np.abs(Q) < _ZERO, _ZERO, Q)
        sets.append(_OneSet(e, e1, Q, s.dQ(e)))
        others = others * Q
        moving = (f.single * (f.rows.G != 0))[:, list(s.members)].T[:, :, None]
        single += (moving * e).sum(0)
    for number, (s, one) in enumerate(zip(f.features.sets, sets, strict=True)):
        here = np.flatnonzero(f.own_set == number)
        if len(here):
            position = np.array([s.members.index(j) for j in f.rows.own[here]])
            own_slope[here] = one.dQ[position, here] * others[here] / one.Q[here]
    return SetFactors(others, own_slope, single, tuple(sets))
