"""The arrays of a file that somebody's training wrote: .npz, .npy, .safetensors, and torch's .pt, .pth and .ckpt.

A file is opened as its names and a function that reads one array, so that nothing else of it is unpacked. Nothing that
is read is ever executed: pickled objects are refused.
"""

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

__all__ = ["SUFFIXES", "Arrays", "open_arrays"]

# More than any toy model has; what claims to be larger is damaged, or made to fill the memory.
_LARGEST = 2**30
# The header of an array takes a hundred bytes; NumPy would read as many as it says that it has.
_LONGEST_HEADER = 2**16
_TORCH = (".pt", ".pth", ".ckpt")
SUFFIXES = (".npz", ".npy", ".safetensors", *_TORCH)


class Arrays(NamedTuple):
    """
    What a file holds.

    Attributes
    ----------
    names : list of str
        Names of its arrays; the key of a nested dictionary and those inside it are joined by dots.
    read : callable
        Takes a name and gives the array.
    """

    names: list[str]
    read: Callable[[str], ndarray]


@runtime_checkable
class _Readable(Protocol):
    """An open file; what zipfile opens is no IO[bytes] to a type checker at run time."""

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes."""


class _RefusedError(ValueError):
    """What is wrong with the file is known, and said."""


def open_arrays(path: Path) -> Arrays:
    """
    Open a file of arrays.

    Parameters
    ----------
    path : Path
        A .npz, .npy, .safetensors, .pt, .pth or .ckpt file.

    Returns
    -------
    Arrays
        Names, and a function that reads one of them.

    Raises
    ------
    ValueError
        If the file is of another kind, damaged, holds more than plain arrays, or the package that reads it is missing.
    OSError
        If it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"weights must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, got {path.name!r}; "
            "save them with numpy.savez(W=, b=)"
        )
    opener = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}.get(suffix, _torch)
    arrays = _guarded(path, opener, path)
    return Arrays(arrays.names, lambda name: _guarded(path, arrays.read, name))


def _guarded(path: Path, function: Callable[[Any], Any], argument: object) -> Any:
    """Readers raise errors of many types: the file is at fault, whatever the type."""
    try:
        return function(argument)
    except OSError as problem:
        raise OSError(f"cannot read {path}: {problem.strerror or problem}") from None
    except _RefusedError as problem:
        raise ValueError(f"{path}: {problem}") from None
    except Exception:
        kind = {".safetensors": "safetensors", ".npz": "NumPy", ".npy": "NumPy"}.get(path.suffix.lower(), "torch")
        raise ValueError(f"{path} is no {kind} file of plain arrays, or damaged") from None


def _npy(path: Path) -> Arrays:
    def read(name: str) -> ndarray:
        with path.open("rb") as file:
            return _read_array(name, file)

    path.open("rb").close()
    return Arrays(["W"], read)


def _npz(path: Path) -> Arrays:
    def read(name: str) -> ndarray:
        with zipfile.ZipFile(path) as archive:
            packed = f"{name}.npy" if f"{name}.npy" in archive.namelist() else name
            with archive.open(packed) as file:
                return _read_array(name, file)

    with zipfile.ZipFile(path) as archive:
        return Arrays([name.removesuffix(".npy") for name in archive.namelist()], read)


def _read_array(name: str, file: _Readable) -> ndarray:
    """Read an array, once its header says that it is of a size that weights have."""
    version = np.lib.format.read_magic(file)
    begin = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(begin, "little")
    if length > _LONGEST_HEADER:
        raise _RefusedError(f"{name} has a header of {length} bytes; the limit is {_LONGEST_HEADER}")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = header(io.BytesIO(begin + file.read(length)))
    if dtype.hasobject:
        raise ValueError("pickled objects are not read")
    _check_size(name, shape, dtype.itemsize)
    size = math.prod(shape) * dtype.itemsize
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends early")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")


def _check_size(name: str, shape: tuple[int, ...], itemsize: int) -> None:
    if min(shape, default=0) < 0:  # a negative number of bytes would be all that there are
        raise _RefusedError(f"{name} has the shape {shape}, with a negative length")
    size = math.prod(shape) * itemsize
    if size > _LARGEST:
        raise _RefusedError(f"{name} of shape {shape} would take {size / 2**30:.3g} GiB; the limit is 1 GiB")


def _safetensors(path: Path) -> Arrays:
    try:
        from safetensors import safe_open
    except ImportError:
        raise _RefusedError("safetensors is not installed; python -m pip install safetensors") from None

    def read(name: str) -> ndarray:
        with safe_open(path, framework="numpy") as file:
            part = file.get_slice(name)
            if part.get_dtype() not in ("F64", "F32", "F16", "I64", "I32"):
                raise _RefusedError(f"{name} is of type {part.get_dtype()}, which NumPy has not; save it as float32")
            _check_size(name, tuple(part.get_shape()), 8)
            return np.asarray(file.get_tensor(name))

    path.open("rb").close()
    with safe_open(path, framework="numpy") as file:
        return Arrays(list(file.keys()), read)


def _torch(path: Path) -> Arrays:
    path.open("rb").close()
    if path.stat().st_size > _LARGEST:
        raise _RefusedError("the file takes more than 1 GiB")
    if zipfile.is_zipfile(path):  # torch packs nothing, but unpacks what somebody else has
        with zipfile.ZipFile(path) as archive:
            if sum(packed.file_size for packed in archive.infolist()) > _LARGEST:
                raise _RefusedError("the file takes more than 1 GiB when it is unpacked")
    try:
        import torch
    except ImportError:
        raise _RefusedError(
            "torch, which alone reads such files, is not installed; where it is, save "
            "numpy.savez('model.npz', **{k: v.cpu().numpy() for k, v in model.state_dict().items()})"
        ) from None
    import pickle

    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _RefusedError(
            "it holds more than tensors, or is damaged; save model.state_dict() with torch.save"
        ) from None
    tensors = dict(_flat(held if isinstance(held, Mapping) else {"W": held}))
    return Arrays(list(tensors), lambda name: np.asarray(tensors[name].detach().double().numpy()))


def _flat(held: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Tensors of nested dictionaries, such as a checkpoint's ``state_dict``, with dotted names."""
    found: list[tuple[str, Any]] = []
    for key, value in held.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{key}.")
        elif hasattr(value, "detach"):
            found.append((f"{prefix}{key}", value))
    return found
