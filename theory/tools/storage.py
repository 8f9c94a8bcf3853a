"""Results on disk: written whole or not at all, never over what is somebody else's, and refused before the work."""

import glob
import hashlib
import io
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from theory.tools.interruption import uninterrupted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = [
    "check_output",
    "check_outputs",
    "discard_parts",
    "is_damaged",
    "load_result",
    "results_folder",
    "save_picture",
    "save_result",
    "write",
]

# How NetCDF 3 files begin.
_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
# As much of a text as is searched for the name of the command that wrote it.
_HEAD = 4096
# The attribute of a NetCDF file with the digest of its bytes, and what stands in the digest's place for that.
# Either of its name and "sha256:" says that there is one, should the other be damaged.
_DIGEST, _KIND = "content_digest", "sha256:"
_PLACE = _KIND + hashlib.sha256(b"in place of the digest").hexdigest()


def check_output(path: str | os.PathLike[str], overwrite: bool = False, made_by: str | None = None) -> Path:
    """
    Make sure, before any work starts, that a file may be written.

    Parameters
    ----------
    path : path
        File to write.
    overwrite : bool
        Whether any file that is there already may be replaced.
    made_by : str, optional
        The command that asks. What it wrote earlier it may replace: a NetCDF file with an attribute, or a text with a
        line near its top, that names it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        If there is a file already that may not be replaced.
    IsADirectoryError
        If it is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write to {target}: it is a folder, and a file name is needed")
    if os.path.lexists(target) and not overwrite and not (made_by and _made_by(target, made_by)):
        raise FileExistsError(f"{target} exists already; move it away, or ask to overwrite it (--overwrite)")
    return target


def _made_by(path: Path, command: str) -> bool:
    """Whether a file is the command's own, or the remains of a NetCDF file, which are of no use to anybody."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if path.suffix != ".nc":
            return command in head.decode(errors="replace")
        if is_damaged(path):
            return True
        return any(str(value).startswith(command) for value in load_result(path).attrs.values())
    except OSError:
        return False


def check_outputs(folder: Path, names: Sequence[str], overwrite: bool = False, made_by: str | None = None) -> None:
    """
    Make sure that files of a command may be written, and remove what is left of attempts that were killed.

    Parameters
    ----------
    folder : Path
        Where.
    names : sequence of str
        The files. If the first is the command's own, the others are, too: a picture does not say who drew it.
    overwrite, made_by : optional
        As for ``check_output``.

    Raises
    ------
    FileExistsError
        If there is a file that may not be replaced.
    """
    for k, name in enumerate(names):
        first = folder / names[0]
        own = k > 0 and made_by is not None and first.is_file() and _made_by(first, made_by)
        check_output(folder / name, overwrite or own, made_by)
        discard_parts(folder / name)


