"""Which polytopes are worth their dimensions as p -> 0: the one-sparse optimum of each, and its benefit.

The benefit of a polytope is the loss it saves over leaving its v features unrepresented, which costs 1/3 per
feature (L/p as p -> 0, uniform values): benefit = v/3 - L_1. Divided by its dimensions d it says what a
hidden dimension earns. ``python -m theory.optimum.one_sparse`` prints the table.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.geometry.polytopes import POLYTOPES, Polytope, regular_polygon
from theory.geometry.tegum import parse_geometry
from theory.loss.one_sparse import errors_alone
from theory.loss.output_curvature import limit_curvatures
from theory.model.values import UNIFORM
from theory.optimum.symmetric import SymmetricMinimum, minimise_symmetric, silencing_starts
from theory.tools.arguments import count, writable_directory
from theory.tools.command import Parser, run_command, tell

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["UNREPRESENTED_LOSS", "one_sparse_optimum", "one_sparse_table"]

# Int_0^1 x^2 dx: what an active feature costs that is not represented.
UNREPRESENTED_LOSS = 1 / 3


@lru_cache(maxsize=256)
def _optimum(polytope: Polytope) -> SymmetricMinimum:
    """Best over all numbers of silenced neighbours; biases are not positive in the limit."""
    runs = [
        minimise_symmetric(polytope, _limit_errors, start, largest_bias=0.0) for start in silencing_starts(polytope)
    ]
    return min(runs, key=lambda run: run.loss)


def _limit_errors(c: Float[ndarray, "r n"], b: Float[ndarray, " r"]) -> tuple[ndarray, ndarray, ndarray]:
    """Errors of outputs to second order in the limit: with each feature the only active one, summed."""
    n = c.shape[1]
    value, dc, db = (part[:, 0] for part in errors_alone(c[:, None], b[:, None], UNIFORM, outputs=np.zeros(1, int)))
    bend, feature = limit_curvatures(c, b), np.arange(n)
    curvature = np.zeros((len(c), n + 1, n + 1))
    curvature[:, feature, feature] = bend[..., 0, 0]
    curvature[:, :n, n] = curvature[:, n, :n] = bend[..., 0, 1]
    curvature[:, n, n] = bend[..., 1, 1].sum(1)
    return value.sum(1), np.c_[dc, db.sum(1)], curvature


def one_sparse_optimum(name: str) -> SymmetricMinimum:
    """
    Optimise one catalogue polytope in the one-sparse limit.

    Parameters
    ----------
    name : str
        A polytope of the catalogue (or an alias of one).

    Returns
    -------
    SymmetricMinimum
        Optimal norm, bias and shape; the loss is the limit of L/p, summed over the polytope's features of
        importance 1.

    Raises
    ------
    ValueError
        If the name is unknown, or stands for a product of several polytopes.

    References
    ----------
    Chen et al. 2023, "Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition", who give
    the pentagon (norm 1.17046, bias -0.28230) and the hexagon (norm 1.32053, bias -0.61814).

    Examples
    --------
    >>> {key: round(value, 5) for key, value in one_sparse_optimum("pentagon").parameters.items()}
    {'norm': 1.17046, 'bias': -0.2823}
    """
    polytopes = parse_geometry(name).polytopes
    if len(polytopes) != 1:
        raise ValueError(f"{name!r} is a product of {len(polytopes)} polytopes; in the limit their losses add")
    found = _optimum(polytopes[0])
    return replace(found, parameters=dict(found.parameters))  # the cached one stays as it is


def one_sparse_table(k_max: int = 24) -> "xr.Dataset":
    """
    Tabulate the one-sparse optima of polygons and of all other catalogue polytopes.

    Parameters
    ----------
    k_max : int
        Vertices of the largest polygon, >= 3.

    Returns
    -------
    xarray.Dataset
        Along "polytope", from the largest benefit per dimension to the smallest: ``dimensions``,
        ``vertices``, ``norm``, ``bias`` (of the first orbit), ``height`` (NaN for shapes without), ``loss``
        (limit of L/p, sum over the features), ``benefit`` (v/3 - loss), ``benefit_per_dimension``, and
        ``wins``: whether no tegum product of entries in as many dimensions has a larger benefit, features
        being plentiful.

    Raises
    ------
    ValueError
        If k_max is below 3.

    Examples
    --------
    >>> import theory
    >>> table = theory.one_sparse_table(6)
    >>> str(table["polytope"].values[0]), table.sizes["polytope"] > 6
    ('240-point code', True)
    """
    import xarray as xr

    _check_largest(k_max)
    entries = list(_entries(k_max))
    optima = [_optimum(entry) for entry in entries]
    d = np.array([entry.d for entry in entries])
    v = np.array([entry.v for entry in entries])
    loss = np.array([optimum.loss for optimum in optima])
    benefit = v * UNREPRESENTED_LOSS - loss
    columns = {
        "dimensions": d,
        "vertices": v,
        "norm": [_first(entry.norm_names, optimum) for entry, optimum in zip(entries, optima, strict=True)],
        "bias": [_first(entry.bias_names, optimum) for entry, optimum in zip(entries, optima, strict=True)],
        "height": [optimum.parameters.get("height", np.nan) for optimum in optima],
        "loss": loss,
        "benefit": benefit,
        "benefit_per_dimension": benefit / d,
        "wins": benefit >= _best_benefit(d, benefit)[d] - 1e-12,
    }
    table = xr.Dataset(
        {key: ("polytope", np.asarray(values)) for key, values in columns.items()},
        coords={"polytope": [entry.name for entry in entries]},
        attrs={"loss": "limit of L/p as p -> 0, summed over the features of the polytope, importance 1"},
    )
    return table.sortby("benefit_per_dimension", ascending=False)


def _check_largest(k_max: int) -> None:
    if k_max < 3:
        raise ValueError(f"k_max must be at least 3, got {k_max}")


def _entries(k_max: int) -> Iterable[Polytope]:
    """Polytopes of the table: polygons up to k_max in place of the catalogue's."""
    polygons = {k: regular_polygon(k).name for k in range(3, max(k_max, 24) + 1) if k != 4}
    for name, polytope in POLYTOPES.items():
        if polytope.d and name not in polygons.values():
            yield polytope
    for k, name in polygons.items():
        if k <= k_max:
            yield POLYTOPES.get(name) or regular_polygon(k)


