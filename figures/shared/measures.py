"""What several figures measure of trained models."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["off_diagonal_norm"]


def off_diagonal_norm(W: Float[ndarray, "*batch m n"]) -> Float[ndarray, "*batch"]:
    """
    Measure W^T W off its diagonal.

    Parameters
    ----------
    W : ndarray, shape (*batch, m, n)
        Embeddings.

    Returns
    -------
    ndarray, shape (*batch,)
        Frobenius norm; sqrt(2 k) for k ideal antipodal pairs.
    """
    couplings = np.swapaxes(W, -1, -2) @ W
    return np.asarray(np.linalg.norm(couplings * (1 - np.eye(W.shape[-1])), axis=(-2, -1)))
