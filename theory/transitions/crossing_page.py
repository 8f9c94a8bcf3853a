"""The table of crossings on paper: a page in Markdown, and the numbers as CSV and NetCDF."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from theory.geometry.tegum import parse_geometry
from theory.tools.storage import results_folder, save_result, write
from theory.transitions.crossing_table import DENSITIES, UniformCrossing

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["NAMES", "markdown", "write_table"]

# The numbers first: they say by which command they were made.
NAMES = ("crossings.nc", "crossings.md", "crossings.csv")


def write_table(table: Sequence[UniformCrossing], folder: Path, command: str) -> list[Path]:
    """
    Write the table as Markdown, CSV and NetCDF.

    Parameters
    ----------
    table : sequence of UniformCrossing
        The crossings.
    folder : Path
        Where to; made if it does not exist.
    command : str
        The command that made it, to be cited.

    Returns
    -------
    list of Path
        ``crossings.md``, ``crossings.csv``, ``crossings.nc``.
    """
    rows = io.StringIO()
    writer = csv.DictWriter(rows, [field.name for field in fields(UniformCrossing)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(crossing) for crossing in table)
    with results_folder(folder):
        numbers, page, values = (folder / name for name in NAMES)
        save_result(_dataset(table, command), numbers)
        write(page, markdown(table, command))
        write(values, rows.getvalue())
    return [page, values, numbers]


def _dataset(table: Sequence[UniformCrossing], command: str) -> "xr.Dataset":
    import xarray as xr

    columns: Mapping[str, list] = {f.name: [getattr(c, f.name) for c in table] for f in fields(UniformCrossing)}
    return xr.Dataset(
        {name: ("crossing", np.array(values)) for name, values in columns.items()}, attrs={"command": command}
    )


def _digits(value: float, error: float) -> str:
    """A number with as many decimals as its error leaves, ten at most."""
    decimals = int(np.clip(np.floor(-np.log10(max(error, 1e-300))), 1, 10))
    return f"{value:.{decimals}f}"


def _spinodal(value: float, why: str) -> str:
    if not np.isfinite(value):
        return "a saddle there" if why == "saddle" else "not followed"
    edge = {"reached": "end of range", "lost": "Newton's method ends"}
    return f"{value:.6f} ({edge.get(why, why)})"


def markdown(table: Sequence[UniformCrossing], command: str) -> str:
    """
    Put the table into Markdown.

    Parameters
    ----------
    table : sequence of UniformCrossing
        The crossings.
    command : str
        The command that made it.

    Returns
    -------
    str
        A page: where the best geometry changes, problem by problem, then all crossings, pair by pair.
    """
    lines = [
        "---",
        "orphan: true",
        "---",
        "",
        "# Crossings of uniform geometries",
        "",
        f"Written by `{command}`; do not edit.",
        "",
        "Features are equal: density p, importance 1, values uniform on [0, 1]. Geometries are tegum products of the "
        f"catalogue, optimised at every density from {DENSITIES[0]:g} to {DENSITIES[-1]:g}. All these transitions are "
        "of first order: two distinct solutions cross, and dL/dp jumps. Solutions outside the catalogue may be better "
        "still, above all where features are dense.",
        "",
        "## Where the best geometry changes",
        "",
        "The geometry above remains a minimum of the full loss, over all (W, b), down to the lower spinodal; the "
        "geometry below up to the upper one.",
        "",
        "| n | m | better below p | better above p | crossing p | error | loss | jump of dL/dp | lower spinodal | "
        "upper spinodal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.n} | {c.m} | {c.below} | {c.above} | {_digits(c.density, c.error)} | {c.error:.0e} | {c.loss:.8g} | "
        f"{c.slope_jump:.5g} | {_spinodal(c.lower_spinodal, c.lower_end)} | "
        f"{_spinodal(c.upper_spinodal, c.upper_end)} |"
        for c in table
        if c.rank == 1
    ]
    lines += [
        "",
        "## All crossings",
        "",
        "Of any two geometries with the same n and m, whether or not a third is better. Factors that both have in "
        "common do not move a crossing: every pair is listed once, without them.",
        "",
        "| better below p | better above p | crossing p | error | jump of dL/dp |",
        "|---|---|---|---|---|",
    ]
    pairs = {(*_without_common(c), _digits(c.density, c.error)): c for c in reversed(table)}
    lines += [
        f"| {below} | {above} | {density} | {c.error:.0e} | {c.slope_jump:.5g} |"
        for (below, above, density), c in sorted(pairs.items(), key=lambda item: item[1].density)
    ]
    return "\n".join(lines) + "\n"


def _without_common(crossing: UniformCrossing) -> tuple[str, str]:
    """Both geometries without the factors that they share."""
    below, above = (Counter(dict(parse_geometry(name).counts)) for name in (crossing.below, crossing.above))

    def written(rest: Counter[str]) -> str:
        return " + ".join(f"{count} {name}" if count > 1 else name for name, count in rest.items())

    return written(below - above), written(above - below)
