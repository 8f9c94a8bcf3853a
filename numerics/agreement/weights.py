"""Models that were trained elsewhere, in any framework: read from .npy and .npz files."""

import math
import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Float
from numpy import ndarray

__all__ = ["arrange_weights", "read_weights"]

# Names under which weights and biases are commonly saved, in the order in which they are looked for.
_WEIGHT_NAMES = ("W", "weight", "weights", "w", "embedding")
_BIAS_NAMES = ("b", "bias", "b_final", "biases")
# More than any toy model has; what claims to be larger is damaged, or made to fill the memory.
_LARGEST = 2**30


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
        names, W, b = _read_npy(path) if path.suffix == ".npy" else _read_npz(path)
    except OSError as problem:
        raise OSError(f"cannot read {path}: {problem.strerror or problem}") from None
    except _TooLargeError as problem:
        raise ValueError(f"{path}: {problem}") from None
    except Exception:  # zip, header and pickle errors of many types: the file is at fault, whatever the type
        raise ValueError(f"{path} is no NumPy file of plain arrays, or damaged") from None
    if W is None:
        raise ValueError(f"{path} holds no array W; it holds {', '.join(map(repr, names)) or 'nothing'}")
    return arrange_weights(W, b, n, m)


class _TooLargeError(ValueError):
    """An array that would fill the memory."""


def _read_npy(path: Path) -> tuple[list[str], ndarray | None, ndarray | None]:
    with path.open("rb") as file:
        return ["W"], _read_array("W", file), None


def _read_npz(path: Path) -> tuple[list[str], ndarray | None, ndarray | None]:
    """Read W and b only: nobody knows what else is packed beside them, and how far it would unpack."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        found: list[ndarray | None] = []
        for known in (_WEIGHT_NAMES, _BIAS_NAMES):
            name = next((name for name in known if name in names), None)
            if name is None:
                found.append(None)
                continue
            packed = f"{name}.npy" if f"{name}.npy" in archive.namelist() else name
            with archive.open(packed) as file:
                found.append(_read_array(name, file))
    return names, found[0], found[1]


def _read_array(name: str, file: IO[bytes]) -> ndarray:
    """Read an array, once its header says that it is of a size that weights have."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("pickled objects are not read")
    size = math.prod(shape) * dtype.itemsize
    if size > _LARGEST:
        raise _TooLargeError(f"{name} of shape {shape} would take {size / 2**30:.3g} GiB; the limit is 1 GiB")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends early")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")


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
