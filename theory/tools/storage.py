"""Datasets on disk: written whole or not at all, and never over another by accident."""

import glob
import os
import tempfile
from pathlib import Path

import xarray as xr

__all__ = ["check_output", "discard_parts", "load", "save"]


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """
    Make sure, before any work starts, that a result can be written.

    Parameters
    ----------
    path : path
        File to write; its folder is made if need be.
    overwrite : bool
        Whether a file that is there already may be replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        If there is a file already.
    OSError
        If the folder cannot be made or written.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write to {target}: it is a folder, and a file name is needed")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; move it away, or ask to overwrite it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent):
            pass
    except OSError as problem:
        raise OSError(f"cannot write to {target.parent}: {problem.strerror or problem}") from None
    return target


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """
    Write a dataset to NetCDF 3 through SciPy: the file appears complete or not at all.

    Parameters
    ----------
    dataset : xarray.Dataset
        What to write.
    path : path
        File; one that is there is replaced.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        dataset.to_netcdf(part, engine="scipy", format="NETCDF3_64BIT")
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def discard_parts(path: str | os.PathLike[str]) -> None:
    """
    Remove what processes that were killed while writing a file left behind.

    Parameters
    ----------
    path : path
        The file; it is left alone.
    """
    target = Path(path)
    for part in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        part.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """
    Read a dataset into memory.

    Parameters
    ----------
    path : path
        NetCDF file written by ``save``.

    Returns
    -------
    xarray.Dataset
        Its contents; the file is closed.
    """
    return xr.load_dataset(path, engine="scipy")
