"""Gradient descent on one flat parameter vector: SGD with momentum, Adam, AdamW, and learning-rate schedules.

Every update is a handful of whole-array operations into buffers that are allocated once: for small models the
number of NumPy calls, not the arithmetic, is what a step costs.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.tools.choices import choose

__all__ = ["OPTIMISERS", "SCHEDULES", "Adam", "Optimiser", "Sgd", "learning_rates", "make_optimiser"]


@runtime_checkable
class Optimiser(Protocol):
    """Something that moves parameters along a gradient."""

    def step(self, theta: ndarray, gradient: ndarray, rate: float) -> None:
        """
        Move ``theta`` in place.

        Parameters
        ----------
        theta : ndarray, shape (size,)
            Parameters, changed in place.
        gradient : ndarray, shape (size,)
            Gradient of the loss at ``theta``.
        rate : float
            Learning rate of this step.
        """

    def reset(self, where: ndarray) -> None:
        """
        Forget the past of some parameters.

        Parameters
        ----------
        where : ndarray of bool, shape (size,)
            Which.
        """


class Sgd:
    """
    Stochastic gradient descent with momentum, v <- mu v + g, theta <- theta - rate v.

    Parameters
    ----------
    size : int
        Number of parameters.
    dtype : dtype
        Either float32 or float64.
    momentum : float
        The factor mu, in [0, 1).
    """

    def __init__(self, size: int, dtype: np.dtype, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self.velocity = np.zeros(size, dtype)
        self._work = np.empty(size, dtype)

    def step(self, theta: ndarray, gradient: ndarray, rate: float) -> None:
        self.velocity *= self.momentum
        self.velocity += gradient
        np.multiply(self.velocity, rate, out=self._work)
        theta -= self._work

    def reset(self, where: ndarray) -> None:
        self.velocity[where] = 0


class Adam:
    """
    Adam, or AdamW when the decay is not zero.

    Parameters
    ----------
    size : int
        Number of parameters.
    dtype : dtype
        Either float32 or float64.
    weight_decay : float
        Decoupled decay: theta shrinks by the factor 1 - rate * weight_decay at each step, bias included.

    Notes
    -----
    beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8, with bias correction. The running sums are kept without
    their factors 1 - beta, which are constants that join the learning rate and epsilon: two array operations
    fewer per step.

    References
    ----------
    Kingma and Ba (2015), algorithm 1; Loshchilov and Hutter (2019), algorithm 2.
    """

    beta_1 = 0.9
    beta_2 = 0.999
    epsilon = 1e-8

    def __init__(self, size: int, dtype: np.dtype, weight_decay: float = 0.0) -> None:
        self.weight_decay = weight_decay
        self.count = 0
        self.first = np.zeros(size, dtype)
        self.second = np.zeros(size, dtype)
        self._work = np.empty(size, dtype)

    def step(self, theta: ndarray, gradient: ndarray, rate: float) -> None:
        self.count += 1
        # With sums s1, s2 lacking the factors 1 - beta, Adam's step is rate * a1 s1 / (a2 sqrt(s2) +
        # epsilon).
        a1 = (1 - self.beta_1) / (1 - self.beta_1**self.count)
        a2 = ((1 - self.beta_2) / (1 - self.beta_2**self.count)) ** 0.5
        if self.weight_decay:
            theta *= 1 - rate * self.weight_decay
        work = self._work
        self.first *= self.beta_1
        self.first += gradient
        self.second *= self.beta_2
        np.multiply(gradient, gradient, out=work)
        self.second += work
        np.sqrt(self.second, out=work)
        work += self.epsilon / a2
        np.divide(self.first, work, out=work)
        work *= rate * a1 / a2
        theta -= work

    def reset(self, where: ndarray) -> None:
        self.first[where] = 0
        self.second[where] = 0


OPTIMISERS: dict[str, Callable[[int, np.dtype, float, float], Optimiser]] = {
    "sgd": lambda size, dtype, momentum, decay: Sgd(size, dtype, momentum),
    "adam": lambda size, dtype, momentum, decay: Adam(size, dtype),
    "adamw": lambda size, dtype, momentum, decay: Adam(size, dtype, decay),
}

# The learning rate's factor at a fraction 0 <= s < 1 of the way.
SCHEDULES: dict[str, Callable[[ndarray], ndarray]] = {
    "constant": np.ones_like,
    "linear": lambda s: 1 - s,
    "cosine": lambda s: 0.5 + 0.5 * np.cos(np.pi * s),
}


def make_optimiser(
    name: str, size: int, dtype: np.dtype, momentum: float = 0.9, weight_decay: float = 0.01
) -> Optimiser:
    """
    Make an optimiser for a flat parameter vector.

    Parameters
    ----------
    name : {"sgd", "adam", "adamw"}
        Which optimiser.
    size : int
        Number of parameters.
    dtype : dtype
        Either float32 or float64.
    momentum : float
        Momentum of "sgd".
    weight_decay : float
        Decoupled decay of "adamw".

    Returns
    -------
    Optimiser
        Fresh, with no past.

    Raises
    ------
    ValueError
        If there is no such optimiser.
    """
    return choose("optimiser", name, OPTIMISERS)(size, dtype, momentum, weight_decay)


def learning_rates(schedule: str, rate: float, steps: int) -> Float[ndarray, " steps"]:
    """
    Give the learning rate of every step.

    Parameters
    ----------
    schedule : {"constant", "linear", "cosine"}
        Constant, or falling from ``rate`` towards 0 along a line or half a cosine.
    rate : float
        Learning rate of the first step.
    steps : int
        Number of steps.

    Returns
    -------
    ndarray, shape (steps,)
        One rate per step.

    Raises
    ------
    ValueError
        If there is no such schedule.

    Examples
    --------
    >>> learning_rates("linear", 1.0, 4)
    array([1.  , 0.75, 0.5 , 0.25])
    """
    return rate * choose("schedule", schedule, SCHEDULES)(np.arange(steps) / steps)
