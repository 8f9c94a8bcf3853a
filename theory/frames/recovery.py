"""When sparse non-negative features can be recovered from a random projection h = W x, whatever the decoder's speed.

W has independent Gaussian entries, m rows and n columns; k of the n features are active. Two decoders are treated. The
one that knows no more than x >= 0 succeeds if no other non-negative x has the same projection; the probability is
elementary. L1 recovery, min sum x_i with W x = h and x >= 0, also uses that x is sparse; it succeeds unless the null
space of W meets the cone of directions in which sum x_i falls, whose size is measured by its statistical dimension.
"""

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr
from scipy.stats import binom

__all__ = ["l1_success", "l1_threshold", "nonnegative_success", "statistical_dimension"]

# No optimal t is beyond: with one of n features active it is near sqrt(2 log n).
_FAR = 12.0


def nonnegative_success(k: int, m: int, n: int) -> float:
    """
    Give the probability that non-negativity alone determines x.

    Parameters
    ----------
    k : int
        Active features, 0 <= k < n.
    m : int
        Dimension of the projection, 1 <= m <= n.
    n : int
        Number of features.

    Returns
    -------
    float
        P(B >= n - m) for B binomial with n - k - 1 trials of probability 1/2: exact for every W whose null space is
        generic and whose law does not change when columns change their signs.

    Notes
    -----
    Another solution exists if the null space, of dimension n - m, meets the cone {v : v_i >= 0 for inactive i}; on
    those n - k coordinates it is a random subspace, and Wendel counts the orthants that it meets.

    References
    ----------
    Wendel 1962, "A problem in geometric probability"; Donoho and Tanner 2010, "Counting the faces of
    randomly-projected hypercubes and orthants, with applications", theorem 1.4.

    Examples
    --------
    >>> nonnegative_success(1, 2, 3)
    0.5
    """
    if m >= n:
        return 1.0
    return float(binom.sf(n - m - 1, n - k - 1, 0.5))


def statistical_dimension(k: int, n: int) -> tuple[float, float]:
    """
    Measure the cone that decides on L1 recovery of k among n non-negative features.

    Parameters
    ----------
    k : int
        Active features, 1 <= k < n.
    n : int
        Number of features.

    Returns
    -------
    mean, deviation : float
        Mean and standard deviation of the cone's intrinsic volumes: recovery becomes likely once m exceeds the mean,
        over a range of about the deviation.

    Notes
    -----
    The mean is E min_t J(t), J(t) = sum_active (g - t)^2 + sum_inactive (g - t)_+^2 with standard normal g. To leading
    order the minimum is that of E J, at t*; the fluctuation of the minimiser lowers it by Var J'(t*) / (2 E J''(t*)), a
    number of order 1. The variance is Var J(t*) - 2 mean.

    References
    ----------
    Amelunxen, Lotz, McCoy and Tropp 2014, "Living on the edge: phase transitions in convex programs with random data";
    McCoy and Tropp 2014, "From Steiner formulas for cones to concentration of intrinsic volumes".

    Examples
    --------
    >>> mean, deviation = statistical_dimension(12, 100)
    >>> round(mean, 1), round(deviation, 1)
    (29.1, 4.1)
    """

    def expected(t: float) -> float:
        return float(k * (1 + t**2) + (n - k) * _tails(t)[1])

    t = float(minimize_scalar(expected, bounds=(0, _FAR), method="bounded").x)
    first, second, fourth = _tails(t)
    slope_variance = 4 * k + 4 * (n - k) * (second - first**2)
    curvature = 2 * k + 2 * (n - k) * float(ndtr(-t))
    mean = expected(t) - slope_variance / (2 * curvature)
    variance = k * (2 + 4 * t**2) + (n - k) * (fourth - second**2) - 2 * mean
    return mean, float(np.sqrt(variance))


def _tails(t: float) -> tuple[float, float, float]:
    """E (g - t)_+^q for a standard normal g and q = 1, 2, 4."""
    above, density = float(ndtr(-t)), float(np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))
    return (
        density - t * above,
        (1 + t**2) * above - t * density,
        (t**4 + 6 * t**2 + 3) * above - (t**3 + 5 * t) * density,
    )


def l1_success(k: int, m: int, n: int) -> float:
    """
    Give the probability that L1 recovery finds x.

    Parameters
    ----------
    k : int
        Active features, 0 <= k <= n.
    m : int
        Dimension of the projection.
    n : int
        Number of features.

    Returns
    -------
    float
        The normal approximation of the cone's intrinsic volumes; 1 for k = 0, and 0 for m <= k, which no generic W
        allows.
    """
    if k == 0:
        return 1.0
    if m <= k:
        return 0.0
    mean, deviation = statistical_dimension(k, n)
    return float(ndtr((m - mean) / deviation))


def l1_threshold(m: int, n: int) -> float:
    """
    Say how many active features L1 recovers with probability 1/2.

    Parameters
    ----------
    m : int
        Dimension of the projection, less than about n - 1.
    n : int
        Number of features.

    Returns
    -------
    float
        The k at which the statistical dimension is m, interpolated between whole numbers (and 0, where it is 0).

    Raises
    ------
    ValueError
        If m is so close to n that even n - 1 active features are recovered.
    """

    def excess(k: float) -> float:
        low = min(int(k), n - 2)
        ends = [statistical_dimension(j, n)[0] if j else 0.0 for j in (low, low + 1)]
        return ends[0] + (k - low) * (ends[1] - ends[0]) - m

    if excess(n - 1) < 0:
        raise ValueError(f"m must be at most the statistical dimension {m + excess(n - 1):.1f} of k = n - 1, got {m}")
    return float(brentq(excess, 0, n - 1, xtol=1e-6))
