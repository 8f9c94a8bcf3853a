"""Train models of a problem and put them beside its exact theory, on samples, on the exact loss, or both ways."""

from typing import TYPE_CHECKING, Any

from theory.tools.parallel import Workers

if TYPE_CHECKING:
    import xarray as xr

    from theory.model.problem import Problem

__all__ = ["LOSSES", "RATE", "STEPS", "compare_losses", "train_and_judge"]

LOSSES = ("sampled", "population", "both")
# Settings that end within 0.1 % of a minimum in a third of the steps of the trainer's own defaults.
STEPS, RATE = 3000, 1e-2


def train_and_judge(
    problem: "Problem",
    instances: int = 8,
    steps: int = STEPS,
    seed: int = 0,
    batch: int = 1024,
    optimiser: str = "adam",
    learning_rate: float = RATE,
    schedule: str = "cosine",
    loss: str = "sampled",
    workers: Workers = 1,
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
    workers : int or str
        Processes, or the address of a Dask scheduler; results do not depend on it.
    progress : bool
        Whether to show bars on stderr (if that is a terminal and the work takes more than two seconds).

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

    if problem.batch_shape:
        raise ValueError(f"train_and_judge takes a single problem, got a batch of shape {problem.batch_shape}")
    if loss not in LOSSES[:2]:
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
