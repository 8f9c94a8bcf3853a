"""One point of a branch: a stationary solution at one value of the parameter, with what continues it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.curvature.expansion import Expansion
from theory.curvature.newton import solve_stationary
from theory.curvature.stability import Stability, projected_spectrum, stability_of, symmetry_directions
from theory.geometry.distance import distance
from theory.model.problem import Problem
from theory.transitions.paths import ProblemPath

__all__ = ["BranchPoint", "correct"]

# A curvature below minus this part of the zero model's loss makes a saddle, as in theory.curvature.stability.
_UNSTABLE = 1e-6
# Directions whose curvature is below this part of the zero model's loss are left out of the tangent.
_SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class BranchPoint:
    """
    A stationary point of the problem at one value of the parameter.

    Attributes
    ----------
    path : ProblemPath
        The family of problems.
    value : float
        Value of the parameter.
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    expansion : Expansion
        Of the loss there.
    gradient_norm : float
        Largest gradient component, in units of the zero model's loss.
    converged : bool
        Whether Newton's method converged.
    neighbour : BranchPoint or None
        A point nearby: its direction of smallest curvature, if known, helps to find that of this one.
    """

    path: ProblemPath
    value: float
    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    expansion: Expansion
    gradient_norm: float
    converged: bool
    neighbour: "BranchPoint | None" = None

    @property
    def problem(self) -> Problem:
        """The problem at this value."""
        return self.path.at(self.value)

    @property
    def loss(self) -> float:
        """Population loss."""
        return self.expansion.loss

    @cached_property
    def details(self) -> Stability:
        """Curvature."""
        known = None if self.neighbour is None else self.neighbour.__dict__.get("details")
        near = None if known is None else known.direction
        return stability_of(self.W, self.b, self.problem, self.expansion, near)

    @property
    def curvature(self) -> float:
        """Smallest curvature, at a kink of both sides."""
        return self.details.smallest

    @property
    def stable(self) -> bool:
        """Whether no direction goes downhill, as far as second derivatives tell."""
        return self.curvature > -_UNSTABLE * self.expansion.scale

    @cached_property
    def _derivative(self) -> tuple[float, ndarray]:
        return self.path.derivative(self.W, self.b, self.value)

    @property
    def slope(self) -> float:
        """Derivative of the loss in the parameter at fixed (W, b)."""
        return self._derivative[0]

    @property
    def mixed(self) -> Float[ndarray, " d"]:
        """Derivative of the gradient in the parameter."""
        return self._derivative[1]

    @property
    def x(self) -> Float[ndarray, " d"]:
        """W, row by row, and b in one vector."""
        return np.concatenate([self.W.ravel(), self.b])

    @cached_property
    def tangent(self) -> Float[ndarray, " d"]:
        """Derivative of (W, b) in the parameter along the branch."""
        values, vectors = projected_spectrum(self.expansion.hessian, symmetry_directions(self.W, self.b))
        solid = np.abs(values) > _SINGULAR * self.expansion.scale
        return np.asarray(-vectors[:, solid] @ ((vectors[:, solid].T @ self.mixed) / values[solid]))

    def predicted(self, value: float) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"]]:
        """
        Extrapolate along the tangent, in the logarithm of the parameter.

        Parameters
        ----------
        value : float
            Value of the parameter to go to.

        Returns
        -------
        W : ndarray, shape (m, n)
            Predicted embedding.
        b : ndarray, shape (n,)
            Predicted biases.
        """
        x = self.x + self.tangent * self.value * np.log(value / self.value)
        return x[: self.W.size].reshape(self.W.shape), x[self.W.size :]

    def separation(self, W: Float[ndarray, "m n"], b: Float[ndarray, " n"]) -> float:
        """
        Give the largest difference of couplings and biases from another solution.

        Parameters
        ----------
        W : ndarray, shape (m, n)
            Its embedding.
        b : ndarray, shape (n,)
            Its biases.

        Returns
        -------
        float
            The distance.
        """
        return distance(self.W, self.b, W, b)


def correct(
    path: ProblemPath,
    value: float,
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    neighbour: BranchPoint | None = None,
) -> BranchPoint:
    """
    Solve for the stationary point next to a guess.

    Parameters
    ----------
    path : ProblemPath
        The family of problems.
    value : float
        Value of the parameter.
    W : ndarray, shape (m, n)
        Guess of the embedding.
    b : ndarray, shape (n,)
        Guess of the biases.
    neighbour : BranchPoint, optional
        A point nearby, whose direction of smallest curvature helps to find that of this one.

    Returns
    -------
    BranchPoint
        The stationary point, if Newton's method converged.
    """
    found = solve_stationary(W, b, path.at(value))
    return BranchPoint(path, value, found.W, found.b, found.expansion, found.gradient_norm, found.converged, neighbour)
