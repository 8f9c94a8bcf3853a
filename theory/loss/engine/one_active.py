"""The patterns with no or one active feature in closed form: |y|, y|y| and u|y| of y = beta + c u.

With S_k = E u^k sgn(beta + c u), which partial moments of the value law give,
E|y| = beta S_0 + c S_1, E y|y| = beta^2 S_0 + 2 beta c S_1 + c^2 S_2, E u|y| = beta S_1 + c S_2, and their derivatives
are S_0, S_1 and S_2 themselves.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.engine.laws import ValueLaw

__all__ = ["signed_moments"]


def signed_moments(
    law: ValueLaw, c: Float[ndarray, "*shape"], beta: Float[ndarray, "*#shape"]
) -> tuple[Float[ndarray, "*shape"], Float[ndarray, "*shape"], Float[ndarray, "*shape"]]:
    """
    Give E u^k sgn(beta + c u) for k = 0, 1, 2.

    Parameters
    ----------
    law : ValueLaw
        Law of u.
    c : ndarray
        Couplings; 0 is allowed.
    beta : ndarray, broadcastable
        Bias minus the kink's position.

    Returns
    -------
    S0, S1, S2 : ndarray
        The three moments.
    """
    beta = np.broadcast_to(beta, c.shape)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        zero = np.where(c == 0, np.where(beta > 0, -np.inf, np.inf), -beta / c)
    rising = np.where(c < 0, -1.0, 1.0)
    first, second, third = (rising * (2 * law.partial(k, zero) - law.moment(k)) for k in range(3))
    flat = (c == 0) & (beta == 0)
    if flat.any():
        first, second, third = (np.where(flat, 0.0, s) for s in (first, second, third))
    return first, second, third
