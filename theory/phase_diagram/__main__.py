"""The command ``python -m theory.phase_diagram``: a picture, its numbers, and what they say."""

import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from theory.model.variant import Variant, add_variant, variant_of
from theory.phase_diagram.diagram import MAX_FEATURES, check_axes, default_resolution, exact_phase_diagram
from theory.tools.arguments import count, density, features, non_negative_count, positive, writable_directory
from theory.tools.command import Parser, run_command, tell
from theory.tools.parallel import Workers

__all__ = ["main"]

_COMMAND = "python -m theory.phase_diagram"


_FORMATS = ("png", "svg", "pdf")
# Imported while the search runs.
_LATER = (
    "theory.phase_diagram.results",
    "theory.phase_diagram.picture",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "scipy.interpolate",
    "scipy.io",
    "scipy.ndimage",
    "scipy.sparse.csgraph",
)


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    options = _parser().parse_args(argv)
    resolution = options.resolution or default_resolution(options.n)
    axes = tuple(options.density), tuple(options.importance)
    check_axes(options.n, options.m, resolution, *axes)
    part = (tuple(options.zoom[:2]), tuple(options.zoom[2:])) if options.zoom else None
    if part:
        check_axes(options.n, options.m, resolution, *part)
    variant = variant_of(options)
    variant.check(options.n, options.density[1])
    from theory.tools.storage import results_folder, save_picture, save_result

    stem = f"phase_diagram_n{options.n}_m{options.m}"
    names = [f"{stem}.nc", f"{stem}.{options.format}"]
    with results_folder(options.output, names, options.overwrite, _COMMAND) as folder:
        workers = _useful(options.workers, options.n, resolution, variant)
        prepared = _prepare(workers)
        effort: tuple[Any, ...] = (options.seed, workers, variant)
        data = exact_phase_diagram(options.n, options.m, resolution, *axes, *effort)
        zoom = exact_phase_diagram(options.n, options.m, resolution, *part, *effort) if part else None
        prepared.join()
        from theory.phase_diagram.picture import draw_phase_diagram
        from theory.phase_diagram.text import summary

        numbers, picture = (folder / name for name in names)
        save_result(data.assign_attrs(made_by=_COMMAND), numbers)
        save_picture(draw_phase_diagram(data, zoom), picture)
    tell(f"{summary(data)}\n\n{picture}\n{numbers}")


def _parser() -> Parser:
    """What the command understands."""
    parser = Parser("Phase diagram of an extra feature: idealised candidates beside the exact optimum.", prog=_COMMAND)
    parser.add_argument(
        "--n", type=features, default=3, help=f"features, 2 to {MAX_FEATURES}; the last is the extra one"
    )
    parser.add_argument("--m", type=features, default=2, help="hidden dimensions, below n")
    parser.add_argument(
        "--resolution",
        type=count,
        default=None,
        help="cells per axis; the default depends on n: 60 up to n = 3",
    )
    parser.add_argument(
        "--density",
        type=density,
        nargs=2,
        default=(0.01, 1.0),
        metavar=("LO", "HI"),
        help="range of p = 1 - S",
    )
    parser.add_argument(
        "--importance",
        type=positive,
        nargs=2,
        default=(0.1, 10.0),
        metavar=("LO", "HI"),
        help="range of the extra feature's importance relative to the others'",
    )
    parser.add_argument(
        "--zoom",
        type=positive,
        nargs=4,
        metavar=("LO", "HI", "FROM", "TO"),
        help="draw densities LO to HI and importances FROM to TO again, on a grid as fine as the whole",
    )
    parser.add_argument("--output", type=writable_directory, default=Path(), help="folder for picture and numbers")
    parser.add_argument("--format", choices=_FORMATS, default="png", help="format of the picture")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of the search")
    add_variant(parser)
    parser.add_workers()
    parser.add_overwrite()
    return parser


def _useful(workers: Workers, n: int, resolution: int, variant: Variant) -> Workers:
    """How many processes are worth their start; a cluster's have started."""
    from theory.phase_diagram.cells import is_quick

    quick = is_quick(n, resolution**2, variant.values, variant.terms)
    return 1 if quick and not isinstance(workers, str) else workers


def _prepare(workers: Workers) -> threading.Thread:
    """Import what drawing and describing need anyway, while other processes search."""
    others = threading.Thread(target=_import_the_rest, daemon=True)
    others.start()
    if workers == 1:  # the search, too, runs here: one after the other
        others.join()
    return others


def _import_the_rest() -> None:
    for module in _LATER:
        import_module(module)
    import xarray as xr

    xr.Dataset({"nothing": ("cell", [0.0])})  # xarray imports the rest of itself, and Dask, when it is first asked


if __name__ == "__main__":
    run_command(main, _COMMAND)
