"""Models that were trained elsewhere, in any framework: which arrays of a file are W, b and W_out, and how they lie."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from numerics.agreement.files import open_arrays
from theory.tools.arrays import detached

__all__ = ["LAYOUTS", "Layout", "Weights", "arrange_weights", "read_weights"]

Layout = Literal["hidden-first", "features-first"]
LAYOUTS: tuple[Layout, ...] = ("hidden-first", "features-first")
# Names under which arrays are commonly saved, in the order in which they are looked for; a dotted prefix is no part.
_NAMES = {
    "W": ("w", "weights", "weight", "embed", "embedding", "embed.weight", "embedding.weight", "w_embed"),
    "b": ("b", "b_final", "bias", "biases", "b_out", "b_dec", "decoder.bias", "unembed.bias", "out.bias"),
    "W_in": ("w_in", "w_enc", "encoder", "encoder.weight", "enc.weight", "w1", "embed.weight", "embed"),
    "W_out": ("w_out", "w_dec", "decoder", "decoder.weight", "dec.weight", "w2", "unembed.weight", "unembed",
              "w_unembed"),
    "hidden bias": ("b_enc", "b_in", "b1", "encoder.bias", "enc.bias", "embed.bias", "embedding.bias"),
}  # fmt: skip
# Two matrices that differ by less than this, relative to the larger, are one that was saved twice.
_TIED = 1e-6


class Weights(NamedTuple):
    """
    Models as this project writes them.

    Attributes
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings; column j is feature j's direction.
    b : ndarray, shape (k, n), or None
        Output biases, added before the ReLU; None if the file holds none.
    W_out : ndarray, shape (k, n, m), or None
        Decoders; None where weights are tied.
    """

    W: Float[ndarray, "k m n"]
    b: Float[ndarray, "k n"] | None
    W_out: Float[ndarray, "k n m"] | None = None


def read_weights(
    path: str | os.PathLike[str],
    n: int,
    m: int,
    layout: Layout | None = None,
    names: Mapping[str, str] | None = None,
) -> Weights:
    """
    Read the weights of one or many models.

    Parameters
    ----------
    path : path
        A .npz, .npy, .safetensors, .pt, .pth or .ckpt file. Torch's are read where torch is installed, tensors only.
    n : int
        Number of features.
    m : int
        Number of hidden dimensions.
    layout : {"hidden-first", "features-first"}, optional
        Whether W is (m, n) or (n, m), after a leading axis of instances if it has one. Needed only where n = m.
    names : mapping from {"W", "b", "W_out"} to str, optional
        Names of the arrays in the file. By default looked for under the usual ones, with or without a prefix.

    Returns
    -------
    Weights
        Embeddings; biases and decoders if the file holds them.

    Raises
    ------
    ValueError
        If the file is of another kind, holds no W or several that might be, shapes do not fit, or n = m and no layout
        is given.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    held = open_arrays(path)
    chosen = _choose(path, held.names, dict(names or {}))
    hidden = _matching(held.names, "hidden bias") if "W_out" in chosen else []
    if any(np.any(held.read(name)) for name in hidden):
        raise ValueError(f"{path} holds a bias of the hidden layer, {hidden[0]!r}, which the toy model has not")
    W, b, W_out = (held.read(chosen[key]) if key in chosen else None for key in ("W", "b", "W_out"))
    assert W is not None
    return arrange_weights(W, b, n, m, layout, W_out)


def _matching(held: list[str], kind: str) -> list[str]:
    """Names of a kind, those without a prefix and the commonest first."""
    found = []
    for known in _NAMES[kind]:
        found += [name for name in held if name.lower() == known]
        found += [name for name in held if name.lower().endswith(f".{known}")]
    return list(dict.fromkeys(found))


def _choose(path: Path, held: list[str], names: dict[str, str]) -> dict[str, str]:
    """Which of the names in a file are W, b and W_out."""
    for key, name in names.items():
        if key not in ("W", "b", "W_out"):
            raise ValueError(f"arrays of a model are W, b and W_out, got the name {name!r} for {key!r}")
        if name not in held:
            raise ValueError(f"{path} has no {key} named {name!r}; it holds {', '.join(map(repr, held)) or 'nothing'}")
    chosen = dict(names)
    if "W" not in chosen:
        decoders = _matching(held, "W_out")
        encoders = [name for name in _matching(held, "W_in") if name not in decoders] if decoders else []
        candidates = encoders or [name for name in _matching(held, "W") if name not in decoders]
        if not candidates:
            hint = f"; say which it is with --names W={held[0]}" if held else ""
            raise ValueError(f"{path} holds no array W; it holds {', '.join(map(repr, held)) or 'nothing'}{hint}")
        chosen["W"] = _only(path, "W", candidates)
        if decoders and "W_out" not in chosen:
            chosen["W_out"] = _only(path, "W_out", decoders)
    biases = _matching(held, "b")
    biases = [name for name in biases if name not in _matching(held, "hidden bias")]
    if "b" not in chosen and biases:
        chosen["b"] = _only(path, "b", biases)
    return chosen


