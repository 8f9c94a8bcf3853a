"""Theory against learned solutions: the one place where both meet.

``python -m numerics.agreement --n 5 --m 2 --density 0.05`` trains models and puts them beside the exact theory;
``--weights FILE`` judges models that were trained elsewhere; ``--grid`` compares the phase diagram of an extra feature
with a learned one. ``--loss population`` trains on the exact loss, ``--loss both`` both ways from the same initial
parameters.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerics.agreement.compare import LOSSES, RATE, STEPS, compare_losses, train_and_judge
from numerics.agreement.weights import LAYOUTS
from numerics.training.settings import Settings
from theory.model.variant import add_variant, variant_of
from theory.tools.arguments import count, density, features, non_negative_count, positive, writable_directory
from theory.tools.command import Parser, run_command, tell

if TYPE_CHECKING:
    import xarray as xr

    from numerics.agreement.instances import GivenModels
    from theory.model.problem import Problem

__all__ = ["main"]

_COMMAND = "python -m numerics.agreement"
_RESOLUTION = 30
_DENSITY = 0.05
PER = ("feature", "instance")
_Work = Callable[[], "tuple[xr.Dataset, str]"]


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command ``python -m numerics.agreement``.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    options = _parser().parse_args(argv)
    _check(options)
    Settings(**_training(options), instances=options.instances)  # refuses what is out of range before any work
    work = (_grid if options.grid else _trained if options.weights is None else _weights)(options)
    from theory.tools.storage import results_folder, save_result

    stem = "agreement_grid" if options.grid else "agreement_weights" if options.weights else "agreement"
    name, saving = f"{stem}_n{options.n}_m{options.m}.nc", options.output is not None
    names = [
        name,
        *(f"{Path(name).stem}_report.{end}" for end in ("html", "png", "svg", "csv", "nc") if options.weights),
    ]
    with results_folder(options.output, names, options.overwrite, _COMMAND) if saving else nullcontext() as folder:
        data, text = work()
        if folder is not None:
            save_result(data.assign_attrs(made_by=_COMMAND), folder / name)
            text = f"{text}\n\n{folder / name}"
            if options.weights is not None:
                text += "".join(f"\n{path}" for path in _save_report(options, data, folder, Path(name).stem))
    tell(text)


def _parser() -> Parser:
    parser = Parser("Theory against learned solutions.", prog=_COMMAND)
    add = parser.add_argument
    add("--n", type=features, default=5, help="features")
    add("--m", type=features, default=2, help="hidden dimensions")
    add("--density", type=density, nargs="+", default=None, metavar="P", help="p = 1 - S, for all or one per feature "
        f"(default: {_DENSITY:g})")  # fmt: skip
    add(
        "--importance", type=positive, nargs="+", default=[1.0], metavar="I", help="for all features or one per feature"
    )
    add("--decay", type=positive, default=1.0, help="importances fall by this factor from feature to feature (for "
        "that of weights see --weight-decay)")  # fmt: skip
    add("--densities", type=density, nargs="+", default=None, metavar="P", help="with --weights: one density for each "
        "of the file's models; instead of --density")  # fmt: skip
    add("--per", choices=PER, default=None, help="with --weights: what a list of densities or importances runs over, "
        "where the numbers of features and of models are the same")  # fmt: skip
    add("--weights", type=Path, default=None, metavar="FILE", help="judge the models of a .npz, .npy, .safetensors, "
        ".pt, .pth or .ckpt file: W as (m, n) or (n, m), or with a leading axis of instances; b as (n,) or one per "
        "instance, or the best for that W if it holds none")  # fmt: skip
    add("--layout", choices=LAYOUTS, default=None, help="with --weights: whether W is (m, n) or (n, m), where n = m")
    add("--names", nargs="+", default=[], metavar="KEY=NAME", help="with --weights: what W, b and W_out are called in "
        "the file, such as W=model.embed; by default the usual names are looked for")  # fmt: skip
    add("--grid", action="store_true", help="the phase diagram of an extra feature, density 0.01 to 1 against relative "
        "importance 0.1 to 10; --density and --importance do not apply")  # fmt: skip
    add("--resolution", type=count, default=_RESOLUTION, help="cells per axis of the grid")
    add("--instances", type=count, default=8, help="models to train, per cell where there is a grid")
    add("--loss", choices=LOSSES, default="sampled", help="train on samples, on the exact population loss, or both "
        "ways from the same initial parameters")  # fmt: skip
    add("--steps", type=count, default=STEPS, help="gradient steps")
    add("--batch", type=count, default=1024, help="samples per step and model")
    add("--optimiser", default="adam", help="adam, adamw or sgd")
    add("--learning-rate", type=float, default=RATE, help="learning rate of the first step")
    add("--schedule", default="cosine", help="constant, linear or cosine")
    add("--seed", type=non_negative_count, default=0, help="seed of training and search")
    add_variant(parser)
    parser.add_workers()
    add("--output", type=writable_directory, default=None, help="folder for the numbers; nothing is saved without it")
    parser.add_overwrite()
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse options that would not be heard, and fill in the density."""
    if options.weights is None:
        for name in ("densities", "per", "layout", "names"):
            if getattr(options, name):
                raise ValueError(f"--{name} says how models of a file are read: give the file with --weights")
    if options.densities and options.density:
        raise ValueError(
            "--densities is one for each model, --density one for all or one per feature: give one of them"
        )
    options.density = options.density or [_DENSITY]


