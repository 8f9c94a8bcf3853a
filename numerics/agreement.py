"""Theory against learned solutions: the one place where both meet.

``python -m numerics.agreement --n 5 --m 2 --density 0.05`` trains models and puts them beside the exact theory;
``--weights FILE`` judges models that were trained elsewhere; ``--grid`` compares the phase diagram of an extra feature
with a learned one. ``--loss population`` trains on the exact loss, ``--loss both`` both ways from the same initial
parameters.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerics.settings import Settings, check_workers
from theory.command import (
    Parser,
    count,
    density,
    make_folder,
    non_negative_count,
    positive,
    run_command,
    writable_directory,
)

if TYPE_CHECKING:
    import xarray as xr

    from theory.problem import Problem

__all__ = ["compare_losses", "main", "train_and_judge"]

_LOSSES = ("sampled", "population", "both")
# Settings that end within 0.1 % of a minimum in a third of the steps of the trainer's own defaults.
_STEPS, _RATE = 3000, 1e-2
_RESOLUTION = 30


def train_and_judge(
    problem: "Problem",
    instances: int = 8,
    steps: int = _STEPS,
    seed: int = 0,
    batch: int = 1024,
    optimiser: str = "adam",
    learning_rate: float = _RATE,
    schedule: str = "cosine",
    loss: str = "sampled",
    workers: int = 1,
    progress: bool = True,
) -> "xr.Dataset":
    """
    Train models of a problem, and put them beside its exact theory.

    Parameters
    ----------
    problem : Problem
        A single problem.
    instances : int
        Models to train.
    steps, seed, batch, optimiser, learning_rate, schedule : optional
        How to train, as for ``numerics.train``.
    loss : {"sampled", "population"}
        Train on samples, or on the exact loss (where the batch does not matter).
    workers : int
        Processes; results do not depend on it.
    progress : bool
        Whether to show bars on stderr (if that is a terminal and the work takes more than two seconds).

    Returns
    -------
    xarray.Dataset
        As ``numerics.agreement_runs.judge`` gives it; the settings are attributes.

    Raises
    ------
    ValueError
        If a setting is out of its range or unknown, or the problem is a batch.

    Examples
    --------
    >>> from theory import Problem
    >>> data = train_and_judge(Problem(n=2, m=1, density=0.1), instances=2, steps=400)
    >>> data.attrs["optimum_geometry"], data.sizes["instance"]
    ('digon', 2)
    """
    from numerics.agreement_descent import train_exactly
    from numerics.agreement_runs import judge
    from numerics.training import train

    if problem.batch_shape:
        raise ValueError(f"train_and_judge takes a single problem, got a batch of shape {problem.batch_shape}")
    if loss not in _LOSSES[:2]:
        raise ValueError(f"loss must be 'sampled' or 'population', got {loss!r}")
    shared: dict[str, Any] = {"steps": steps, "seed": seed, "optimiser": optimiser, "learning_rate": learning_rate}
    shared |= {"schedule": schedule, "workers": workers, "progress": progress}
    if loss == "population":
        learned = train_exactly(problem, instances, **shared)
    else:
        learned = train(problem, instances, batch=batch, snapshots=(), **shared)
    data = judge(problem, learned["W"].values, learned["b"].values, seed)
    settings = {"steps": steps, "batch": batch, "optimiser": optimiser, "learning_rate": learning_rate}
    return data.assign_attrs(settings, schedule=schedule, seed=seed, loss=loss)


def compare_losses(problem: "Problem", instances: int = 8, **settings: Any) -> "tuple[xr.Dataset, xr.Dataset]":
    """
    Train from the same initial parameters on samples and on the exact loss.

    Parameters
    ----------
    problem : Problem
        A single problem.
    instances : int
        Runs.
    **settings
        As for ``train_and_judge``.

    Returns
    -------
    sampled, exact : xarray.Dataset
        As ``train_and_judge`` gives them; runs of the same number start from the same parameters.
    """
    sampled, exact = (train_and_judge(problem, instances, loss=loss, **settings) for loss in ("sampled", "population"))
    return sampled, exact


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command ``python -m numerics.agreement``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    options = _parser().parse_args(argv)
    if options.output is not None:
        make_folder(options.output)  # before the work, lest it be in vain
    Settings(**_training(options), instances=options.instances)  # refuses what is out of range before any work
    check_workers(options.workers)
    if options.grid:
        data, text = _grid(options)
    elif options.weights is not None:
        data, text = _weights(options)
    else:
        data, text = _trained(options)
    print(text)  # noqa: T201
    if options.output is not None:
        from theory.storage import save

        stem = "agreement_grid" if options.grid else "agreement_weights" if options.weights else "agreement"
        target = options.output / f"{stem}_n{options.n}_m{options.m}.nc"
        save(data, target)
        print(f"\n{target}")  # noqa: T201


def _parser() -> Parser:
    parser = Parser("Theory against learned solutions.", prog="python -m numerics.agreement")
    add = parser.add_argument
    add("--n", type=count, default=5, help="features")
    add("--m", type=count, default=2, help="hidden dimensions")
    add("--density", type=density, nargs="+", default=[0.05], metavar="P", help="p = 1 - S, for all or one per feature")
    add(
        "--importance", type=positive, nargs="+", default=[1.0], metavar="I", help="for all features or one per feature"
    )
    add("--decay", type=positive, default=1.0, help="importances fall by this factor from feature to feature")
    add("--weights", type=Path, default=None, metavar="FILE", help="judge the models of a .npz or .npy file: W as (m, "
        "n), (n, m), or with a leading axis of instances; b as (n,), or zero if it holds none")  # fmt: skip
    add("--grid", action="store_true", help="the phase diagram of an extra feature, density 0.01 to 1 against relative "
        "importance 0.1 to 10; --density and --importance do not apply")  # fmt: skip
    add("--resolution", type=count, default=_RESOLUTION, help="cells per axis of the grid")
    add("--instances", type=count, default=8, help="models to train, per cell where there is a grid")
    add("--loss", choices=_LOSSES, default="sampled", help="train on samples, on the exact population loss, or both "
        "ways from the same initial parameters")  # fmt: skip
    add("--steps", type=count, default=_STEPS, help="gradient steps")
    add("--batch", type=count, default=1024, help="samples per step and model")
    add("--optimiser", default="adam", help="adam, adamw or sgd")
    add("--learning-rate", type=float, default=_RATE, help="learning rate of the first step")
    add("--schedule", default="cosine", help="constant, linear or cosine")
    add("--seed", type=non_negative_count, default=0, help="seed of training and search")
    add("--workers", type=count, default=2, help="processes")
    add("--output", type=writable_directory, default=None, help="folder for the numbers; nothing is saved without it")
    return parser


def _training(options: argparse.Namespace) -> dict[str, Any]:
    names = ("steps", "seed", "batch", "optimiser", "learning_rate", "schedule")
    return {name: getattr(options, name) for name in names}


def _problem(options: argparse.Namespace) -> "Problem":
    from theory.problem import Problem

    p, weight = (_per_feature(name, getattr(options, name), options.n) for name in ("density", "importance"))
    return Problem(n=options.n, m=options.m, density=p, importance=weight * options.decay ** np.arange(options.n))


def _per_feature(name: str, values: list[float], n: int) -> np.ndarray:
    if len(values) not in (1, n):
        raise ValueError(f"--{name} wants one number, or one for each of the {n} features, got {len(values)}")
    return np.broadcast_to(values, n).astype(float)


def _grid(options: argparse.Namespace) -> "tuple[xr.Dataset, str]":
    from numerics.agreement_grid import phase_agreement
    from numerics.agreement_tables import describe_grid

    if options.loss == "both":
        raise ValueError("--loss both compares runs of one problem; with --grid choose sampled or population")
    if options.weights is not None:
        raise ValueError("--weights judges models of one problem; leave out --grid")
    data = phase_agreement(
        options.n,
        options.m,
        options.resolution,
        options.instances,
        loss=options.loss,
        workers=options.workers,
        **_training(options),
    )
    return data, describe_grid(data)


def _weights(options: argparse.Namespace) -> "tuple[xr.Dataset, str]":
    from numerics.agreement_runs import judge
    from numerics.agreement_tables import describe_runs
    from numerics.agreement_weights import read_weights

    W, b = read_weights(options.weights, options.n, options.m)
    data = judge(_problem(options), W, b, options.seed)
    note = "" if b.any() else "\nall biases are zero, or the file holds none"
    return data, f"{options.weights}{note}\n{describe_runs(data)}"


def _trained(options: argparse.Namespace) -> "tuple[xr.Dataset, str]":
    from numerics.agreement_tables import describe_comparison, describe_runs

    problem, settings = _problem(options), {**_training(options), "workers": options.workers}
    if options.loss != "both":
        data = train_and_judge(problem, options.instances, loss=options.loss, **settings)
        return data, describe_runs(data)
    import xarray as xr

    sampled, exact = compare_losses(problem, options.instances, **settings)
    text = f"{describe_runs(sampled)}\n\n{describe_comparison(sampled, exact)}"
    ways = ["sampled", "population"]
    per_run = [data.drop_vars(["branch_loss", "branch"]) for data in (sampled, exact)]
    both = xr.concat(per_run, dim="training", combine_attrs="drop_conflicts").assign_coords(training=ways)
    return both.assign_attrs(loss="both"), text


if __name__ == "__main__":
    run_command(main, "python -m numerics.agreement")
