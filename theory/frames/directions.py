"""How many almost orthogonal directions fit: bounds on the number of unit vectors whose |cosines| stay below eps.

All bounds are natural logarithms of numbers N of vectors (one per line: v and -v count once), since N soon leaves the
range of floats. Between ``log_guaranteed`` and ``log_upper`` lies the largest possible number.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import gammaln
from scipy.stats import beta

__all__ = ["largest_cosine", "log_covering", "log_explicit", "log_guaranteed", "log_upper"]


def largest_cosine(angle: float) -> float:
    """
    Give the largest |cosine| that is allowed.

    Parameters
    ----------
    angle : float
        Largest deviation from 90 degrees, in degrees.

    Returns
    -------
    float
        The bound eps = sin(angle).
    """
    return float(np.sin(np.radians(angle)))


def log_covering(d: float, eps: float) -> float:
    """
    Bound the number of vectors from below by what random caps cover.

    Parameters
    ----------
    d : float
        Dimension, > 1.
    eps : float
        Largest |cosine|.

    Returns
    -------
    float
        ln 1/P(|u . v| > eps) for a random direction u; where the probability underflows, of an upper bound on it.

    Notes
    -----
    As long as the caps that N vectors forbid to others cover less than the sphere, another one fits.
    """
    exact = beta.logsf(eps**2, 0.5, (d - 1) / 2)  # u_1^2 is Beta(1/2, (d-1)/2)
    if exact > -500:
        return float(-exact)
    # The density c (1-t^2)^((d-3)/2), with c < sqrt((d-1)/(2 pi)), is integrated after a factor t/eps > 1.
    return float(np.log(eps) + 0.5 * np.log(np.pi * (d - 1) / 2) - 0.5 * (d - 1) * np.log1p(-(eps**2)))


def log_explicit(d: float, eps: float) -> float:
    """
    Bound the number of vectors from below by explicit sets.

    Parameters
    ----------
    d : float
        Dimension, >= 1.
    eps : float
        Largest |cosine|.

    Returns
    -------
    float
        Natural logarithm of the largest of: an orthonormal basis, polynomial phases, a Kerdock set.

    Notes
    -----
    For a prime p, the phases exp(2 pi i f(x)/p)/sqrt(p) with f a polynomial of degree at most k and f(0) = 0 are p^k
    vectors in p complex dimensions, with |inner products| up to (k-1)/sqrt(p) (Weil). With their multiples by i they
    are 2 p^k vectors in 2p real ones. For d a power of 4 there are d/2 + 1 orthonormal bases with |cosines|
    1/sqrt(d) between them, of Kerdock sets and the standard basis.

    References
    ----------
    Weil 1948, "On some exponential sums"; Calderbank, Cameron, Kantor and Seidel 1997, "Z4-Kerdock codes, orthogonal
    spreads, and extremal Euclidean line-sets".
    """
    sizes = [np.log(d)]
    if d >= 6:
        from sympy import prevprime

        p = prevprime(int(d / 2) + 1)  # the largest that is at most d / 2
        degree = int(1 + eps * np.sqrt(p) + 1e-12)
        if 2 <= degree < p:
            sizes.append(np.log(2) + degree * np.log(p))
    kerdock = 4.0 ** int(np.log(d) / np.log(4) + 1e-12)
    if kerdock >= 4 and eps >= kerdock**-0.5 - 1e-12:
        sizes.append(np.log(kerdock * (kerdock / 2 + 1)))
    return float(max(sizes))


def log_guaranteed(d: float, eps: float) -> float:
    """
    Bound the number of vectors from below.

    Parameters
    ----------
    d : float
        Dimension, > 1.
    eps : float
        Largest |cosine|.

    Returns
    -------
    float
        Natural logarithm of the best lower bound.
    """
    return max(log_explicit(d, eps), log_covering(d, eps))


def log_upper(d: float, eps: float) -> float:
    """
    Bound the number of vectors from above.

    Parameters
    ----------
    d : float
        Dimension, >= 2.
    eps : float
        Largest |cosine|.

    Returns
    -------
    float
        Natural logarithm of the least of Welch's bounds and Rankin's orthoplex bound.

    Raises
    ------
    ValueError
        If d is below 2 or eps not in [0, 1); with eps = 1 every number of directions is allowed.

    Notes
    -----
    Welch: N <= (1 - eps^2k) / (1/C(d+k-1, k) - eps^2k) for every k = 1, 2, ... for which that is positive; k = 1 is
    Rankin's simplex bound for lines. Rankin's orthoplex bound: N <= d (d+1)/2 if eps < 1/sqrt(d).

    References
    ----------
    Welch 1974, "Lower bounds on the maximum cross correlation of signals"; Conway, Hardin and Sloane 1996, "Packing
    lines, planes, etc.", section 5.
    """
    if not (d >= 2 and 0 <= eps < 1):
        raise ValueError(f"d must be at least 2 and eps in [0, 1), got d = {d}, eps = {eps}")
    if eps == 0:
        return float(np.log(d))

    def log_dimension(k: Float[ndarray, " k"]) -> Float[ndarray, " k"]:
        return gammaln(d + k) - gammaln(k + 1) - gammaln(d)

    # A power k is of use where C(d+k-1, k) eps^2k < 1; from d eps^2 / (1 - eps^2) on that falls, and soon holds.
    largest = 60 + 12 * d * eps**2 / (1 - eps**2)
    while log_dimension(np.array([largest]))[0] + 2 * largest * np.log(eps) > -1:
        largest *= 2
    k = np.unique(np.floor(np.geomspace(1, 4 * largest, 6000)))
    dimension = log_dimension(k)
    overlap = 2 * k * np.log(eps)
    useful = dimension + overlap < -1e-9
    k, dimension, overlap = k[useful], dimension[useful], overlap[useful]
    bounds = np.log1p(-np.exp(overlap)) + dimension - np.log1p(-np.exp(dimension + overlap))
    # sin(30 degrees) is rounded to below 1/2 = 1/sqrt(4): equality, where the bound does not hold, must stay equality.
    rankin = np.log(d * (d + 1) / 2) if eps < d**-0.5 * (1 - 1e-12) else np.inf
    return float(min(bounds.min(), rankin))
