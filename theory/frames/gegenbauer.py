"""Gegenbauer polynomials, and Delsarte's inequalities for the cosines of points on a sphere."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import gammaln

__all__ = ["gegenbauer", "harmonics"]


def gegenbauer(m: int, degree: int, c: Float[ndarray, "*shape"]) -> tuple[ndarray, ndarray]:
    """
    Evaluate the Gegenbauer polynomials of a dimension, normalised to 1 at 1, and their derivatives.

    Parameters
    ----------
    m : int
        Dimension of the space whose unit sphere they belong to, >= 2.
    degree : int
        Largest degree, >= 1.
    c : ndarray
        Cosines.

    Returns
    -------
    value, slope : ndarray, shape (degree + 1, *shape)
        P_0 ... P_degree and their derivatives in c.

    Raises
    ------
    ValueError
        If m is below 2 or the degree below 1.

    Notes
    -----
    For k unit vectors in m dimensions the sum of P_d over all k^2 cosines is a squared norm, hence >= 0
    (Schoenberg). Without the k ones on the diagonal, and with mu the law of the other cosines, that is Delsarte's
    inequality Int P_d dmu >= -1/(k - 1).

    References
    ----------
    Delsarte, Goethals and Seidel 1977, "Spherical codes and designs".

    Examples
    --------
    >>> gegenbauer(3, 2, np.array([0.5]))[0][:, 0]  # Legendre: 1, c, (3 c^2 - 1) / 2
    array([ 1.   ,  0.5  , -0.125])
    """
    if m < 2:
        raise ValueError(f"spheres have at least 2 dimensions around them, got m = {m}")
    if degree < 1:
        raise ValueError(f"degree must be at least 1, got {degree}")
    value, slope = [np.ones_like(c), c], [np.zeros_like(c), np.ones_like(c)]
    for d in range(1, degree):
        ahead, behind = (2 * d + m - 2) / (d + m - 2), d / (d + m - 2)
        value.append(ahead * c * value[d] - behind * value[d - 1])
        slope.append(ahead * (value[d] + c * slope[d]) - behind * slope[d - 1])
    return np.array(value), np.array(slope)


def harmonics(m: int, degree: int) -> Float[ndarray, " degrees"]:
    """
    Count independent spherical harmonics: 1 / Int P_d^2 over the sphere.

    Parameters
    ----------
    m : int
        Dimension, >= 2.
    degree : int
        Largest degree, >= 1.

    Returns
    -------
    ndarray, shape (degree + 1,)
        C(m + d - 1, d) - C(m + d - 3, d - 2) for d = 0 ... degree.
    """
    d = np.arange(degree + 1.0)

    def choose(n: ndarray, k: ndarray) -> ndarray:
        return np.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))

    lower = np.zeros(degree + 1)
    lower[2:] = choose(m + d[2:] - 3, d[2:] - 2)
    return choose(m + d - 1, d) - lower
