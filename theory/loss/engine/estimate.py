"""A result that knows its error."""

from dataclasses import dataclass, field, fields, replace
from typing import Generic, TypeVar

from jaxtyping import Float, Int
from numpy import ndarray

__all__ = ["Estimate", "Parts", "RowEstimate"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Parts:
    """
    What an error is made of; same shape as the value.

    Attributes
    ----------
    truncation : ndarray
        Frequencies beyond the last node.
    step : ndarray
        The midpoint rule's step: values of z outside of its window.
    series : ndarray
        Power sums that end (0 where every feature is treated by itself).
    rounding : ndarray
        Double precision.
    """

    truncation: Float[ndarray, "..."]
    step: Float[ndarray, "..."]
    series: Float[ndarray, "..."]
    rounding: Float[ndarray, "..."]

    def total(self) -> Float[ndarray, "..."]:
        """Sum of the parts."""
        return self.truncation + self.step + self.series + self.rounding

    def times(self, factor: float) -> "Parts":
        """Return the parts of a multiple."""
        return Parts(*(factor * getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True, eq=False)
class RowEstimate:
    """
    Expected squared errors of rows, with gradient and errors.

    Attributes
    ----------
    value : ndarray, shape (rows,)
        E (x_own - f(z))^2.
    error : ndarray, shape (rows,)
        Bound on its absolute error.
    dG, db, dnoise : ndarray, shape (rows, n), (rows,), (rows,)
        Its derivatives; dnoise is 0 for rows without noise, where only a one-sided one exists.
    gradient_error, noise_error : ndarray, shape (rows,)
        Bounds on the absolute error of any entry of dG and db, and of dnoise.
    nodes : ndarray of int, shape (rows,)
        Nodes used; 0 where none were needed.
    path : ndarray of str, shape (rows,)
        "closed" (z never passes a kink), "single" (feature by feature) or "sums" (power sums).
    parts : Parts
        What ``error`` is made of.
    """

    value: Float[ndarray, " rows"]
    error: Float[ndarray, " rows"]
    dG: Float[ndarray, "rows n"]
    db: Float[ndarray, " rows"]
    dnoise: Float[ndarray, " rows"]
    gradient_error: Float[ndarray, " rows"]
    noise_error: Float[ndarray, " rows"]
    nodes: Int[ndarray, " rows"]
    path: ndarray
    parts: Parts

    def times(self, size: float) -> "RowEstimate":
        """Return what it is if values and biases are so many times as large."""
        square, steeper = size**2, max(size, size**2)  # derivatives in couplings grow with the square, in biases not
        return replace(
            self,
            value=square * self.value,
            error=square * self.error,
            dG=square * self.dG,
            db=size * self.db,
            gradient_error=steeper * self.gradient_error,
            parts=self.parts.times(square),
        )


@dataclass(frozen=True, eq=False)
class Estimate(Generic[T]):
    """
    A loss that knows its error.

    Attributes
    ----------
    value : float or ndarray
        The loss.
    error : float or ndarray
        Bound on its absolute error.
    gradient : object
        Its gradient.
    gradient_error : float or ndarray
        Bound on the absolute error of every entry of the gradient in couplings and biases, summed over outputs.
    nodes : int
        Most nodes that a row took.
    parts : Parts
        What the error is made of.
    paths : dict of str to int
        How many rows took which path.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> found = theory.loss_estimate([[1.0, -1.0]], [0.0, 0.0], problem)
    >>> f"{found.value:.6f}", found.error < 1e-12
    ('0.003333', True)
    """

    value: T
    error: T
    gradient: dict[str, ndarray]
    gradient_error: T
    nodes: int
    parts: Parts
    paths: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say the value and what it may be off by."""
        return (
            f"{self.value:.12g} +- {self.error:.1g}"
            if isinstance(self.value, float)
            else f"{self.value} +- {self.error}"
        )