def _only(path: Path, key: str, candidates: list[str]) -> str:
    if len(candidates) > 1:
        choices = " or ".join(f"{key}={name}" for name in candidates)
        raise ValueError(f"{path} holds several arrays that might be {key}; choose with --names {choices}")
    return candidates[0]


def arrange_weights(
    W: ArrayLike,
    b: ArrayLike | None,
    n: int,
    m: int,
    layout: Layout | None = None,
    W_out: ArrayLike | None = None,
) -> Weights:
    """
    Bring weights into the layout of this project.

    Parameters
    ----------
    W : array_like, shape (m, n) or (n, m), or either with a leading instance axis
        Embeddings, or torch tensors of them.
    b : array_like, shape (n,) or (k, n), optional
        Biases, added before the ReLU.
    n : int
        Number of features.
    m : int
        Number of hidden dimensions.
    layout : {"hidden-first", "features-first"}, optional
        Whether W is (m, n) or (n, m); needed only where n = m, and then W_out is taken to be W's transpose's layout.
    W_out : array_like, shape (n, m) or (m, n), or either with a leading instance axis, optional
        Decoders. Where they are W^T the weights are tied, and none is returned.

    Returns
    -------
    Weights
        W (k, m, n), b (k, n) or None, W_out (k, n, m) or None.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not real and finite, or n = m and no layout is given.

    Examples
    --------
    >>> weights = arrange_weights(np.ones((5, 2)), None, n=5, m=2)
    >>> weights.W.shape, weights.b
    ((1, 2, 5), None)
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    embedding = _matrices("W", W, n, m, layout)
    bias = None if b is None else _biases(_real("b", b), n, len(embedding))
    if W_out is None:
        return Weights(embedding, bias)
    other: Layout | None = None if layout is None else LAYOUTS[1 - LAYOUTS.index(layout)]
    decoder = np.ascontiguousarray(_matrices("W_out", W_out, n, m, other).swapaxes(-1, -2))
    if len(decoder) != len(embedding):
        raise ValueError(f"W holds {len(embedding)} model(s), W_out {len(decoder)}")
    apart = np.abs(decoder - embedding.swapaxes(-1, -2)).max()
    return Weights(embedding, bias, decoder if apart > _TIED * np.abs(embedding).max() else None)


def _matrices(name: str, W: ArrayLike, n: int, m: int, layout: Layout | None) -> Float[ndarray, "k m n"]:
    """One matrix per model, hidden dimensions first."""
    array = _real(name, W)
    if array.ndim not in (2, 3) or array.shape[-2:] not in ((m, n), (n, m)) or 0 in array.shape:
        raise ValueError(
            f"{name} has shape {array.shape}, but n = {n} and m = {m} ask for ({m}, {n}) or ({n}, {m}), optionally "
            "with a leading axis of instances; pass the --n and --m of your model"
        )
    if n == m and layout is None:
        raise ValueError(
            f"{name} of shape {array.shape} may be (m, n) or (n, m), for n = m = {n}: choose --layout hidden-first "
            "(column j is feature j's direction) or --layout features-first (row j is)"
        )
    shape = array.shape[-2:]
    if layout is not None and shape != ((m, n) if layout == LAYOUTS[0] else (n, m)):
        raise ValueError(f"{name} has shape {array.shape}, which is not {layout} for n = {n} and m = {m}")
    if shape != (m, n) or (n == m and layout == LAYOUTS[1]):
        array = array.swapaxes(-1, -2)
    return np.ascontiguousarray(array.reshape(-1, m, n))


def _biases(bias: Float[ndarray, "..."], n: int, models: int) -> Float[ndarray, "k n"]:
    if bias.ndim == 2 and bias.shape == (n, 1):
        bias = bias[:, 0]
    if bias.shape not in ((n,), (1, n), (models, n)):
        raise ValueError(f"b has shape {bias.shape}, but W of {models} model(s) asks for ({n},) or ({models}, {n})")
    return np.array(np.broadcast_to(bias, (models, n)))


def _real(name: str, values: ArrayLike) -> Float[ndarray, "..."]:
    array = np.asarray(detached(values))
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; did the training diverge?")
    return array.astype(float)
