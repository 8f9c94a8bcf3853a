"""When an extra feature can no longer stay out: the stability limit of "not represented" in closed form.

Let m features have a dimension each (norm 1, bias 0) and the extra feature none (W_e = 0, b_e = E x_e). Perturb W_e by
a small overlap -eps with feature 1, eps > 0, and let b_1 = beta eps and |W_1|^2 = 1 + gamma eps follow. To second order
the extra feature's own output gains r V eps^2, V = Var x_e = p/3 - p^2/4: its benefit 2 r V eps^2 less the interference
r V eps^2. Feature 1's output loses

    eps^2 { p E (x_e - beta - gamma x_1)^2  +  (1 - p) E ReLU(beta - x_e)^2 }

where x_1 is active (z_1 > 0, and gamma takes out three quarters of the mean: (E x)^2 / E x^2 = 3/4) and where it is
not. The minimum over beta is elementary, and the feature stays out as long as r V is below it. A positive overlap
costs more, since then feature 1's output fires when only the extra feature is active.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.features import density_array

__all__ = ["instability_threshold"]


def instability_threshold(density: ArrayLike) -> Float[ndarray, "..."] | float:
    """
    Give the importance beyond which an unrepresented feature is unstable.

    Parameters
    ----------
    density : array_like
        Density p of every feature, in (0, 1]; values uniform on [0, 1].

    Returns
    -------
    float or ndarray
        Importance r of the extra feature, relative to that of the m = n - 1 dedicated others, at which "not
        represented" turns from a minimum of the exact loss into a saddle point. Where the transition to
        superposition is continuous this is the boundary of the phase diagram; where it is of first order, the end of
        the metastable branch (its spinodal).

    Raises
    ------
    ValueError
        If a density lies outside (0, 1].

    Notes
    -----
    r V = p [V + (p/2 - beta)^2 / 4] + (1-p)^2 beta^2 + (1-p) p beta^3 / 3 with V = p/3 - p^2/4 and beta the positive
    root of (1-p) p beta^2 + [p/2 + 2 (1-p)^2] beta - p^2/4 = 0.

    Examples
    --------
    >>> round(float(instability_threshold(0.7)), 6)
    0.77258
    """
    p = density_array(density)
    variance = p / 3 - p**2 / 4
    quadratic, linear = (1 - p) * p, p / 2 + 2 * (1 - p) ** 2
    # The root in the form that survives p = 1, where the quadratic term is gone.
    beta = (p**2 / 2) / (linear + np.sqrt(linear**2 + quadratic * p**2))
    cost = p * (variance + (p / 2 - beta) ** 2 / 4) + (1 - p) ** 2 * beta**2 + (1 - p) * p * beta**3 / 3
    threshold = cost / variance
    return threshold if threshold.ndim else float(threshold)
