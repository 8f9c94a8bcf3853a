"""What a W says about superposition: norms, overlaps, dimensionality, coherence, frame potential.

Every function takes W of shape (m, n), column i being feature i's direction; leading axes are a batch.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.tools.arrays import detached

__all__ = [
    "as_embedding",
    "coherence",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "frame_potential",
    "superposition",
]


def as_embedding(W: ArrayLike) -> Float[ndarray, "*batch m n"]:
    """
    Check an embedding.

    Parameters
    ----------
    W : array_like or torch.Tensor, shape (m, n) or (*batch, m, n)
        Embedding.

    Returns
    -------
    ndarray, shape (m, n) or (*batch, m, n)
        The same as float64.

    Raises
    ------
    TypeError
        If it holds no real numbers, or masked ones.
    ValueError
        If it has fewer than two axes, or a number is not finite.
    """
    W = detached(W)
    if np.ma.isMaskedArray(W) or np.iscomplexobj(W):
        raise TypeError("W must be an array of real numbers, none of them masked")
    try:
        array = np.asarray(W, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"W must be an array of numbers of shape (m, n), got {W!r}") from None
    if array.ndim < 2:
        raise ValueError(f"W must have shape (m, n) or (*batch, m, n), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("W must be finite, got NaN or infinity; did the training diverge?")
    return array


def _directions(W: Float[ndarray, "*batch m n"]) -> Float[ndarray, "*batch m n"]:
    """Unit columns; a zero column stays zero."""
    largest = np.abs(W).max(axis=-2, keepdims=True, initial=0.0)
    scaled = W / np.where(largest > 0, largest, 1.0)  # squares of tiny entries would underflow
    norm = np.linalg.norm(scaled, axis=-2, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1.0))


def _overlaps(W: Float[ndarray, "*batch m n"]) -> Float[ndarray, "*batch n n"]:
    """Squared overlaps (W_i_hat . W_j)^2: row i is seen from feature i's direction."""
    return np.asarray((np.swapaxes(_directions(W), -1, -2) @ W) ** 2)


def feature_norms(W: ArrayLike) -> Float[ndarray, "*batch n"]:
    """
    Give the norm |W_i| of every feature's direction.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.

    Returns
    -------
    ndarray, shape (n,) or (*batch, n)
        Norms, >= 0: about 0 for a feature that is not represented, about 1 for one that is.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    Examples
    --------
    >>> feature_norms([[3.0, 0.0], [4.0, 0.0]])
    array([5., 0.])
    """
    return np.asarray(np.linalg.norm(as_embedding(W), axis=-2))


def superposition(W: ArrayLike) -> Float[ndarray, "*batch n"]:
    """
    Say how much of the other features lies along each feature's direction.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.

    Returns
    -------
    ndarray, shape (n,) or (*batch, n)
        sum_{j != i} (W_i_hat . W_j)^2, >= 0: 0 for a feature with a dimension of its own, 1 for a feature
        that shares one with an antipode of norm 1. A zero column has no direction; it is given 0.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section 3.

    Examples
    --------
    >>> superposition([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    array([1., 1., 0.])
    """
    overlaps = _overlaps(as_embedding(W))
    diagonal = np.arange(overlaps.shape[-1])
    overlaps[..., diagonal, diagonal] = 0.0
    return np.asarray(overlaps.sum(-1))


def dimensionality(W: ArrayLike) -> Float[ndarray, "*batch n"]:
    """
    Say what fraction of a dimension each feature has.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.

    Returns
    -------
    ndarray, shape (n,) or (*batch, n)
        D_i = |W_i|^2 / sum_j (W_i_hat . W_j)^2, in [0, 1]. A zero column takes no dimension: D_i = 0,
        although the quotient itself has no limit there.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    Notes
    -----
    D does not change when W is scaled or rotated. With the frame operator F = W W^T, the denominator is
    W_i_hat . F W_i_hat, so that D_i <= W_i . F^-1 W_i by the Cauchy-Schwarz inequality: over all features D
    sums to at most the rank of W, and to the rank itself for tight frames (F a multiple of a projection).

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section 4.

    Examples
    --------
    >>> dimensionality([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    array([0.5, 0.5, 1. ])
    """
    array = as_embedding(W)
    largest = np.abs(array).max(axis=(-2, -1), keepdims=True, initial=0.0)
    scaled = array / np.where(largest > 0, largest, 1.0)  # D does not depend on the scale, overflow does
    total = _overlaps(scaled).sum(-1)
    squares = (scaled**2).sum(-2)
    return np.asarray(np.where(total > 0, squares / np.where(total > 0, total, 1.0), 0.0))


def dimensions_per_feature(W: ArrayLike) -> Float[ndarray, "*batch"] | float:
    """
    Share the m dimensions among the features that W represents: D* = m / |W|_F^2.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.

    Returns
    -------
    float or ndarray, shape (*batch,)
        m / |W|_F^2 > 0, with |W|_F^2 standing for the number of features represented (each of norm about 1);
        infinite for W = 0.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section 4.

    Examples
    --------
    >>> float(dimensions_per_feature([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]))
    0.6666666666666666
    """
    array = as_embedding(W)
    represented = (array**2).sum((-2, -1))
    nothing = represented == 0
    share: ndarray | float = np.where(nothing, np.inf, array.shape[-2] / np.where(nothing, 1.0, represented))[()]
    return share


def coherence(W: ArrayLike) -> Float[ndarray, "*batch"] | float:
    """
    Give the largest |cosine| between two features' directions.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction.

    Returns
    -------
    float or ndarray, shape (*batch,)
        max_{i != j} |W_i_hat . W_j_hat| in [0, 1]; zero columns have no direction and are left out, and where
        fewer than two are left it is 0. At least ``welch_bound(n, m)`` if no column is zero.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    Examples
    --------
    >>> float(coherence([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]))
    0.8
    """
    U = _directions(as_embedding(W))
    cosines = np.abs(np.swapaxes(U, -1, -2) @ U)
    diagonal = np.arange(cosines.shape[-1])
    cosines[..., diagonal, diagonal] = 0.0
    largest: ndarray | float = np.minimum(cosines.max((-2, -1), initial=0.0), 1.0)[()]
    return largest


def frame_potential(W: ArrayLike) -> Float[ndarray, "*batch"] | float:
    """
    Give the frame potential of the features' directions.

    Parameters
    ----------
    W : array_like, shape (m, n) or (*batch, m, n)
        Embedding; column i is feature i's direction. Norms do not matter; zero columns are left out.

    Returns
    -------
    float or ndarray, shape (*batch,)
        sum_{i,j} (W_i_hat . W_j_hat)^2, the terms i = j included; at least ``frame_potential_bound(n, m)``
        if n columns are not zero, with equality for unit-norm tight frames.

    Raises
    ------
    TypeError
        If W is not numeric.
    ValueError
        If W has fewer than two axes or is not finite.

    References
    ----------
    Benedetto and Fickus 2003, "Finite normalized tight frames".

    Examples
    --------
    >>> float(frame_potential([[2.0, 0.0, 0.0], [0.0, 1.0, -1.0]]))
    5.0
    """
    U = _directions(as_embedding(W))
    potential: ndarray | float = ((U @ np.swapaxes(U, -1, -2)) ** 2).sum((-2, -1))
    return potential
