"""When sparse non-negative features can be recovered from a random projection h = W x, whatever the decoder's speed.

W has independent Gaussian entries, m rows and n columns; k of the n features are active. Two decoders are treated. The
one that knows no more than x >= 0 succeeds if no other non-negative x has the same projection; the probability is
elementary. L1 recovery, min sum x_i with W x = h and x >= 0, also uses that x is sparse; it succeeds unless the null
space of W meets the cone of directions in which sum x_i falls, whose intrinsic volumes are computed exactly.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import brentq
from scipy.special import gammaln, log_ndtr, ndtr, wofz
from scipy.stats import binom

__all__ = ["intrinsic_volumes", "l1_success", "l1_threshold", "nonnegative_success", "statistical_dimension"]

# So many deviations away a normal law has vanished.
_FAR = 9.0
# Thresholds t that are integrated over.
_THRESHOLDS = 80


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


@lru_cache(maxsize=4096)
def intrinsic_volumes(k: int, n: int) -> tuple[float, ...]:
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
    tuple of float
        v_0 ... v_n of the cone {v : v_i >= 0 for inactive i, sum v <= 0}: v_j is the probability that the projection of
        a standard normal g onto it lies inside a face of dimension j.

    Raises
    ------
    ValueError
        If k is not in 1 ... n - 1.

    Notes
    -----
    The projection has v_i = g_i - t for active and (g_i - t)_+ for inactive i, with the least t >= 0 for which the sum
    is not positive. For t = 0 and l positive inactive ones, j = k + l. For t > 0 the sum vanishes, j = k + l - 1, and
    with Y the sum at t if l given ones exceed t, the probability is the integral over t of
    C(n-k, l) Phi(t)^(n-k-l) (k + l) times the density of Y at 0: the sum falls with slope k + l. Y's law comes from
    its characteristic function, exp(-k w^2/2 - iktw) E(w)^l, E(w) = exp(-t^2/2) wofz((w + it)/sqrt 2)/2.

    References
    ----------
    Amelunxen, Lotz, McCoy and Tropp 2014, "Living on the edge: phase transitions in convex programs with random data".

    Examples
    --------
    >>> round(sum(intrinsic_volumes(4, 8)), 12)
    1.0
    """
    if not 1 <= k < n:
        raise ValueError(f"k must be between 1 and n - 1 = {n - 1}, got {k}")
    inactive = n - k
    volumes = np.zeros(n + 1)
    counts = np.arange(inactive + 1)
    w, step = _frequencies(k, inactive, 0.0)
    signs = np.exp(-k * w**2 / 2 + counts * np.log(wofz(w / np.sqrt(2))))  # of the sum at t = 0, l given ones positive
    below = 0.5 - (signs.imag / w).sum(0) * step / np.pi
    volumes[k:] += np.exp(_log_binomial(inactive, counts) - inactive * np.log(2)) * below
    nodes, weights = np.polynomial.legendre.leggauss(_THRESHOLDS)
    low, high = _thresholds(k, n)
    for t, weight in zip(low + (high - low) * (nodes + 1) / 2, (high - low) * weights / 2, strict=True):
        chance = float(ndtr(-t))
        middle, width = inactive * chance, _FAR * np.sqrt(inactive * chance * (1 - chance)) + 4 * _FAR
        counts = np.arange(max(0, int(middle - width)), min(inactive, int(middle + width)) + 1)
        w, step = _frequencies(k, inactive, t)
        excess = np.log(np.exp(-(t**2) / 2) / 2 * wofz((w + 1j * t) / np.sqrt(2)))
        ways = _log_binomial(inactive, counts) + (inactive - counts) * log_ndtr(t)
        density = np.exp(-k * w**2 / 2 - 1j * k * t * w + counts * excess + ways).sum(0).real * step / np.pi
        volumes[k - 1 + counts] += weight * (k + counts) * density
    return tuple(volumes.tolist())


def _log_binomial(n: int, counts: Int[ndarray, " l"]) -> Float[ndarray, " l"]:
    """Ln C(n, l)."""
    return gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)


def _frequencies(k: int, inactive: int, t: float) -> tuple[Float[ndarray, "f 1"], float]:
    """Midpoints w > 0 up to where exp(-k w^2/2) vanishes, dense enough for all that the sum can be; their step."""
    reach = k * t + inactive + _FAR * np.sqrt(k + inactive)  # inactive ones exceed t by less than 1 on average
    count = max(64, int(np.ceil(_FAR / np.sqrt(k) * reach / np.pi)))
    step = _FAR / np.sqrt(k) / count
    return (np.arange(count)[:, None] + 0.5) * step, step


def _thresholds(k: int, n: int) -> tuple[float, float]:
    """Where the root t of the sum lies: _FAR deviations around the root of its mean, and not below 0."""

    def mean(t: float) -> float:
        return (n - k) * float(np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi) - t * ndtr(-t)) - k * t

    middle = brentq(mean, 0, np.sqrt(2 * np.log(n)) + 1)
    deviation = np.sqrt(k + (n - k) * float(ndtr(-middle))) / (k + (n - k) * float(ndtr(-middle)))
    return max(0.0, middle - _FAR * deviation), middle + _FAR * max(deviation, 1 / np.sqrt(k))


def statistical_dimension(k: int, n: int) -> tuple[float, float]:
    """
    Say how many dimensions L1 recovery of k among n non-negative features needs.

    Parameters
    ----------
    k : int
        Active features, 1 <= k < n.
    n : int
        Number of features.

    Returns
    -------
    mean, deviation : float
        Mean and standard deviation of the intrinsic volumes of ``intrinsic_volumes``: recovery becomes likely once m
        exceeds the mean, over a range of about the deviation.

    Raises
    ------
    ValueError
        If k is not in 1 ... n - 1.

    References
    ----------
    McCoy and Tropp 2014, "From Steiner formulas for cones to concentration of intrinsic volumes".

    Examples
    --------
    >>> mean, deviation = statistical_dimension(12, 100)
    >>> round(mean, 1), round(deviation, 1)
    (29.1, 3.9)
    """
    volumes = intrinsic_volumes(k, n)
    j = np.arange(n + 1)
    mean = float(j @ volumes)
    return mean, float(np.sqrt((j - mean) ** 2 @ volumes))


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
        Exact for Gaussian W: 1 - 2 (v_{m+1} + v_{m+3} + ...), the probability that the null space misses the cone of
        ``intrinsic_volumes``; 1 for k = 0 and m >= n, and 0 for m <= k < n, which no generic W allows.
    """
    if k == 0 or m >= n:
        return 1.0
    if m <= k:
        return 0.0
    return float(1 - 2 * sum(intrinsic_volumes(k, n)[m + 1 :: 2]))


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
    last = statistical_dimension(n - 1, n)[0]
    if last < m:
        raise ValueError(f"m must be at most the statistical dimension {last:.1f} of k = n - 1, got {m}")
    low, high = 0, n - 1  # it grows with k
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if statistical_dimension(middle, n)[0] < m else (low, middle)
    ends = [statistical_dimension(k, n)[0] if k else 0.0 for k in (low, high)]
    return low + (m - ends[0]) / (ends[1] - ends[0])
