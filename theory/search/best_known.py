"""Best known losses at sizes where nothing is proved: n = 20, 80 and 400 features over many densities.

``python -m theory.search.best_known --output docs/best_known`` searches for each of these problems
(theory.search.large_search), keeps every solution with its parameters in a file of its own, and writes a page of what
there is. The same command goes on where it was stopped; ``--seed`` searches again with other random starts and keeps
the lower loss of each problem.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from theory.tools.arguments import count, density, non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.parallel import Workers
from theory.tools.seeds import Seed, seed_number

if TYPE_CHECKING:
    import xarray as xr

    from theory.model.problem import Problem

__all__ = ["CASES", "Case", "best_known", "main"]

_COMMAND = "python -m theory.search.best_known"
_PAGE = "best_known.md"


@dataclass(frozen=True)
class Case:
    """
    One problem of independent features, uniform on [0, 1].

    Attributes
    ----------
    n, m : int
        Features and hidden dimensions.
    ratio : float
        Feature i, from 0, has importance ratio**i.
    density : float
        Density of all features.
    """

    n: int
    m: int
    ratio: float
    density: float

    @property
    def problem(self) -> "Problem":
        """The problem."""
        from theory.model.problem import Problem

        return Problem(n=self.n, m=self.m, density=self.density, importance=self.ratio ** np.arange(self.n))

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"best_known_n{self.n}_m{self.m}_r{self.ratio:g}_p{self.density:g}.nc"


_SPARSE = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CASES = (
    *(Case(20, 5, 0.7, p) for p in _SPARSE),
    *(Case(80, 20, 0.9, p) for p in _SPARSE),
    *(Case(400, 30, 1.0, p) for p in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)),
)


def best_known(case: Case, seed: Seed = 0, workers: Workers = 1, known: "xr.Dataset | None" = None) -> "xr.Dataset":
    """
    Search for one problem's best solution.

    Parameters
    ----------
    case : Case
        The problem.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the search.
    workers : int or str
        Processes that share its starts, or the address of a Dask scheduler.
    known : xarray.Dataset, optional
        What an earlier search found; it is kept if it is not beaten.

    Returns
    -------
    xarray.Dataset
        ``W``, ``b``, ``loss``, ``loss_error``, ``gradient_norm`` and ``reference_gap``, how much more the best tegum
        product of the catalogue costs. Attributes: the problem, ``geometry``, ``status``, the ``seed`` that found the
        solution, and all ``seeds`` that were tried.
    """
    import xarray as xr

    from theory.search.global_search import global_optimum

    number = seed_number(seed)
    seeds = sorted({number, *([] if known is None else np.atleast_1d(known.attrs["seeds"]).tolist())})
    best = global_optimum(case.problem, number, workers=workers)
    if known is not None and float(known["loss"]) <= best.loss:
        return known.assign_attrs(seeds=seeds)
    assert best.record is not None
    return xr.Dataset(
        {
            "W": (("dimension", "feature"), best.W),
            "b": ("feature", best.b),
            "loss": best.loss,
            "loss_error": best.loss_error,
            "gradient_norm": best.gradient_norm,
            "reference_gap": best.record.reference_gap,
        },
        attrs={
            "made_by": _COMMAND,
            "n": case.n,
            "m": case.m,
            "ratio": case.ratio,
            "density": case.density,
            "geometry": best.geometry,
            "status": best.status,
            "seed": number,
            "seeds": seeds,
        },
    )


def _page(folder: Path, cases: Sequence[Case]) -> str:
    """All solutions in a folder as Markdown."""
    rows = list(_rows(folder, cases))
    return "\n".join(
        [
            "# Best known losses of large problems",
            "",
            f"Made by `{_COMMAND}`.",
            "",
            "Independent features of one density p, uniform on [0, 1]; feature i, from 0, has importance r^i.",
            "`best known` says that the search met its best solution too seldom to be certain: lower losses may exist.",
            "",
            f"{len(rows)} of {len(cases)} problems; a problem without a row has not been searched.",
            "",
            "| n | m | r | p | loss | error | status | geometry | best product costs more by | seeds |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _rows(folder: Path, cases: Sequence[Case]) -> Iterator[str]:
    from theory.tools.storage import is_damaged, load_result

    for case in cases:
        if (folder / case.name).exists() and not is_damaged(folder / case.name):
            found = load_result(folder / case.name)
            seeds = ", ".join(str(seed) for seed in np.atleast_1d(found.attrs["seeds"]))
            yield (
                f"| {case.n} | {case.m} | {case.ratio:g} | {case.density:g} | {float(found['loss']):.8g} "
                f"| {float(found['loss_error']):.1g} | {found.attrs['status']} | {found.attrs['geometry']} "
                f"| {float(found['reference_gap']):.2%} | {seeds} |"
            )


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("Best known losses at n = 20, 80 and 400.", prog=_COMMAND)
    parser.add_argument("--n", type=count, nargs="+", help="sizes to search; by default all")
    parser.add_argument("--density", type=density, nargs="+", help="densities to search; by default all")
    parser.add_argument("--output", type=writable_directory, default=Path(), help=f"folder for {_PAGE} and solutions")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of the searches")
    parser.add_workers()
    parser.add_overwrite()
    options = parser.parse_args(argv)
    cases = [
        case
        for case in CASES
        if (options.n is None or case.n in options.n) and (options.density is None or case.density in options.density)
    ]
    if not cases:
        known = "; ".join(
            f"n = {n}: {', '.join(f'{case.density:g}' for case in CASES if case.n == n)}"
            for n in sorted({case.n for case in CASES})
        )
        raise ValueError(f"there is no such problem; sizes and densities are {known}")
    from theory.tools.storage import is_damaged, load_result, results_folder, save_result, write

    with results_folder(options.output, (_PAGE, *(case.name for case in cases)), options.overwrite, _COMMAND) as folder:
        for case in progress(cases, total=len(cases), label="problems"):
            file = folder / case.name
            before = load_result(file) if file.exists() and not is_damaged(file) else None
            if before is None or options.seed not in np.atleast_1d(before.attrs["seeds"]):
                save_result(best_known(case, options.seed, options.workers, before), file)
                write(folder / _PAGE, _page(folder, CASES))
        write(folder / _PAGE, _page(folder, CASES))
    tell(folder / _PAGE)


if __name__ == "__main__":
    run_command(main, _COMMAND)
