"""Pieces of a long computation kept on disk: each under a key that names its inputs, each with a checksum."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from theory.tools.storage import discard_parts, load, save

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


def checksum(dataset: xr.Dataset) -> str:
    """
    Digest a dataset's numbers.

    Parameters
    ----------
    dataset : xarray.Dataset
        Numeric variables and coordinates.

    Returns
    -------
    str
        The same for the same names, dimensions and bits, whatever the file they came from.
    """
    digest = hashlib.sha1()
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
        Where the files are; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

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
        save(dataset.assign_attrs(cache_checksum=checksum(dataset)), self.path(key))

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
            dataset = load(path)
            intact = dataset.attrs.pop("cache_checksum", None) == checksum(dataset)
        except Exception as damage:  # whatever a reader makes of damaged bytes, the remedy is the same
            warnings.warn(f"cannot read {path} ({damage}); computing it again", RuntimeWarning, stacklevel=2)
            return None
        if not intact:
            warnings.warn(f"{path} does not match its checksum; computing it again", RuntimeWarning, stacklevel=2)
            return None
        return dataset

    def remove(self, keys: list[str]) -> None:
        """
        Drop entries, and the folder once it is empty.

        Parameters
        ----------
        keys : list of str
            Which entries.
        """
        for key in keys:
            self.path(key).unlink(missing_ok=True)
            discard_parts(self.path(key))
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
