"""Even frames that exist: the exact loss minimised from random directions, as a check of the prediction from above."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize

from theory.frames.prediction import even_frame
from theory.loss.certified import loss_estimate
from theory.model.problem import Problem
from theory.model.values import ValueLike
from theory.tools.seeds import Seed, generator

__all__ = ["DescendedFrame", "descend_frame", "descend_from"]

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
        Bound on the loss's error; NaN if it was not asked for.
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
    k: int, m: int, density: float, seed: Seed = 0, steps: int = 300, values: ValueLike = "uniform"
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
    values : ValueLaw, str or frozen distribution of scipy.stats
        Law of an active feature's value.

    Returns
    -------
    DescendedFrame
        Where the descent ended.
    """
    start = even_frame(k, m, density, values=values)
    U = generator(seed).standard_normal((m, k))
    W = start.norm * U / np.linalg.norm(U, axis=0)
    return descend_from(Problem(n=k, m=m, density=density, values=values), W, np.full(k, start.bias), steps)


def descend_from(
    problem: Problem,
    W: Float[ndarray, "m k"],
    b: Float[ndarray, " k"],
    steps: int = 300,
    rtol: float = _ACCURACY,
    final: float | None = _FINAL,
    change: float = 1e-8,
) -> DescendedFrame:
    """
    Minimise the exact loss from given weights.

    Parameters
    ----------
    problem : Problem
        A single problem of k features with tied weights.
    W : ndarray, shape (m, k)
        Embedding to begin with.
    b : ndarray, shape (k,)
        Biases to begin with.
    steps : int
        Most steps of L-BFGS.
    rtol : float
        Accuracy of the losses on the way.
    final : float, optional
        That of the last; None keeps the last one of the way, whose error is then not known.
    change : float
        Relative change of the loss at which the descent ends.

    Returns
    -------
    DescendedFrame
        Where the descent ended.
    """
    m, k = W.shape
    scale = float(problem.zero_loss)

    def loss(x: ndarray) -> tuple[float, ndarray]:
        found = loss_estimate(x[: m * k].reshape(m, k), x[m * k :], problem, rtol=rtol)
        return found.value / scale, np.r_[found.gradient["W"].ravel(), found.gradient["b"]] / scale

    options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": change, "gtol": 1e-7}
    found = minimize(loss, np.r_[W.ravel(), b], jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    W, b = found.x[: m * k].reshape(m, k), found.x[m * k :]
    if final is None:
        return DescendedFrame(W, b, float(found.fun) * scale, np.nan)
    last = loss_estimate(W, b, problem, rtol=final)
    return DescendedFrame(W, b, last.value, last.error)
