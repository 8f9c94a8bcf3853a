"""Lower bounds that every frame of n vectors in m dimensions obeys: on its coherence (Welch) and its frame potential"""

import numpy as np

__all__ = ["frame_potential_bound", "welch_bound"]


def welch_bound(n: int, m: int) -> float:
    """
    Bound the coherence of n directions in m dimensions from below.

    Parameters
    ----------
    n : int
        Number of directions, >= 1.
    m : int
        Number of dimensions, >= 1.

    Returns
    -------
    float
        sqrt((n - m) / (m (n - 1))), or 0 for n <= m: no n unit vectors have a smaller coherence. For n > m it
        is attained by equiangular tight frames (simplices, the antipodal pair) and by nothing else.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1.

    References
    ----------
    Welch 1974, "Lower bounds on the maximum cross correlation of signals", k = 1.

    Examples
    --------
    >>> welch_bound(3, 2)
    0.5
    """
    _shape(n, m)
    return float(np.sqrt((n - m) / (m * (n - 1)))) if n > m else 0.0


def frame_potential_bound(n: int, m: int) -> float:
    """
    Bound the frame potential of n directions in m dimensions from below.

    Parameters
    ----------
    n : int
        Number of directions, >= 1.
    m : int
        Number of dimensions, >= 1.

    Returns
    -------
    float
        n^2 / m for n >= m (attained by tight frames), n for n <= m (attained by orthogonal directions).

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is below 1.

    References
    ----------
    Benedetto and Fickus 2003, "Finite normalized tight frames", theorems 6.2 and 7.1.

    Examples
    --------
    >>> frame_potential_bound(5, 2)
    12.5
    """
    _shape(n, m)
    return float(max(n, n * n / m))


def _shape(n: int, m: int) -> None:
    """Check a number of features and of dimensions."""
    for name, value in (("n", n), ("m", m)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
