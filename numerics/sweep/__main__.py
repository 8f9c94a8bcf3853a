"""Train a grid of problems, piece by piece, so that an interrupted sweep continues where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from numerics.sweep.grid import run_sweep
from numerics.training.settings import Settings
from theory.model.extra_feature import extra_feature_problem
from theory.model.variant import add_variant, variant_of
from theory.tools.arguments import count, density, features, non_negative_count, positive, writable_directory
from theory.tools.command import Parser, run_command, tell

__all__ = ["main"]

_COMMAND = "python -m numerics.sweep"


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
    run_sweep(
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
    tell(target)


def _logarithmic(name: str, bounds: tuple[float, float], resolution: int) -> Float[ndarray, " cells"]:
    low, high = bounds
    if low > high:
        raise ValueError(f"--{name} wants LO HI, the smaller first, got {low:g} {high:g}")
    return np.geomspace(low, high, resolution)


if __name__ == "__main__":
    run_command(main, _COMMAND)
