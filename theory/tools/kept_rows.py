"""Tables of many long computations, one a row: every row is kept as soon as it is done, and found again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from theory.tools.command import progress
from theory.tools.storage import is_damaged, load_result, save_result

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["kept_rows"]

Case = TypeVar("Case")


def kept_rows(
    cases: Sequence[Case],
    row: Callable[[Case, int], Mapping[str, float | str]],
    seed: int,
    about: Mapping[str, Any],
    file: Path | None = None,
    bar: bool = True,
) -> "xr.Dataset":
    """
    Compute the rows of a table that are not in its file yet.

    Parameters
    ----------
    cases : sequence of dataclass
        What the rows are about: records of numbers.
    row : callable
        Computes the row of a case, given the seed.
    seed : int
        Seed of every row; rows of another seed are not taken from the file.
    about : mapping
        Attributes of the table.
    file : Path, optional
        Where rows are kept, those of other cases too.
    bar : bool
        Whether progress is shown.

    Returns
    -------
    xarray.Dataset
        Along "case", in the order of the cases: their own numbers, and those of their rows.
    """
    rows: list[dict[str, float | str]] = []
    if file is not None and file.exists() and not is_damaged(file):
        before = load_result(file)
        if before.attrs["seed"] == seed:
            rows = [{str(k): v.item() for k, v in before.isel(case=j).items()} for j in range(before.sizes["case"])]
    wanted = [{name: float(x) for name, x in asdict(case).items()} for case in cases]  # type: ignore[call-overload]
    known = {tuple(found[name] for name in wanted[0]): found for found in rows}
    about, pairs, table = {**about, "seed": seed}, list(zip(cases, wanted, strict=True)), []
    for case, numbers in progress(pairs, total=len(pairs), label="cases") if bar else pairs:
        key = tuple(numbers.values())
        if key not in known:
            known[key] = {**numbers, **row(case, seed)}
            if file is not None:
                save_result(_dataset(list(known.values()), about), file)
        table.append(known[key])
    return _dataset(table, about)


def _dataset(rows: Sequence[Mapping[str, float | str]], about: Mapping[str, Any]) -> "xr.Dataset":
    import xarray as xr

    return xr.Dataset({name: ("case", [row[name] for row in rows]) for name in rows[0]}, attrs=dict(about))
