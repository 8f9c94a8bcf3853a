"""Train models of a problem and put them beside its exact theory, on samples, on the exact loss, or both ways."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from theory.model.requirements import require_problem
from theory.tools.parallel import Workers

if TYPE_CHECKING:
    import xarray as xr

    from numerics.training.settings import Settings
    from theory.model.problem import Problem

__all__ = ["LOSSES", "RATE", "STEPS", "compare_losses", "told", "train_and_judge"]

LOSSES = ("sampled", "population", "both")
# Settings that end within 0.1 % of a minimum in a third of the steps of the trainer's own defaults.
STEPS, RATE = 3000, 1e-2


def train_and_judge(
    problem: "Problem",
    instances: int | None = None,
    settings: "Settings | None" = None,
    loss: str = "sampled",
    workers: Workers = 1,
    progress: bool = True,
    **changes: Any,
) -> "xr.Dataset":
    """
    Train models of a problem, and put them beside its exact theory.

    Parameters
    ----------
    problem : Problem
        A single problem.
    instances : int, optional
        Models to train; 8 by default.
    settings : Settings, optional
        How to train; by default 3000 steps of Adam from a learning rate of 1e-2 on.
    loss : {"sampled", "population"}
        Train on samples, or on the exact loss (where the batch does not matter).
    workers : int or str
        Processes, or the address of a Dask scheduler; results do not depend on it.
    progress : bool
        Whether to show bars on stderr (if that is a terminal and the work takes more than two seconds).
    **changes
        Fields of ``Settings`` that differ.

    Returns
    -------
    xarray.Dataset
        As ``numerics.agreement.verdicts.judge`` gives it; the settings are attributes.

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
    from numerics.agreement.exact_descent import train_exactly
    from numerics.agreement.verdicts import judge
    from numerics.training.run import train
    from numerics.training.settings import settled

    require_problem(problem)
    if problem.batch_shape:
        raise ValueError(f"train_and_judge takes a single problem, got a batch of shape {problem.batch_shape}")
    if loss not in LOSSES[:2]:
        raise ValueError(f"loss must be 'sampled' or 'population', got {loss!r}")
    settings = settled(settings, {"instances": instances, **changes}, steps=STEPS, learning_rate=RATE)
    if loss == "population":
        learned = train_exactly(problem, settings=settings, workers=workers, progress=progress)
    else:
        learned = train(problem, settings=replace(settings, snapshots=()), workers=workers, progress=progress)
    decoder = learned["W_out"].values if "W_out" in learned else None
    data = judge(problem, learned["W"].values, learned["b"].values, settings.seed, W_out=decoder, progress=progress)
    return data.assign_attrs(told(settings), loss=loss)


def told(settings: "Settings") -> dict[str, Any]:
    """
    Give the settings that the tables of agreement name.

    Parameters
    ----------
    settings : Settings
        How models were trained.

    Returns
    -------
    dict from str to object
        Plain numbers and strings.
    """
    names = ("steps", "batch", "optimiser", "learning_rate", "schedule", "seed")
    return {name: getattr(settings, name) for name in names}


def compare_losses(
    problem: "Problem", instances: int | None = None, **settings: Any
) -> "tuple[xr.Dataset, xr.Dataset]":
    """
    Train from the same initial parameters on samples and on the exact loss.

    Parameters
    ----------
    problem : Problem
        A single problem.
    instances : int, optional
        Runs; 8 by default.
    **settings
        As for ``train_and_judge``.

    Returns
    -------
    sampled, exact : xarray.Dataset
        As ``train_and_judge`` gives them; runs of the same number start from the same parameters.

    Examples
    --------
    >>> import numerics
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> sampled, exact = numerics.compare_losses(problem, instances=2, steps=20, learning_rate=0.01)
    >>> sampled.sizes["instance"]
    2
    """
    sampled, exact = (train_and_judge(problem, instances, loss=loss, **settings) for loss in ("sampled", "population"))
    return sampled, exact