@contextmanager
def results_folder(
    folder: str | os.PathLike[str],
    names: Sequence[str] = (),
    overwrite: bool = False,
    made_by: str | None = None,
) -> Iterator[Path]:
    """
    Make the folder that results go to, before the work; if that fails and leaves nothing, take the folder away again.

    Parameters
    ----------
    folder : path
        The folder.
    names : sequence of str
        Files that are going to be written into it.
    overwrite, made_by : optional
        As for ``check_outputs``.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If one of the files is there already and may not be replaced.
    OSError
        If the folder cannot be made or written.
    """
    target = Path(folder)
    check_outputs(target, names, overwrite, made_by)
    new = [p for p in (target, *target.parents) if not p.exists()]
    try:
        try:
            target.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=target):
                pass
        except OSError as problem:
            raise OSError(f"cannot write to {target}: {problem.strerror or problem}") from None
        yield target
    except BaseException:
        with suppress(OSError):  # it holds something
            for made in new:
                made.rmdir()
        raise


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """
    Write a file: it appears complete or not at all.

    Parameters
    ----------
    path : path
        File; one that is there is replaced.
    content : str or bytes
        What to write; text becomes UTF-8.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    with uninterrupted():
        try:
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=_part_prefix(target, os.getpid()), suffix=".part")
        except OSError as problem:  # it would name a file that nobody asked for
            raise OSError(problem.errno, problem.strerror, str(target)) from None
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            part.chmod(0o666 & ~_umask())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def save_result(dataset: "xr.Dataset", path: str | os.PathLike[str]) -> None:
    """
    Write a dataset to NetCDF 3 through SciPy: the file appears complete or not at all, and knows its digest.

    Parameters
    ----------
    dataset : xarray.Dataset
        What to write.
    path : path
        File; one that is there is replaced.

    Examples
    --------
    >>> import theory
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "diagram.nc"
    >>> theory.save_result(theory.exact_phase_diagram(2, 1, resolution=2), path)
    >>> path.exists()
    True
    """
    # NetCDF 3 holds integers of 32 bits only.
    long = {name: str(value) for name, value in dataset.attrs.items() if isinstance(value, int) and abs(value) >= 2**31}
    content = _netcdf(dataset.assign_attrs({**long, _DIGEST: _PLACE}))
    write(path, content.replace(_PLACE.encode(), _digest(content).encode()))


def _netcdf(dataset: "xr.Dataset") -> bytes:
    """The bytes of ``to_netcdf``, which would import all of Dask, where that is installed, to ask for its scheduler."""
    from xarray.backends import ScipyDataStore

    file = io.BytesIO()
    store = ScipyDataStore(file, mode="w", format="NETCDF3_64BIT")
    dataset.dump_to_store(store)
    store.sync()
    content = file.getvalue()
    store.close()
    return content


def _digest(content: bytes) -> str:
    return _KIND + hashlib.sha256(content).hexdigest()


def save_picture(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """
    Write a picture: the file appears complete or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    path : path
        File; its suffix is the format.
    """
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix[1:])
    write(path, content.getvalue())


def _part_prefix(target: Path, process: int | str) -> str:
    return f".{target.name}.{platform.node()}-{process}."


def discard_parts(path: str | os.PathLike[str]) -> None:
    """
    Remove what processes that were killed while writing a file left behind.

    Parameters
    ----------
    path : path
        The file; it is left alone, and so are the parts of processes that are running, or of other machines.
    """
    target = Path(path)
    begin = _part_prefix(target, "")[:-1]
    for part in target.parent.glob(f"{glob.escape(begin)}*.part"):
        process = part.name[len(begin) :].split(".")[0]
        if process.isdigit() and not _is_running(int(process)):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def load_result(path: str | os.PathLike[str]) -> "xr.Dataset":
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

    Raises
    ------
    OSError
        If there is no such file, or it is damaged, a single bit changed, or of another kind.

    Examples
    --------
    >>> import theory
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "diagram.nc"
    >>> theory.save_result(theory.exact_phase_diagram(2, 1, resolution=2), path)
    >>> theory.load_result(path).attrs["phases"]
    'not represented; dedicated; superposition; not determined: loss zero'
    """
    import xarray as xr

    try:
        content = Path(path).read_bytes()
        dataset = xr.load_dataset(io.BytesIO(content), engine="scipy")
        digest = dataset.attrs.pop(_DIGEST, "")
        if not any(mark.encode() in content for mark in (_DIGEST, _KIND)):  # of an older version, or somebody else
            return dataset
        if not digest or _digest(content.replace(digest.encode(), _PLACE.encode())) != digest:
            raise ValueError("it is not as it was written")
        return dataset
    except OSError:
        raise
    except Exception as damage:  # readers raise errors of many types; the file is at fault, whatever the type
        raise OSError(f"{path} is damaged, or no NetCDF file ({damage})") from None


def is_damaged(path: str | os.PathLike[str]) -> bool:
    """
    Tell the remains of a NetCDF file, cut short or empty, from files of other kinds.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    bool
        Whether it begins like a NetCDF 3 file, or is empty, and cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(4)
    if not any(magic.startswith(head) for magic in _NETCDF):
        return False
    try:
        load_result(path)
    except OSError:
        return True
    return False
