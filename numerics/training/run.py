"""Train many toy models on samples and give back what they learned as one labelled dataset."""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from numerics.sampling.draws import SPARSE_DENSITY
from numerics.training.initial import initial_parameters
from numerics.training.kernels import unstack
from numerics.training.settings import Settings, model_of, settled
from numerics.training.trajectory import Task, Trajectory, descend, segments, uses_columns
from theory.model.features import FeatureDistribution
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.terms import Terms
from theory.model.value_units import unit_law
from theory.tools.command import progress as progress_bar
from theory.tools.parallel import Workers, check_workers, spread
from theory.tools.seeds import seed_number
from theory.tools.storage import results_folder, save_result

__all__ = ["train"]

# Cells of one step's batches that are trained together: they fit a core's cache.
_CHUNK_CELLS = 100_000
_CHUNK_RUNS = 256
# Values are far from 1 beyond this factor.
_FAR = 100.0


def train(
    problem: Problem,
    instances: int | None = None,
    settings: Settings | None = None,
    init: str | ArrayLike | Sequence[ArrayLike] = "xavier",
    workers: Workers = 1,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
    on_divergence: str = "raise",
    overwrite: bool = False,
    **changes: Any,
) -> xr.Dataset:
    """
    Train toy models by gradient descent on fresh samples.

    Parameters
    ----------
    problem : Problem
        One problem, or a batch of them (leading axes of density or importance).
    instances : int, optional
        Models trained per problem, each from its own initial parameters and on its own samples; 8 by default.
    settings : Settings, optional
        How to train; by default 10 000 steps of Adam at a learning rate of 3e-3 that falls to 0 along a cosine, which
        ends within 1e-4 of a minimum of the loss for n = 5, m = 2, p = 0.05 (a constant 1e-3 within 2e-3).
    init : {"xavier", "small"} or array_like or tuple of array_like
        Initial weights: normal with standard deviation sqrt(2 / (n + m)), the Xavier rule for one model's
        matrix whatever the number of instances; normal with standard deviation 0.01; or the weights
        themselves, of shape (m, n), (instances, m, n) or (problems, instances, m, n), optionally as a tuple
        with the bias (..., n) and, for "absolute", the output weights (..., n, m). The bias starts at 0
        unless it is given.
    workers : int or str
        Processes to share the work, or the address of a Dask scheduler; the results do not depend on it.
    output : path, optional
        NetCDF file to write, complete or not at all.
    progress : bool
        Whether to show a bar on stderr (if that is a terminal and the work takes more than two seconds).
    on_divergence : {"raise", "record"}
        Whether a run that diverges is an error, or becomes NaN with its step in ``diverged_at``.
    overwrite : bool
        Whether ``output`` may replace a file.
    **changes
        Fields of ``Settings`` that differ: steps, seed, batch, optimiser, learning_rate, schedule, momentum,
        weight_decay, model, precision, snapshots.

    Returns
    -------
    xarray.Dataset
        ``W`` (instance, dimension, feature) and ``b`` (instance, feature), for "absolute" and untied decoders also
        ``W_out`` (instance, feature, dimension); ``loss`` and ``loss_standard_error`` (instance): a held-out estimate
        from 64 fresh batches of the loss, summed over features; ``loss_curve``, ``W_curve``, ``b_curve`` at
        the snapshots, the loss from 8 held-out batches that are the same at every snapshot; ``diverged_at``
        (instance), -1 where all went well; ``density`` and ``importance`` (instance, feature); coordinates
        ``problem`` and ``replicate`` (instance) and ``step`` (snapshot). Instances of the same problem are
        neighbours. All settings are attributes.

    Raises
    ------
    ValueError
        If a setting is out of its range or unknown, or given initial parameters do not fit.
    DivergenceError
        If a run diverges: its instance, step and learning rate.
    OSError
        If the output could not be written; found out before training.

    Examples
    --------
    >>> from theory import Problem
    >>> learned = train(Problem(n=2, m=1, density=0.1), instances=3, steps=20)
    >>> learned.W.sizes
    Frozen({'instance': 3, 'dimension': 1, 'feature': 2})
    """
    require_problem(problem)
    settings = settled(settings, {"instances": instances, **changes})
    settings = replace(settings, model=model_of(problem, settings.model))
    _tell_of_unit(problem)
    workers = check_workers(workers)
    if on_divergence not in ("raise", "record"):
        raise ValueError(f"on_divergence must be 'raise' or 'record', got {on_divergence!r}")
    target = None if output is None else Path(output)
    folder = nullcontext() if target is None else results_folder(target.parent, [target.name], overwrite)
    features, importance = _per_run(problem, settings.instances)
    theta = initial_parameters(problem, settings, init)
    tasks = _tasks(features, importance, theta, problem, settings, on_divergence == "record")
    with folder:
        trajectories = _run(tasks, workers, progress)
        dataset = _dataset(problem, settings, init, tasks, trajectories)
        if target is not None:
            save_result(dataset, target)
    return dataset


def _tell_of_unit(problem: Problem) -> None:
    """Learning rates suit values of the order of 1: with others biases are never learned, or runs diverge."""
    size = unit_law(problem.features.values)[1]
    if not 1 / _FAR < size < _FAR:
        warnings.warn(
            f"values are of size {size:.1g}, while learning rates and initial parameters suit values of about 1: "
            f"divide them, biases and noise by {size:.1g}, which divides losses by its square",
            UserWarning,
            stacklevel=3,
        )


