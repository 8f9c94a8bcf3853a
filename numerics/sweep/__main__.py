"""Train a grid of problems, piece by piece, so that an interrupted sweep continues where it stopped."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from numerics.sweep.grid import run_sweep
from numerics.training.settings import Settings
from theory.model.extra_feature import extra_feature_problem
from theory.model.variant import add_variant, variant_of
from theory.tools.arguments import count, density, features, non_negative_count, positive, writable_directory
from theory.tools.command import Parser, run_command, tell

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["main"]

_COMMAND = "python -m numerics.sweep"
_HINT = "theory.report judges these models against the exact theory, as docs/start.md shows"
# Densities that have a row of their own.
_MOST_ROWS = 30


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command ``python -m numerics.sweep``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    defaults = Settings()
    parser = Parser(
        "Train a grid of problems; an interrupted sweep continues where it stopped.", prog="python -m numerics.sweep"
    )
    add = parser.add_argument
    add("--n", type=features, default=2, help="features; the last is the extra one")
    add("--m", type=features, default=1, help="hidden dimensions")
    add("--density", type=density, nargs=2, default=(0.01, 1.0), metavar=("LO", "HI"), help="range of p = 1 - S")
    add(
        "--importance",
        type=positive,
        nargs=2,
        default=(0.1, 10.0),
        metavar=("LO", "HI"),
        help="range of the extra feature's importance; the others have 1",
    )
    add("--resolution", type=count, default=10, help="cells per axis; both axes are logarithmic")
    add("--instances", type=count, default=defaults.instances, help="trained models per cell and seed")
    add("--steps", type=count, default=defaults.steps, help="gradient steps")
    add("--batch", type=count, default=defaults.batch, help="samples per step and model")
    add("--optimiser", default=defaults.optimiser, help="adam, adamw or sgd")
    add("--learning-rate", type=float, default=defaults.learning_rate, help="learning rate of the first step")
    add("--schedule", default=defaults.schedule, help="constant, linear or cosine")
    add("--model", default=None, help="relu, linear, relu_hidden or absolute; by default relu, with the decoder that "
        "--decoder says")  # fmt: skip
    add("--seed", type=non_negative_count, default=0, help="first seed")
    add("--seeds", type=count, default=1, help="number of seeds at which the grid is trained")
    add_variant(parser)
    parser.add_workers(default=1)
    add("--output", type=writable_directory, default=Path(), help="folder for the numbers")
    parser.add_overwrite()
    options = parser.parse_args(argv)
    densities, importances = (
        _logarithmic(name, getattr(options, name), options.resolution) for name in ("density", "importance")
    )
    target = options.output / f"sweep_n{options.n}_m{options.m}.nc"
    data = run_sweep(
        extra_feature_problem(options.n, options.m, densities[:, None], importances, variant_of(options)),
        target,
        seeds=range(options.seed, options.seed + options.seeds),
        workers=options.workers,
        overwrite=options.overwrite,
        instances=options.instances,
        steps=options.steps,
        batch=options.batch,
        optimiser=options.optimiser,
        learning_rate=options.learning_rate,
        schedule=options.schedule,
        model=options.model,
        snapshots=(options.steps,),
    )
    tell(f"{_table(data)}\n\n{_HINT}\n{target}")


def _table(data: "xr.Dataset") -> str:
    """How many models of every density were trained and diverged, and the lowest losses; one row if they are many."""
    density, runs = data["density"].values.max(1), data.sizes["instance"]
    finished = data["diverged_at"].values < 0
    low, high = data["importance"].values[:, -1].min(), data["importance"].values[:, -1].max()
    groups = [density == p for p in np.unique(density)]
    if len(groups) > _MOST_ROWS:
        groups = [np.ones(runs, dtype=bool)]
    lines = [
        f"importance of the last feature {low:g} to {high:g}; losses over held-out samples, summed over features",
        f"{'density':>18}{'problems':>10}{'models':>8}{'finished':>10}{'diverged':>10}{'lowest loss':>13}"
        f"{'highest':>10}",
    ]
    for here in groups:
        least, most = density[here].min(), density[here].max()
        loss = data["loss"].values[here & finished]
        told = [f"{end:.4g}" for end in (loss.min(), loss.max())] if len(loss) else ["–", "–"]
        lines.append(
            f"{f'{least:.4g}' if least == most else f'{least:.4g} to {most:.4g}':>18}"
            f"{len(np.unique(data['problem'].values[here])):>10}{here.sum():>8}{(here & finished).sum():>10}"
            f"{(here & ~finished).sum():>10}{told[0]:>13}{told[1]:>10}"
        )
    return "\n".join(lines)


def _logarithmic(name: str, bounds: tuple[float, float], resolution: int) -> Float[ndarray, " cells"]:
    low, high = bounds
    if low > high:
        raise ValueError(f"--{name} wants LO HI, the smaller first, got {low:g} {high:g}")
    return np.geomspace(low, high, resolution)


if __name__ == "__main__":
    run_command(main, _COMMAND)
