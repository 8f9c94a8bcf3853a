"""Do the members of a record tell of the same law? A record's sums over quantiles and patterns.

A record written by hand, or derived from another, may answer some questions for one law and others for another: the
exact loss would then be of the one, the trained model of the other. What is found here is refused, in one sentence.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from theory.model.set_laws import SetLaw
    from theory.model.value_protocol import ValueLaw

__all__ = ["set_contradiction", "value_contradiction"]

# Equal shares of a value law whose middles stand for it.
_SHARES = 4096
_ROUNDING = 1e-9
# Values nearer than this, in root mean squares, need not be told apart.
_NEAR = 1e-6
_BESIDE = 0.01


def value_contradiction(law: "ValueLaw") -> str | None:
    """
    Compare a value law's transform and partial moments with its moments and its quantiles.

    The middle rule over equal shares of probability integrates a function f of the value to within its variation over
    the middles, divided by twice their number, plus what the outermost half shares hold: the tolerance used.

    Parameters
    ----------
    law : ValueLaw
        The record, whose moments are finite.

    Returns
    -------
    str or None
        What disagrees; None if nothing does.
    """
    moments = [law.moment(k) for k in range(3)]
    for k, derivative in enumerate(law.transforms(np.zeros(1), 2)):
        moment = complex(derivative[0] / 1j**k)
        if abs(moment - moments[k]) > 1e-6 * moments[2] ** (k / 2):
            return f"E u^{k} is {moments[k]:.6g} as a moment, but {moment.real:.6g} by the transform at 0"

    u = np.asarray(law.quantile((np.arange(_SHARES) + 0.5) / _SHARES), dtype=float)
    scale = 1 / np.sqrt(moments[2])
    for a in (scale, 3 * scale):
        average, transform = np.exp(1j * a * u).mean(), law.transform(np.array([a]))[0]
        if abs(average - transform) > (2 + min(a * (u[-1] - u[0]), _SHARES)) / _SHARES:
            return f"E exp({a:.3g} iu) is {transform:.4g} by the transform, but {average:.4g} by the quantiles"

    quantiles = np.asarray(law.quantile(np.array([0.1, 0.4, 0.6, 0.9])), dtype=float)
    ends = np.sort(np.concatenate([quantiles - _BESIDE / scale, quantiles + _BESIDE / scale]))  # around atoms
    beyond = [np.asarray(law.partial(k, ends)) for k in range(3)]
    for part, (below, above) in enumerate(pairwise(ends)):
        inside = (u > below) & (u <= above)
        at_ends = np.minimum(np.abs(u - below), np.abs(u - above)) < _NEAR / scale
        for k in range(3):
            said = float(beyond[k][part] - beyond[k][part + 1])
            seen = float(np.mean(inside * u**k))
            # Two shares may lie on the wrong side of each end, and all that are not told from it.
            shares = 4 * max(abs(below), abs(above)) ** k / _SHARES + float(np.mean(at_ends * np.abs(u) ** k))
            if abs(seen - said) > shares + _ROUNDING * moments[2] ** (k / 2):
                return (
                    f"E u^{k} of the values between {below:.4g} and {above:.4g} is {said:.4g} by the partial moments, "
                    f"but {seen:.4g} by the quantiles"
                )
    return None


def set_contradiction(law: "SetLaw", members: int) -> str | None:
    """
    Compare what a set law overrides with what its generating function says.

    Parameters
    ----------
    law : SetLaw
        The record, at one density.
    members : int
        Size of the set, small enough to list its patterns.

    Returns
    -------
    str or None
        What disagrees; None if nothing does.
    """
    from theory.model.set_laws import SetLaw

    active = (np.arange(2**members)[:, None] >> np.arange(members)) & 1 == 1
    table = SetLaw.pattern_probability(law, active)
    e = np.random.default_rng(0).uniform(0.2, 1.8, size=(3, members))
    listed = np.zeros(2**members)
    for who, share in law.patterns(members):
        listed[(1 << np.asarray(who)).sum()] += share
    shares = max(_SHARES, 64 * 2**members)
    drawn = law.activate((np.arange(shares) + 0.5) / shares, members)
    frequency = np.bincount(drawn @ (1 << np.arange(members)), minlength=2**members) / shares
    compared = {
        "slopes": (law.slopes(e), SetLaw.slopes(law, e), _ROUNDING),
        "pair_activity": (law.pair_activity(members), SetLaw.pair_activity(law, members), _ROUNDING),
        "pattern_probability": (law.pattern_probability(active), table, _ROUNDING),
        "patterns": (listed, table, _ROUNDING),
        # Each pattern may be drawn on several parts of [0, 1), each wrong by a share at most.
        "activate": (frequency.cumsum(), table.cumsum(), 2.0**members / shares + _ROUNDING),
    }
    for name, (said, derived, tolerance) in compared.items():
        if np.shape(said) != np.shape(derived) or not np.allclose(said, derived, rtol=0, atol=tolerance):
            return f"{name} is not that of its generating function"
    return None
