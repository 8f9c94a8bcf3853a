"""Gradient descent on the exact loss: the trainer without its sampling noise.

The same optimisers, schedules and initial parameters as ``numerics.train``, with the gradient of the population loss
where that has the gradient of a batch. What differs between the two is the noise, and nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from numerics.agreement.references import exact_losses
from numerics.training.constraints import Held
from numerics.training.descent import learning_rates, make_optimiser
from numerics.training.initial import initial_parameters as stacked_parameters
from numerics.training.kernels import unstack
from numerics.training.settings import Settings, log_spaced, model_of, settled
from theory.loss.enumeration import max_features
from theory.loss.objective import Objective
from theory.loss.population import output_errors
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.values import UNIFORM
from theory.optimum.local_minima import searching_errors
from theory.tools.command import progress as progress_bar
from theory.tools.parallel import Workers, spread
from theory.tools.seeds import Seed

__all__ = ["descend_exactly", "initial_parameters", "train_exactly"]

# Runs that descend together: enough to share the cost of a step, few enough to stay in the cache. Fixed, so that
# results do not depend on the number of workers.
_CHUNK = 128
# Nodes where the loss is not enumerated: an error of 3e-4 of the loss or less, almost the same at all steps.
_NODES = 96
# Accuracy of the losses of problems with noise or an L1 penalty.
_RTOL = 1e-7
# A run whose loss exceeds its first one by this factor is leaving for infinity.
_DIVERGED = 1e3


def initial_parameters(
    problem: Problem, instances: int = 8, seed: Seed = 0, init: str = "xavier"
) -> tuple[Float[ndarray, "runs m n"], Float[ndarray, "runs n"], Float[ndarray, "runs n m"] | None]:
    """
    Give the initial parameters that ``numerics.train`` starts from with the same arguments.

    Parameters
    ----------
    problem : Problem
        One problem or a batch of them.
    instances : int
        Runs per problem.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed.
    init : {"xavier", "small"}
        Rule for the initial weights.

    Returns
    -------
    W : ndarray, shape (runs, m, n)
        Weights.
    b : ndarray, shape (runs, n)
        Biases: zero, or what the problem gives.
    W_out : ndarray, shape (runs, n, m), or None
        Decoders, where the problem's terms make them free.
    """
    settings = Settings(instances=instances, seed=seed, model=model_of(problem, None))
    start = unstack(stacked_parameters(problem, settings, init), problem.m, problem.terms.tied)
    return start.W, start.b, start.W_out


def train_exactly(
    problem: Problem,
    instances: int | None = None,
    settings: Settings | None = None,
    init: str = "xavier",
    workers: Workers = 1,
    progress: bool = True,
    **changes: Any,
) -> xr.Dataset:
    """
    Train toy models by gradient descent on the exact population loss.

    Parameters
    ----------
    problem : Problem
        One problem or a batch of them.
    instances : int, optional
        Models trained per problem; 8 by default.
    settings : Settings, optional
        How to train: steps, seed (of the initial parameters, which are those of ``numerics.train`` with this seed;
        nothing else is random), optimiser, learning rate and schedule; the rest does not matter. By default 3000 steps
        of Adam from a learning rate of 1e-2 on.
    init : {"xavier", "small"}
        Rule for the initial weights.
    workers : int or str
        Processes to share the work, or the address of a Dask scheduler; results do not depend on it.
    progress : bool
        Whether to show a bar on stderr (if that is a terminal and the work takes more than two seconds).
    **changes
        Fields of ``Settings`` that differ.

    Returns
    -------
    xarray.Dataset
        ``W`` (instance, dimension, feature), ``b`` (instance, feature), where the decoder is free ``W_out`` (instance,
        feature, dimension); ``loss`` (instance): the exact loss with all terms, summed over features; ``loss_curve``
        (snapshot, instance); ``diverged_at`` (instance), -1 where all went well, else the step, and NaN in the rest.
        Settings are attributes.

    Raises
    ------
    ValueError
        If a setting is out of its range or unknown.

    Examples
    --------
    >>> learned = train_exactly(Problem(n=2, m=1, density=0.1), instances=3, steps=20)
    >>> learned.W.sizes
    Frozen({'instance': 3, 'dimension': 1, 'feature': 2})
    """
    require_problem(problem)
    settings = settled(settings, {"instances": instances, **changes}, steps=3000, learning_rate=1e-2)
    settings = replace(settings, precision="float64")
    W, b, W_out = initial_parameters(problem, settings.instances, settings.seed, init)
    runs = problem.repeated(settings.instances)
    return descend_exactly(runs, W, b, settings, workers, progress, W_out).assign_coords(
        problem=("instance", np.arange(len(W)) // settings.instances),
        replicate=("instance", np.arange(len(W)) % settings.instances),
    )


def descend_exactly(
    problem: Problem,
    W: Float[ndarray, "runs m n"],
    b: Float[ndarray, "runs n"],
    settings: Settings,
    workers: Workers = 1,
    progress: bool = True,
    W_out: Float[ndarray, "runs n m"] | None = None,
) -> xr.Dataset:
    """
    Descend on the exact loss from given initial parameters.

    Parameters
    ----------
    problem : Problem
        A batch with one problem per run.
    W : ndarray, shape (runs, m, n)
        Initial weights.
    b : ndarray, shape (runs, n)
        Initial biases.
    settings : Settings
        Steps, optimiser, learning rate and schedule; the rest does not matter.
    workers : int or str
        Processes, or the address of a Dask scheduler.
    progress : bool
        Whether to show a bar.
    W_out : ndarray, shape (runs, n, m), optional
        Initial decoders, where the problem's terms make them free.

    Returns
    -------
    xarray.Dataset
        As described in ``train_exactly``.
    """
    chunks = [np.arange(k, min(k + _CHUNK, len(W))) for k in range(0, len(W), _CHUNK)]
    jobs = [
        (problem.take(rows), W[rows], b[rows], settings, W_out if W_out is None else W_out[rows]) for rows in chunks
    ]
    done = spread(_descend, jobs, workers)
    parts = list(progress_bar(done, total=len(chunks), label="descending") if progress else done)
    theta, curve, diverged = (np.concatenate([part[k] for part in parts], axis=1 if k == 1 else 0) for k in range(3))
    final = unstack(theta, problem.m, problem.terms.tied)
    loss = np.full(len(W), np.nan)
    well = np.flatnonzero(diverged < 0)
    decoder = None if final.W_out is None else final.W_out[well]
    loss[well] = exact_losses(problem.take(well), final.W[well], final.b[well], decoder)
    more = {} if final.W_out is None else {"W_out": (("instance", "feature", "dimension"), final.W_out)}
    return xr.Dataset(
        {
            "W": (("instance", "dimension", "feature"), final.W),
            "b": (("instance", "feature"), final.b),
            **more,
            "loss": ("instance", loss),
            "loss_curve": (("snapshot", "instance"), curve),
            "diverged_at": ("instance", diverged),
        },
        coords={"step": ("snapshot", log_spaced(settings.steps))},
        attrs={
            "steps": settings.steps,
            "seed": settings.seed,
            "optimiser": settings.optimiser,
            "learning_rate": settings.learning_rate,
            "schedule": settings.schedule,
            "loss_definition": "exact E sum_i importance_i (x_i - x'_i)^2"
            + ("" if problem.terms.plain else ", with the terms' penalties"),
            "terms": repr(problem.terms),
        },
    )


def _descend(
    problem: Problem, W: ndarray, b: ndarray, settings: Settings, W_out: ndarray | None = None
) -> tuple[ndarray, ndarray, ndarray]:
    """Run one chunk: final parameters (runs, rows, n), losses on the way, and the steps at which runs diverged."""
    runs, n = b.shape
    decoders = [] if W_out is None else [W_out.swapaxes(1, 2)]
    theta = np.concatenate([W, *decoders, b[:, None]], axis=1).reshape(runs, -1)
    slopes, held = _slopes(problem), Held(problem.terms, problem.m, n)
    optimiser = make_optimiser(settings.optimiser, theta.size, theta.dtype, settings.momentum, settings.weight_decay)
    wanted: Sequence[int] = log_spaced(settings.steps).tolist()
    curve, diverged = [], np.full(runs, -1)
    bound = np.full(runs, np.inf)
    rates = learning_rates(settings.schedule, settings.learning_rate, settings.steps)
    for step in range(settings.steps + 1):
        loss, gradient = slopes(theta)
        if step == 0:
            bound = _DIVERGED * np.maximum(loss, problem.zero_loss)
        lost = ~(loss <= bound) | ~np.isfinite(gradient).all(1)
        if lost.any():  # parked at zero, where their values do not disturb the others
            diverged[lost & (diverged < 0)] = step
            theta[lost] = gradient[lost] = 0
            optimiser.reset(np.repeat(lost, theta.shape[1]))
        if step in wanted:
            curve.append(np.where(diverged < 0, loss, np.nan))
        if step < settings.steps:
            optimiser.step(theta.reshape(-1), gradient.reshape(-1), float(rates[step]))
            if not held.idle:
                held.hold(theta.reshape(runs, -1, n))
    theta[diverged >= 0] = np.nan
    return theta.reshape(runs, -1, n), np.array(curve), diverged


def _slopes(problem: Problem) -> Callable[[ndarray], tuple[ndarray, ndarray]]:
    """Losses and gradients of parameters, one problem per run."""
    m, n = problem.m, problem.n
    if not problem.terms.plain:
        objective = Objective(problem, rtol=_RTOL)
        return lambda theta: objective(theta, np.arange(len(theta)))
    nodes = None if n <= max_features(problem.features.values) else _NODES
    engine = nodes is not None and problem.features.values != UNIFORM

    def plain(theta: ndarray) -> tuple[ndarray, ndarray]:
        V, c = theta[:, : m * n].reshape(-1, m, n), theta[:, m * n :]
        G = V.swapaxes(-1, -2) @ V
        errors = searching_errors(G, c, problem) if engine else output_errors(G, c, problem, nodes=nodes)
        loss, dV, dc = errors.pull_back(V, problem.importance)
        return loss, np.concatenate([dV.reshape(len(theta), -1), dc], axis=1)

    return plain