def _training(options: argparse.Namespace) -> dict[str, Any]:
    names = ("steps", "seed", "batch", "optimiser", "learning_rate", "schedule")
    return {name: getattr(options, name) for name in names}


def _problem(options: argparse.Namespace) -> "Problem":
    p, weight = (_per_feature(name, getattr(options, name), options.n) for name in ("density", "importance"))
    importance = weight * options.decay ** np.arange(options.n)
    return variant_of(options).problem(options.n, options.m, p, importance)


def _per_feature(name: str, values: list[float], n: int) -> np.ndarray:
    if len(values) not in (1, n):
        raise ValueError(f"--{name} wants one number, or one for each of the {n} features, got {len(values)}")
    return np.broadcast_to(values, n).astype(float)


def _grid(options: argparse.Namespace) -> _Work:
    from numerics.agreement.phases import AXES, phase_agreement
    from numerics.agreement.tables import describe_grid
    from theory.phase_diagram.diagram import check_axes

    if options.loss == "both":
        raise ValueError("--loss both compares runs of one problem; with --grid choose sampled or population")
    if options.weights is not None:
        raise ValueError("--weights judges models of one problem; leave out --grid")
    check_axes(options.n, options.m, options.resolution, *AXES)
    variant = variant_of(options)
    variant.check(options.n, AXES[0][1])

    def work() -> "tuple[xr.Dataset, str]":
        data = phase_agreement(
            options.n,
            options.m,
            options.resolution,
            options.instances,
            loss=options.loss,
            workers=options.workers,
            variant=variant,
            **_training(options),
        )
        return data, describe_grid(data)

    return work


def _weights(options: argparse.Namespace) -> _Work:
    from numerics.agreement.instances import judge_each

    given = _given(options)

    def work() -> "tuple[xr.Dataset, str]":
        data, text = judge_each(given, options.seed)
        return data, f"{options.weights}\n{text}"

    return work


def _given(options: argparse.Namespace) -> "GivenModels":
    from numerics.agreement.instances import given_models

    return given_models(
        options.weights,
        options.n,
        options.m,
        options.densities or options.density,
        options.importance,
        options.decay,
        "instance" if options.densities else options.per,
        options.layout,
        _names(options.names),
        variant_of(options),
    )


def _save_report(options: argparse.Namespace, data: "xr.Dataset", folder: Path, stem: str) -> list[Path]:
    """Write the page, picture and table beside the numbers."""
    from theory.search.model_report import report

    problems = list(_given(options).problems)
    decoders = data["W_out"].values if "W_out" in data else None
    found = report(data["W"].values, data["b"].values, problems, decoders, seed=options.seed)
    # The biases are the report's own where the file holds none: they are not sought twice.
    told = replace(found, data=found.data.assign_attrs(best_bias=data.attrs["best_bias"]))
    return told.save(folder, f"{stem}_report")


def _names(pairs: list[str]) -> dict[str, str]:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"--names wants pairs such as W=model.embed, got {wrong[0]!r}")
    return dict(pair.split("=", 1) for pair in pairs)


def _trained(options: argparse.Namespace) -> _Work:
    from numerics.agreement.tables import describe_comparison, describe_runs

    problem, settings = _problem(options), {**_training(options), "workers": options.workers}

    def work() -> "tuple[xr.Dataset, str]":
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

    return work


if __name__ == "__main__":
    run_command(main, _COMMAND)
