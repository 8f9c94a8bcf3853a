"""Are the best geometries tegum products? The global optimum beside the best product of named polytopes.

``python -m theory.search.product_table --output docs`` compares both for every n and m up to a limit and writes a page
that reports each place where something else wins: an irreducible optimum without a name, or features of unequal norms.
A product of *named* polytopes is meant: dedicated features, digons, polygons, simplices, and the other entries of the
catalogue that have a name of their own. Products are provably optimal where every feature can have a dimension (m >= n)
and, as the density tends to 0, for n <= 2m, where digons cost nothing; elsewhere they are only the best known.
"""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from theory.tools.arguments import count, non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.parallel import Workers, spread
from theory.tools.seeds import Seed, seed_number

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["compare_products", "main"]

DENSITIES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
# A gain below this part of the loss is not told from none: it is what two certified losses may differ by.
_WORTH_REPORTING = 1e-7
_COMMAND = "python -m theory.search.product_table"
_NAMELESS = re.compile(r"\d+ in \d+")


def compare_products(
    n_max: int = 9, m_max: int = 3, densities: Sequence[float] = DENSITIES, seed: Seed = 0, workers: Workers = 1
) -> "xr.Dataset":
    """
    Compare the global optimum with the best product of named polytopes.

    Parameters
    ----------
    n_max : int
        Most features, 2 to 12.
    m_max : int
        Most hidden dimensions; only m < n is compared.
    densities : sequence of float
        Densities of all features, in (0, 1].
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the searches.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; the result does not depend on it.

    Returns
    -------
    xarray.Dataset
        Along "case": ``n``, ``m``, ``density``, the ``product`` and its loss, the global ``optimum``'s geometry and
        loss, and the ``gain``, by which part of the product's loss the optimum is lower.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    import xarray as xr

    from theory.model.features import density_array

    density_array(densities)
    _check_sizes(n_max, m_max)
    cases = [(n, m, p) for n, m, p in product(range(2, n_max + 1), range(1, m_max + 1), densities) if m < n]
    number = seed_number(seed)
    jobs = spread(_compare, [(n, m, float(p), number) for n, m, p in cases], workers)
    rows = list(progress(jobs, total=len(cases), label="optima"))
    names, product_loss, optima, optimal_loss = (list(column) for column in zip(*rows, strict=True))
    return xr.Dataset(
        {
            "n": ("case", [n for n, _, _ in cases]),
            "m": ("case", [m for _, m, _ in cases]),
            "density": ("case", [p for _, _, p in cases]),
            "product": ("case", names),
            "product_loss": ("case", product_loss),
            "optimum": ("case", optima),
            "optimal_loss": ("case", optimal_loss),
            "gain": ("case", 1 - np.array(optimal_loss) / np.array(product_loss)),
        },
        attrs={"seed": number},
    )


def _check_sizes(n_max: int, m_max: int) -> None:
    if not 2 <= n_max <= 12 or m_max < 1:
        raise ValueError(f"the comparison needs 2 <= n_max <= 12 and m_max >= 1, got {n_max} and {m_max}")


def _compare(n: int, m: int, density: float, seed: int) -> tuple[str, float, str, float]:
    from theory.model.problem import Problem
    from theory.packing.best_product import best_tegum_product, factor_losses
    from theory.search.global_search import global_optimum

    losses = {name: loss for name, loss in factor_losses(density, n, m).items() if not _NAMELESS.fullmatch(name)}
    packing = best_tegum_product(n, m, density, losses)
    optimum = global_optimum(Problem(n=n, m=m, density=density), seed=seed)
    return packing.product.name, packing.loss, optimum.geometry, optimum.loss


def _page(data: "xr.Dataset", command: str) -> str:
    """The comparison as Markdown: only where something beats the product."""
    beaten = data.where(data["gain"] > _WORTH_REPORTING, drop=True)
    lines = [
        "# Where no tegum product of named polytopes is best",
        "",
        f"Made by `{command}`.",
        "",
        "Compared: the global optimum over all (W, b) of equal features, and the best tegum product of named",
        "polytopes, each optimised under its symmetry. In all other cases the product is the best that was found.",
        "`v in d` is an irreducible geometry of v features in d dimensions, "
        "`frame v in d` one that shares them evenly;",
        "the same name in both columns means that the optimum breaks the symmetry.",
        "",
        f"{data.sizes['case']} cases compared (n up to {int(data['n'].max())}, m up to {int(data['m'].max())}, "
        f"densities {', '.join(f'{p:g}' for p in np.unique(data['density']))}); "
        f"in {beaten.sizes['case']} something else wins.",
        "",
        "| n | m | density | best product | its loss | global optimum | its loss | lower by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for k in range(beaten.sizes["case"]):
        row = beaten.isel(case=k)
        lines.append(
            f"| {int(row['n'])} | {int(row['m'])} | {float(row['density']):g} | {row['product'].item()} "
            f"| {float(row['product_loss']):.8f} | {row['optimum'].item()} | {float(row['optimal_loss']):.8f} "
            f"| {float(row['gain']):.2%} |"
        )
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser(
        "The global optimum beside the best tegum product of named polytopes, for equal features.", prog=_COMMAND
    )
    parser.add_argument("--n-max", type=count, default=9, help="most features, 2 to 12")
    parser.add_argument("--m-max", type=count, default=3, help="most hidden dimensions")
    parser.add_argument("--output", type=writable_directory, default=Path(), help="folder for products.md and .nc")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of the searches")
    parser.add_workers()
    parser.add_overwrite()
    options = parser.parse_args(argv)
    _check_sizes(options.n_max, options.m_max)
    from theory.tools.storage import results_folder, save_result, write

    names = ("products.nc", "products.md")
    with results_folder(options.output, names, options.overwrite, _COMMAND) as folder:
        data = compare_products(options.n_max, options.m_max, seed=options.seed, workers=options.workers)
        command = f"{_COMMAND} --n-max {options.n_max} --m-max {options.m_max} --seed {options.seed}"
        save_result(data.assign_attrs(made_by=_COMMAND), folder / names[0])
        write(folder / names[1], _page(data, command))
    tell(folder / names[1])


if __name__ == "__main__":
    run_command(main, _COMMAND)
