"""Products, codes and even frames beside one another: which stores n equal features best, density by density."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from theory.frames.prediction import predict_even_frame
from theory.geometry.polytopes import SPHERICAL_CODES
from theory.model.features import density_array
from theory.packing.best_product import best_tegum_product, factor_losses
from theory.tools.arguments import count
from theory.tools.command import Parser, run_command, tell

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["even_table"]


def even_table(n: int, m: int, densities: ArrayLike) -> "xr.Dataset":
    """
    Compare the best product without and with spherical codes to the predicted even frame.

    Parameters
    ----------
    n : int
        Number of equal features, >= 1.
    m : int
        Hidden dimensions, >= 2.
    densities : array_like, shape (k,)
        Densities, in (0, 1].

    Returns
    -------
    xarray.Dataset
        Along "density": ``product`` and ``product_loss`` without codes, ``with_codes`` and ``with_codes_loss``, and of
        the even frame ``frame_loss``, an estimate from below, ``stored``, ``norm``, ``bias`` and ``dimensionality``.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If a number is out of range.
    """
    import xarray as xr

    p = np.atleast_1d(density_array(np.asarray(densities, dtype=float)))
    rows: list[tuple[object, ...]] = []
    for density in p.tolist():
        losses = factor_losses(density, n, m)
        plain = {name: loss for name, loss in losses.items() if name not in SPHERICAL_CODES}
        one, two = (best_tegum_product(n, m, density, some) for some in (plain, losses))
        frame = predict_even_frame(n, m, density)
        products = (one.product.name, one.loss, two.product.name, two.loss)
        rows.append((*products, frame.loss, frame.k, frame.norm, frame.bias, frame.dimensionality))
    names = (
        "product",
        "product_loss",
        "with_codes",
        "with_codes_loss",
        "frame_loss",
        "stored",
        "norm",
        "bias",
        "dimensionality",
    )
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return xr.Dataset(
        {name: ("density", list(column)) for name, column in columns.items()},
        coords={"density": p},
        attrs={"n": n, "m": m, "loss": "population loss, summed over features of importance 1"},
    )


def main(argv: Sequence[str] | None = None) -> None:
    """
    Print the table.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("Products, codes and even frames of equal features.", prog="python -m theory.packing.even_table")
    parser.add_argument("--n", type=count, default=400, help="number of features")
    parser.add_argument("--m", type=count, default=30, help="hidden dimensions, at least 2")
    parser.add_argument("--density", type=float, nargs="+", default=[0.2, 0.1, 0.05, 0.02, 0.01], help="in (0, 1]")
    options = parser.parse_args(argv)
    table = even_table(options.n, options.m, options.density)
    lines = ["density   product   with codes   even frame    k   norm^2     bias     D_i   with codes"]
    for density in table["density"].values:
        row = table.sel(density=density)
        lines.append(
            f"{density:7.4g} {float(row['product_loss']):9.4f} {float(row['with_codes_loss']):12.4f} "
            f"{float(row['frame_loss']):12.4f} {int(row['stored']):4d} {float(row['norm']) ** 2:8.3f} "
            f"{float(row['bias']):8.3f} {float(row['dimensionality']):7.4f}   {row['with_codes'].item()}"
        )
    lines.append("even frame: an estimate from below; products: exact losses of their optima")
    tell("\n".join(lines))


if __name__ == "__main__":
    run_command(main, "python -m theory.packing.even_table")