def _best_benefit(d: Int[ndarray, " k"], benefit: Float[ndarray, " k"]) -> Float[ndarray, " dimensions"]:
    """Largest benefit of any tegum product in 0, 1, 2, ... dimensions, features unlimited."""
    best = np.zeros(int(d.max()) + 1)
    for size in range(1, len(best)):
        fits = d <= size
        best[size] = max(best[size - 1], float((best[size - d[fits]] + benefit[fits]).max()))
    return best


def _first(names: Sequence[str], optimum: SymmetricMinimum) -> float:
    return optimum.parameters[names[0]]


def _print(table: "xr.Dataset") -> None:
    lines = ["polytope               d   v      norm      bias    height       loss   benefit/d"]
    for name in table["polytope"].values:
        row = table.sel(polytope=name)
        height = "" if np.isnan(row["height"]) else f"{float(row['height']):.5f}"
        lines.append(
            f"{name:<21} {int(row['dimensions']):>2} {int(row['vertices']):>3} {float(row['norm']):>9.5f} "
            f"{float(row['bias']):>9.5f} {height:>9} {float(row['loss']):>10.6f} "
            f"{float(row['benefit_per_dimension']):>11.6f}{' *' if row['wins'] else ''}"
        )
    lines.append("loss: limit of L/p as p -> 0; benefit: v/3 - loss; *: no product in d dimensions has more")
    tell("\n".join(lines))


def main(argv: Sequence[str] | None = None) -> None:
    """
    Print the table, and save it if asked.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("Which polytopes are worth their dimensions as p -> 0.", prog="python -m theory.optimum.one_sparse")
    parser.add_argument("--k-max", type=count, default=24, help="vertices of the largest polygon, at least 3")
    parser.add_argument(
        "--output",
        type=writable_directory,
        help="folder in which to save the table as one_sparse.csv and .nc",
    )
    parser.add_overwrite()
    arguments = parser.parse_args(argv)
    _check_largest(arguments.k_max)
    from theory.tools.storage import results_folder, save_result, write

    names, saving = ("one_sparse.nc", "one_sparse.csv"), arguments.output is not None
    with (
        results_folder(arguments.output, names, arguments.overwrite, parser.prog) if saving else nullcontext()
    ) as folder:
        table = one_sparse_table(arguments.k_max)
        if folder is not None:
            save_result(table.assign_attrs(made_by=parser.prog), folder / names[0])
            write(folder / names[1], table.to_dataframe().to_csv(lineterminator="\n"))
    _print(table)


if __name__ == "__main__":
    run_command(main, "python -m theory.optimum.one_sparse")