def _per_run(problem: Problem, instances: int) -> tuple[FeatureDistribution, Float[ndarray, "runs n"]]:
    """Flatten the batch of problems and repeat each for its instances."""
    density = problem.features.density
    density = np.broadcast_to(density, (*problem.batch_shape, density.shape[-1]))
    rows = density.reshape(-1, density.shape[-1]).repeat(instances, axis=0)
    importance = problem.importance.reshape(-1, problem.n).repeat(instances, axis=0)
    return problem.features.with_density(rows), importance


def _tasks(
    features: FeatureDistribution,
    importance: Float[ndarray, "runs n"],
    theta: Float[ndarray, "runs rows n"],
    problem: Problem,
    settings: Settings,
    record: bool,
) -> list[Task]:
    """Cut the runs into chunks, in a way that does not depend on the number of workers."""

    def seed(purpose: int, chunk: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(seed_number(settings.seed), spawn_key=(purpose, chunk))

    return [
        Task(
            features=features.with_density(features.density[runs]),
            importance=importance[runs],
            theta=theta[runs],
            instance=runs,
            m=problem.m,
            seed=(seed(1, chunk), seed(2, chunk)),
            settings=settings,
            record=record,
            terms=problem.terms,
        )
        for chunk, runs in enumerate(_chunks(features, settings, problem.terms))
    ]


def _chunks(features: FeatureDistribution, settings: Settings, terms: Terms) -> list[Int[ndarray, " chunk"]]:
    """Group runs of similar density, so that a chunk's batches have similar numbers of non-empty samples."""
    highest = features.density.max(axis=1)
    sparse = features.independent & (highest <= SPARSE_DENSITY)
    cells = np.full(len(highest), float(settings.batch * (features.n + 1)))
    if uses_columns(features.n, settings.kind, terms):
        non_empty = 1 - np.prod(1 - features.feature_density, axis=1)
        cells[sparse] *= non_empty[sparse]
    order = np.argsort(highest, kind="stable")
    chunks = []
    for _, group in groupby(order, key=lambda run: bool(sparse[run])):
        runs = np.array(list(group))
        count = max(-(-len(runs) // _CHUNK_RUNS), -(-int(cells[runs].sum()) // _CHUNK_CELLS))
        chunks += [part for part in np.array_split(runs, min(count, len(runs))) if len(part)]
    return chunks


def _run(tasks: list[Task], workers: Workers, progress: bool) -> list[Trajectory]:
    """Work through the chunks, here or in other processes."""

    def bar(items: Iterable, total: int, label: str) -> Iterable:
        return progress_bar(items, total=total, label=label) if progress else items

    if workers == 1:
        # One bar over all chunks: each of them may be done in less than the two seconds after which a bar appears.
        total = len(tasks) * len(segments(tasks[0].settings))
        ticks = iter(bar(range(total), total, "training"))

        def watch(cut: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
            for segment in cut:
                next(ticks)
                yield segment

        trajectories = [descend(task, watch) for task in tasks]
        next(ticks, None)
        return trajectories
    return list(bar(spread(descend, [(task,) for task in tasks], workers), len(tasks), "training"))


def _dataset(
    problem: Problem,
    settings: Settings,
    init: object,
    tasks: list[Task],
    trajectories: list[Trajectory],
) -> xr.Dataset:
    """Put the runs back into their order and label the axes."""
    order = np.argsort(np.concatenate([task.instance for task in tasks]))

    def gathered(field: str, axis: int = 0) -> ndarray:
        parts = np.concatenate([getattr(t, field) for t in trajectories], axis=axis)
        return parts.take(order, axis=axis)

    features, importance = _per_run(problem, settings.instances)
    tied = settings.kind.tied
    final = unstack(gathered("theta"), problem.m, tied)
    course = unstack(gathered("snapshots", axis=1), problem.m, tied)
    inwards, outwards = ("instance", "dimension", "feature"), ("instance", "feature", "dimension")
    variables: dict[str, tuple[object, ndarray]] = {
        "W": (inwards, final.W),
        "b": (("instance", "feature"), final.b),
        "loss": ("instance", gathered("loss")),
        "loss_standard_error": ("instance", gathered("standard_error")),
        "diverged_at": ("instance", gathered("diverged_at")),
        "W_curve": (("snapshot", *inwards), course.W),
        "b_curve": (("snapshot", "instance", "feature"), course.b),
        "loss_curve": (("snapshot", "instance"), gathered("curve", axis=1)),
        "density": (("instance", "feature"), features.feature_density),
        "importance": (("instance", "feature"), importance),
    }
    if not tied:
        variables["W_out"] = (outwards, np.asarray(final.W_out))
        variables["W_out_curve"] = (("snapshot", *outwards), np.asarray(course.W_out))
    run = np.arange(len(importance))
    coordinates = {
        "problem": ("instance", run // settings.instances),
        "replicate": ("instance", run % settings.instances),
        "step": ("snapshot", np.array(settings.snapshots, dtype=int)),
    }
    attributes = settings.as_attributes() | {
        "n": problem.n,
        "m": problem.m,
        "batch_shape": json.dumps(problem.batch_shape),
        "features": problem.features.name,
        "sets": json.dumps(problem.features.sets),
        "values": problem.features.values.name,
        "terms": repr(problem.terms),
        "init": init if isinstance(init, str) else "given",
        "loss_definition": "mean over samples of sum_i importance_i (x_i - x'_i)^2, held-out samples"
        + ("" if problem.terms.plain else ", with the terms' penalties"),
    }
    return xr.Dataset(variables, coordinates, attributes)
