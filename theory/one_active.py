"""Expected squared errors when one feature is active: the closed forms of one-dimensional couplings.

With u uniform on [0, 1], z = b + c u and e = u - ReLU z for the active feature's own output, e = - ReLU z for another.
Divisions are by a coupling only where z changes sign, and there the numerator is at most as large.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

__all__ = ["interference", "own_error", "sign_change"]

Triple = tuple[Float[ndarray, "*shape"], Float[ndarray, "*shape"], Float[ndarray, "*shape"]]


def interference(c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"], values: str = "uniform") -> Triple:
    """
    Give E ReLU(c u + b)^2, what an active feature does to another feature's output.

    Parameters
    ----------
    c : ndarray
        Coupling g_ij of the active feature to the output.
    b : ndarray, broadcastable
        Bias of the output.
    values : {"uniform", "binary"}
        Law of the active feature's value u: U[0, 1], or 1.

    Returns
    -------
    value, dc, db : ndarray
        The expectation and its derivatives in coupling and bias.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, second term.
    """
    if values == "binary":
        slope = 2 * np.maximum(b + c, 0)
        return slope**2 / 4, slope, slope
    end = b + c
    positive = np.minimum(b, end) >= 0
    mixed = ~positive & (np.maximum(b, end) > 0)
    top = np.where(mixed, np.maximum(b, end), 0.0)  # the largest z, less than |c|
    share = np.where(mixed, top / np.where(mixed, np.abs(c), 1.0), 0.0)  # the part of [0, 1] where z > 0
    # Where z rises through 0 the mean of u over z > 0 is 1 - share/2; where it falls, share/2.
    first_u = np.where(end > b, share * top * (0.5 - share / 6), share**2 * top / 6)
    value = np.where(positive, b * end + c**2 / 3, share * top**2 / 3)
    dc = np.where(positive, b + 2 * c / 3, 2 * first_u)
    db = np.where(positive, b + end, share * top)
    return value, dc, db


def own_error(c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"], values: str = "uniform") -> Triple:
    """
    Give E (u - ReLU(c u + b))^2, how well an active feature is reconstructed.

    Parameters
    ----------
    c : ndarray
        Coupling g_ii = |W_i|^2 of the feature to its own output.
    b : ndarray, broadcastable
        Bias of the output.
    values : {"uniform", "binary"}
        Law of the active feature's value u: U[0, 1], or 1.

    Returns
    -------
    value, dc, db : ndarray
        The expectation and its derivatives in coupling and bias.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", the one-sparse loss L_1, first term.
    """
    if values == "binary":
        z = b + c
        slope = -2 * (1 - np.maximum(z, 0)) * (z > 0)
        return (1 - np.maximum(z, 0)) ** 2, slope, slope
    zero, rising = sign_change(c, b)
    lower = np.where(rising, zero, 0.0)  # z > 0 on (lower, upper)
    upper = np.where(rising, 1.0, zero)
    at_lower, at_upper = (1 - c) * lower - b, (1 - c) * upper - b  # u - z at both ends
    width = upper - lower
    square = width * (at_lower**2 + at_lower * at_upper + at_upper**2) / 3
    value = (lower**3 + 1 - upper**3) / 3 + square
    db = -width * (at_lower + at_upper)
    dc = -width * (at_lower * (2 * lower + upper) + at_upper * (lower + 2 * upper)) / 3
    return value, dc, db


def sign_change(
    c: Float[ndarray, "*#shape"], b: Float[ndarray, "*#shape"]
) -> tuple[Float[ndarray, "*shape"], Bool[ndarray, "*shape"]]:
    """
    Give where z = b + c u passes zero on [0, 1].

    Parameters
    ----------
    c : ndarray
        Coupling.
    b : ndarray, broadcastable
        Bias.

    Returns
    -------
    zero : ndarray
        That u; one of the ends, 0 or 1, if there is none inside.
    rising : ndarray of bool
        Whether z > 0 above it, and not below.
    """
    end = b + c
    mixed = (np.minimum(b, end) < 0) & (np.maximum(b, end) > 0)
    zero = np.where(mixed, -b / np.where(mixed, c, 1.0), np.where(np.maximum(b, end) > 0, 0.0, 1.0))
    rising = np.where(mixed, c > 0, True)
    return zero, rising
