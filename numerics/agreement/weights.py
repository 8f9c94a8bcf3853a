"""Models that were trained elsewhere, in any framework: read from .npy and .npz files."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["arrange_weights", "read_weights"]

# Names under which weights and biases are commonly saved, in the order in which they are looked for.
_WEIGHT_NAMES = ("W", "weight", "weights", "w", "embedding")
_BIAS_NAMES = ("b", "bias", "b_final", "biases")


def read_weights(path: str | os.PathLike[str], n: int, m: int) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]]:
    """
    Read the weights of one or many models.

    Parameters
    ----------
    path : path
        A .npy file that holds W, or a .npz file that holds W and, optionally, b.
    n : int
        Number of features.
    m : int
        Number of hidden dimensions.

    Returns
    -------
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases; zero if the file holds none.

    Raises
    ------
    ValueError
        If the file is of another kind or holds no W, or shapes do not fit.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(f"weights must be a .npy or .npz file, got {path.name!r}; save them with numpy.savez(W=, b=)")
    try:
        content = np.load(path, allow_pickle=False)
        arrays = {"W": content} if isinstance(content, ndarray) else {name: content[name] for name in content.files}
    except OSError as problem:
        raise OSError(f"cannot read {path}: {problem.strerror or problem}") from None
    except Exception:  # zip, header and pickle errors of many types: the file is at fault, whatever the type
        raise ValueError(f"{path} is no NumPy file of plain arrays, or damaged") from None
    W = next((arrays[name] for name in _WEIGHT_NAMES if name in arrays), None)
    if W is None:
        raise ValueError(f"{path} holds no array W; it holds {', '.join(map(repr, arrays)) or 'nothing'}")
    return arrange_weights(W, next((arrays[name] for name in _BIAS_NAMES if name in arrays), None), n, m)


def arrange_weights(
    W: ndarray, b: ndarray | None, n: int, m: int
) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]]:
    """
    Bring weights into the layout of this project.

    Parameters
    ----------
    W : ndarray, shape (m, n) or (n, m), or either with a leading instance axis
        Embeddings; (m, n) if m = n.
    b : ndarray, shape (n,) or (k, n), optional
        Biases, added before the ReLU; zero by default.
    n : int
        Number of features.
    m : int
        Number of hidden dimensions.

    Returns
    -------
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases.

    Raises
    ------
    ValueError
        If shapes do not fit, or numbers are not real and finite.

    Examples
    --------
    >>> W, b = arrange_weights(np.ones((5, 2)), None, n=5, m=2)
    >>> W.shape, b.shape
    ((1, 2, 5), (1, 5))
    """
    W = _real("W", W)
    if W.ndim not in (2, 3) or W.shape[-2:] not in ((m, n), (n, m)) or 0 in W.shape:
        raise ValueError(
            f"W has shape {W.shape}, but n = {n} and m = {m} ask for ({m}, {n}) or ({n}, {m}), optionally with a "
            "leading axis of instances; pass the --n and --m of your model"
        )
    if W.shape[-2:] != (m, n):
        W = W.swapaxes(-1, -2)
    W = W.reshape(-1, m, n)
    bias = np.zeros(n) if b is None else _real("b", b)
    if bias.ndim == 2 and bias.shape == (n, 1):
        bias = bias[:, 0]
    if bias.shape not in ((n,), (1, n), (len(W), n)):
        raise ValueError(f"b has shape {bias.shape}, but W of {len(W)} model(s) asks for ({n},) or ({len(W)}, {n})")
    return np.ascontiguousarray(W), np.array(np.broadcast_to(bias, (len(W), n)))


def _real(name: str, array: ndarray) -> Float[ndarray, "..."]:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; did the training diverge?")
    return array.astype(float)
