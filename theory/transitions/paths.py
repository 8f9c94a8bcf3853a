"""Families of problems along one parameter: density, or one feature's density or importance relative to its own."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.loss.decoupled import decoupled_errors
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.value_units import is_usual, unit_law
from theory.tools.locking import locked

__all__ = ["ProblemPath"]


# Step, in the logarithm of the parameter, of the five-point differences along the path: their error is its fourth
# power, since losses are polynomials in densities, and linear in importances.
_STEP = 2e-3


@dataclass(frozen=True, eq=False)
class ProblemPath:
    """
    Problems that differ in one parameter.

    Parameters
    ----------
    problem : Problem
        A single problem.
    parameter : {"density", "relative density", "relative importance"}
        "density": the largest density of a feature (or set), the others keeping their ratios to it. "relative
        density", "relative importance": factor by which one feature's density (its set's, for features in sets)
        or importance is multiplied.
    index : int
        That feature.

    Raises
    ------
    ValueError
        If the parameter is unknown, the feature does not exist, values are far from 1, or the problem is a batch.
    """

    problem: Problem
    parameter: str
    index: int = 0

    def __post_init__(self) -> None:
        if self.parameter not in ("density", "relative density", "relative importance"):
            raise ValueError(
                f"parameter must be 'density', 'relative density' or 'relative importance', got {self.parameter!r}"
            )
        require_problem(self.problem)
        self.problem.plain("a path of problems")
        if self.problem.batch_shape:
            raise ValueError(f"the problem must be a single one, got a batch of shape {self.problem.batch_shape}")
        values = self.problem.features.values
        size = unit_law(values)[1]
        if not is_usual(size):
            raise ValueError(
                f"branches are followed for values of the order of 1, but those of {values.name} are of the order "
                f"of {size:.1g}: measure them in that unit (losses are smaller by its square, biases by itself)"
            )
        if not 0 <= self.index < self.problem.n:
            raise ValueError(f"index must be a feature, 0 ... {self.problem.n - 1}, got {self.index}")

    @property
    def current(self) -> float:
        """Where on the path the problem itself lies."""
        return float(self.problem.features.density.max()) if self.parameter == "density" else 1.0

    @property
    def largest(self) -> float:
        """Largest value of the parameter: no density exceeds 1."""
        if self.parameter == "density":
            return 1.0
        if self.parameter == "relative importance":
            return math.inf
        return 1 / float(self.problem.features.density[self._set])

    @property
    def _set(self) -> int:
        return int(self.problem.features.set_of_feature[self.index])

    def check(self, value: float) -> None:
        """
        Refuse a value outside the parameter's domain.

        Parameters
        ----------
        value : float
            Value of the parameter.

        Raises
        ------
        ValueError
            If it is not positive, or makes a density exceed 1.
        """
        if not 0 < value <= self.largest:
            bound = "" if math.isinf(self.largest) else f", and at most {self.largest:g}: no density exceeds 1"
            raise ValueError(f"{self.parameter} must be positive{bound}; got {value!r}")

    def at(self, value: float) -> Problem:
        """
        Give the problem at a value of the parameter.

        Parameters
        ----------
        value : float
            Value of the parameter, > 0.

        Returns
        -------
        Problem
            The problem there.
        """
        features = self.problem.features
        if self.parameter == "relative importance":
            importance = self.problem.importance.copy()
            importance[self.index] *= value
            return replace(self.problem, importance=locked(importance))
        density = features.density.copy()
        if self.parameter == "density":
            density *= value / self.current
        else:
            density[self._set] *= value
        return replace(self.problem, features=features.with_density(np.minimum(density, 1.0)))

    def derivative(
        self, W: Float[ndarray, "m n"], b: Float[ndarray, " n"], value: float
    ) -> tuple[float, Float[ndarray, " d"]]:
        """
        Differentiate loss and gradient along the path, (W, b) held fixed.

        Parameters
        ----------
        W : ndarray, shape (m, n)
            Embedding.
        b : ndarray, shape (n,)
            Biases.
        value : float
            Value of the parameter.

        Returns
        -------
        slope : float
            dL / d parameter: by the envelope theorem also the slope of the loss along a branch of optima.
        mixed : ndarray, shape (d,)
            Derivative of the gradient in W (row by row) and b.
        """
        offsets = np.arange(-2, 3)
        if value * math.exp(2 * _STEP) > self.largest:
            offsets = np.arange(-4, 1)  # differences backward where there is nothing ahead
        weights = np.linalg.solve(np.vander(offsets, increasing=True).T.astype(float), np.eye(5)[1])
        scale = 1 / (_STEP * value)
        parts = [self._terms(W, b, value * math.exp(k * _STEP)) for k in offsets]
        slope = sum(w * loss for w, (loss, _) in zip(weights, parts, strict=True))
        mixed = sum(w * gradient for w, (_, gradient) in zip(weights, parts, strict=True))
        return float(slope) * scale, np.asarray(mixed) * scale

    def _terms(self, W: Float[ndarray, "m n"], b: Float[ndarray, " n"], value: float) -> tuple[float, ndarray]:
        problem = self.at(value)
        errors = decoupled_errors((W.T @ W)[None], b[None], problem, nodes=256)
        loss, dW, db = errors.pull_back(W[None], problem.importance)
        return float(loss[0]), np.concatenate([dW.ravel(), db[0]])
