"""What terms that were measured tell of those that follow, in units of the bounds on these.

Terms stay below their bounds by a factor that falls with the number of features that take part, since revivals need
their phases to agree. Atoms revive for certain, and get no credit.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.envelope import abs_moment
from theory.loss.engine.frame import Frame
from theory.loss.engine.moments import Moments

__all__ = ["credit", "least_ratio", "variation"]

# The least part of the bounds.
_LEAST_RATIO = 1 / 32
# A coupling g has begun to turn phases once t |g| is that large; before, what it will do has not been measured.
_RESOLVED = 1.0


def variation(terms: Float[ndarray, "rows nodes"]) -> Float[ndarray, " rows"]:
    """
    Give the largest sum of consecutive terms: what signs leave of the sum of sizes.

    Parameters
    ----------
    terms : ndarray, shape (rows, nodes)
        Terms in the order of their nodes.

    Returns
    -------
    ndarray, shape (rows,)
        Never negative.
    """
    sums = np.cumsum(terms, axis=1)
    return np.maximum(sums.max(1), 0.0) - np.minimum(sums.min(1), 0.0)


def credit(
    f: Frame, m: Moments, group: Int[ndarray, " some"], T: Float[ndarray, " some"]
) -> tuple[Float[ndarray, " some"], Float[ndarray, " some"], Float[ndarray, " some"]]:
    """
    Say what the terms up to a frequency T tell of those beyond, as parts of their bounds.

    Couplings whose phases have not begun to turn at T tell nothing yet: patterns that they alone move still contribute
    as if z were constant, and E y|y| grows from t|y| of its bound to all of it.

    Parameters
    ----------
    f : Frame
        Frame of all rows.
    m : Moments
        Their moments.
    group : ndarray of int, shape (some,)
        The rows that are meant.
    T : ndarray, shape (some,)
        Largest frequency so far.

    Returns
    -------
    least : ndarray, shape (some,)
        One over the number of features that take part and are resolved, within limits; revivals need them all.
    growth, unseen : ndarray, shape (some,)
        The part of its bounds that E y|y| may still gain; how much of the bounds of an entry of the gradient is unseen.
    """
    if f.features.values.atoms:
        return np.ones(len(T)), np.zeros(len(T)), np.zeros(len(T))
    everything = len(group) == len(f.rows.G)
    turned = np.abs(f.rows.G if everything else f.rows.G[group])
    active = (turned != 0) * (m.active if everything else m.active[group])
    with np.errstate(over="ignore"):
        turned *= T[:, None]
    waiting = (turned < _RESOLVED) * active
    some = waiting.sum(1)
    if not some.any():
        return least_ratio(f, active), np.zeros(len(T)), np.zeros(len(T))
    active -= waiting
    late = active
    least = least_ratio(f, late)
    # the others' transforms have fallen to about 2 / (t |g|); a pattern of two or more waits only if each of them does
    fallen = np.divide(2.0, np.maximum(turned, 2.0))
    others = np.einsum("rj,rj->r", late, fallen)
    unseen = some / np.maximum(some + others, 1e-300)
    any_active = -np.expm1(-some)  # the probability is at least that, since 1 - x <= exp(-x)
    # E |y| in these patterns in units of 1/T; bounds that fall like 1/t^2 leave 3/4 to the next octave, 3/16 ...
    moved = abs_moment(f.features.values, 1) * np.einsum("rj,rj->r", waiting, turned)
    bias = np.abs(f.rows.b[group, None] - f.weights[group, :, 0]).max(1)
    x = moved / np.maximum(any_active, 1e-300) + np.minimum(bias * T, 1.0)
    return least, unseen**2 * np.minimum(3 * x, 1.0), unseen


def least_ratio(f: Frame, active: Float[ndarray, "some n"]) -> Float[ndarray, " some"]:
    """
    Say how far below their bounds terms may be trusted to stay.

    Parameters
    ----------
    f : Frame
        The rows' frame.
    active : ndarray, shape (some, n)
        Probabilities of the features that take part; 0 for others.

    Returns
    -------
    ndarray, shape (some,)
        One over the number of features that take part, within limits; 1 where values have atoms, which revive. Of
        unlike densities it is the geometric mean of (sum p)^2 / sum p^2 and sum p / max p: a few dense features are in
        most patterns, and need each other's agreement only.
    """
    if f.features.values.atoms:
        return np.ones(len(active))
    whole, squares = active.sum(1), np.einsum("rj,rj->r", active, active)
    alike = whole**2 / np.maximum(squares, 1e-300)
    of_densest = whole / np.maximum(active.max(1), 1e-300)
    return np.clip(1 / np.maximum(np.sqrt(alike * of_densest), 1.0), _LEAST_RATIO, 1.0)
