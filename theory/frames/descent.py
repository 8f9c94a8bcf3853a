"""Even frames that exist: the exact loss minimised from random directions, as a check of the prediction from above."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize

from theory.frames.prediction import even_frame
from theory.loss.certified import loss_estimate
from theory.model.problem import Problem
from theory.model.values import ValueLaw
from theory.tools.seeds import Seed, generator

__all__ = ["DescendedFrame", "descend_frame"]

# Accuracy of the losses on the way, and of the last.
_ACCURACY, _FINAL = 1e-5, 1e-7


@dataclass(frozen=True, eq=False)
class DescendedFrame:
    """
    A local minimum of the exact loss of k features in m dimensions.

    Attributes
    ----------
    W : ndarray, shape (m, k)
        Embedding.
    b : ndarray, shape (k,)
        Output biases.
    loss : float
        Its exact loss, summed over the k features; an upper bound of the best.
    error : float
        Bound on the loss's error.
    """

    W: Float[ndarray, "m k"]
    b: Float[ndarray, " k"]
    loss: float
    error: float

    @property
    def spread(self) -> tuple[float, float]:
        """Relative standard deviations of norms and biases: how equal the features are."""
        norms = np.linalg.norm(self.W, axis=0)
        return float(norms.std() / norms.mean()), float(self.b.std() / max(abs(float(self.b.mean())), 1e-12))


def descend_frame(
    k: int, m: int, density: float, seed: Seed = 0, steps: int = 300, values: ValueLaw | str = "uniform"
) -> DescendedFrame:
    """
    Minimise the exact loss of k equal features from random directions of the predicted norm and bias.

    Parameters
    ----------
    k : int
        Features, >= 2.
    m : int
        Dimensions, >= 2.
    density : float
        Density of the features, in (0, 1].
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the directions.
    steps : int
        Most steps of L-BFGS.
    values : ValueLaw or {"uniform", "binary"}
        Law of an active feature's value.

    Returns
    -------
    DescendedFrame
        Where the descent ended.
    """
    start = even_frame(k, m, density, values=values)
    problem = Problem(n=k, m=m, density=density, values=values)
    rng = generator(seed)
    U = rng.standard_normal((m, k))
    x = np.r_[(start.norm * U / np.linalg.norm(U, axis=0)).ravel(), np.full(k, start.bias)]
    scale = float(problem.zero_loss)

    def loss(x: ndarray) -> tuple[float, ndarray]:
        found = loss_estimate(x[: m * k].reshape(m, k), x[m * k :], problem, rtol=_ACCURACY)
        return found.value / scale, np.r_[found.gradient["W"].ravel(), found.gradient["b"]] / scale

    options = {"maxiter": steps, "maxcor": 20, "ftol": 1e-8, "gtol": 1e-7}
    found = minimize(loss, x, jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    x = found.x
    W, b = x[: m * k].reshape(m, k), x[m * k :]
    last = loss_estimate(W, b, problem, rtol=_FINAL)
    return DescendedFrame(W, b, last.value, last.error)
