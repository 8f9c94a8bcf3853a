"""Pieces of a long computation kept on disk: each under a key that names its inputs, each with a checksum.

One process at a time works with a cache; another that wants to waits.
"""

import hashlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import xarray as xr

from theory.tools.storage import discard_parts, load_result, save_result

__all__ = ["Cache", "checksum", "key_of"]


def key_of(inputs: dict[str, object]) -> str:
    """
    Name inputs by a hash of their values.

    Parameters
    ----------
    inputs : dict
        Numbers, strings and nested lists of them.

    Returns
    -------
    str
        40 hexadecimal digits; equal inputs have equal keys.
    """
    return hashlib.sha1(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def checksum(dataset: xr.Dataset, key: str = "") -> str:
    """
    Digest a dataset's numbers, and the key under which they are kept.

    Parameters
    ----------
    dataset : xarray.Dataset
        Numeric variables and coordinates.
    key : str
        Its key: an entry that was copied to the name of another must not be taken for it.

    Returns
    -------
    str
        The same for the same names, dimensions and bits, whatever the file they came from.
    """
    digest = hashlib.sha1(key.encode())
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        # NetCDF 3 narrows integers and stores numbers big-endian: digest them as they were.
        kind = np.dtype("<i8") if values.dtype.kind in "iu" else values.dtype.newbyteorder("<")
        digest.update(f"{name}{variable.dims}{variable.shape}{kind.str}".encode())
        digest.update(np.ascontiguousarray(values, kind).tobytes())
    return digest.hexdigest()


class Cache:
    """
    A folder of datasets, one file per key.

    Parameters
    ----------
    folder : Path
        Where the files are; made by ``held``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """
        Say where an entry is kept.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        Path
            Its file, whether or not it is there.
        """
        return self.folder / f"{key}.nc"

    def put(self, key: str, dataset: xr.Dataset) -> None:
        """
        Keep a dataset: complete on disk, or not at all.

        Parameters
        ----------
        key : str
            Its key.
        dataset : xarray.Dataset
            Its value.
        """
        save_result(dataset.assign_attrs(cache_checksum=checksum(dataset, key)), self.path(key))

    def get(self, key: str) -> xr.Dataset | None:
        """
        Fetch an entry.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        xarray.Dataset or None
            The dataset as it was put; None, with a warning, if the file is damaged, and None if there is none.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            dataset = load_result(path)
            intact = dataset.attrs.pop("cache_checksum", None) == checksum(dataset, key)
        except Exception as damage:  # whatever a reader makes of damaged bytes, the remedy is the same
            warnings.warn(f"cannot read {path} ({damage}); computing it again", RuntimeWarning, stacklevel=2)
            return None
        if not intact:
            warnings.warn(f"{path} does not match its checksum; computing it again", RuntimeWarning, stacklevel=2)
            return None
        return dataset

    def remove(self, keys: list[str]) -> None:
        """
        Drop entries.

        Parameters
        ----------
        keys : list of str
            Which entries.
        """
        for key in keys:
            self.path(key).unlink(missing_ok=True)
            discard_parts(self.path(key))

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Keep other processes off the cache; wait for one that was earlier.

        Yields
        ------
        None
            At the end the folder is removed if it is empty.
        """
        path = self.folder / "lock"
        handle = _locked(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # pieces are left
                self.folder.rmdir()
            os.close(handle)


def _locked(path: Path) -> int:
    """Open and lock a file, which the system unlocks however this process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)  # where that fails waiting does not help
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:  # whoever had it has just cleared up
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is working on {path.parent.stem}; waiting for it", file=sys.stderr)  # noqa: T201
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # what has been locked is a file that is no longer there
