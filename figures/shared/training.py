"""Training as the figures do it: one recipe of a figure's own, the paper's beside it, and arrays by problem and run."""

from figures.shared.script import Settings

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from numerics import train
from theory import Problem

__all__ = ["PAPER_RECIPE", "Trained", "trained"]

# How the paper trains; initial weights are Xavier's, which is the trainer's default.
PAPER_RECIPE: Mapping[str, Any] = {
    "optimiser": "adamw", "learning_rate": 1e-3, "schedule": "constant", "steps": 10_000, "batch": 1024,
}  # fmt: skip


class Trained(NamedTuple):
    """
    What training gave, in double precision.

    Attributes
    ----------
    W : ndarray, shape (problems, instances, m, n)
        Embeddings.
    b : ndarray, shape (problems, instances, n)
        Biases.
    loss : ndarray, shape (problems, instances)
        Held-out estimates.
    """

    W: ndarray
    b: ndarray
    loss: ndarray

    @property
    def best(self) -> tuple[ndarray, ndarray]:
        """W and b of each problem's instance with the lowest loss."""
        rows = np.arange(len(self.loss)), self.loss.argmin(1)
        return self.W[rows], self.b[rows]


def trained(problem: Problem, instances: int, settings: Settings, **recipe: Any) -> Trained:
    """
    Train models of one or several problems.

    Parameters
    ----------
    problem : Problem
        One problem, or a batch with one leading axis.
    instances : int
        Models per problem.
    settings : Settings
        Seed and workers.
    **recipe
        What ``numerics.train`` takes: steps, learning_rate, model, ...

    Returns
    -------
    Trained
        Weights and losses.

    Raises
    ------
    ValueError
        If the trainer refuses the recipe.
    """
    learned = train(problem, instances, seed=settings.seed, workers=settings.workers, **{"snapshots": (), **recipe})
    W, b, loss = (learned[name].values.astype(float) for name in ("W", "b", "loss"))
    return Trained(*(a.reshape(-1, instances, *a.shape[1:]) for a in (W, b, loss)))
