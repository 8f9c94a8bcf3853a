"""What a global search returns: the best solution, its competitors, and how sure it is."""

from dataclasses import dataclass, replace
from typing import cast

from jaxtyping import Float
from numpy import ndarray

from theory.geometry.pictures import solution_html
from theory.model.problem import Problem
from theory.optimum.named_geometry import Optimum
from theory.search.record import SearchRecord, Status

__all__ = ["CLOSE", "GlobalOptimum", "Minimum"]

# Losses this close, relative, are one minimum's as far as an unpolished search can tell.
CLOSE = 1e-5


@dataclass(frozen=True, eq=False)
class Minimum:
    """
    A local minimum that the search met.

    Attributes
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    loss : float
        Population loss.
    geometry : str
        What it looks like (``recognise``).
    hits : int
        How many starts led there, by descent alone or by exchanges of features as well; 0 where that is not counted.
    W_out : ndarray, shape (n, m), or None
        Decoder, where the problem's terms make it free.

    Examples
    --------
    >>> import theory
    >>> best = theory.global_optimum(theory.Problem(n=2, m=1, density=0.1))
    >>> best.minima[0].geometry, best.minima[0].hits > 0
    ('digon', True)
    """

    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    loss: float
    geometry: str
    hits: int
    W_out: Float[ndarray, "n m"] | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        known = {"geometry": self.geometry, "loss": f"{self.loss:.10g}", "starts that led there": self.hits}
        return solution_html(self.W, known)


@dataclass(frozen=True, eq=False)
class GlobalOptimum(Optimum):
    """
    The best solution found, with the fields of an ``Optimum``, its competitors, and how sure it is.

    Attributes
    ----------
    minima : tuple of Minimum
        Distinct local minima, the best first; at most 40.
    loss_error : float
        What is known of the error of ``loss``, absolute.
    record : SearchRecord
        How often, and from where, the solution was found.
    status : {"proved", "repeated", "best known"}
        How sure it is that no better one exists.
    seed : int
        The number that repeats the search.

    Examples
    --------
    >>> import theory
    >>> best = theory.global_optimum(theory.Problem(n=2, m=1, density=0.1))
    >>> best.geometry, best.status, [other.geometry for other in best.minima]
    ('digon', 'repeated', ['digon', '2 in 1'])
    """

    minima: tuple[Minimum, ...] = ()
    record: SearchRecord | None = None
    status: Status = "best known"
    seed: int = 0

    def in_problem(self, problem: Problem, size: float) -> "GlobalOptimum":
        """Carry solution, competitors and record over from a problem whose values are measured in a unit."""
        if size == 1:
            return self
        minima = tuple(replace(one, b=size * one.b, loss=size**2 * one.loss) for one in self.minima)
        record = self.record
        if record is not None:
            best = {kind: size**2 * loss for kind, loss in record.best_by_kind.items()}
            record = replace(record, best_by_kind=best)
        there = replace(self, minima=minima, record=record)
        return cast("GlobalOptimum", super(GlobalOptimum, there).in_problem(problem, size))

    def _facts(self) -> dict[str, object]:
        """How sure it is, and the next best minimum."""
        others = [other for other in self.minima if other.loss > self.loss * (1 + CLOSE)]
        second = {"next best": f"{others[0].geometry}, {others[0].loss:.6g}"} if others else {}
        return {**super()._facts(), "status": self.status, **second}

    @property
    def certain(self) -> bool:
        """Whether the solution is proved or was found again often enough."""
        return self.status != "best known"

    def tied(self, other: "GlobalOptimum | Minimum") -> bool:
        """Whether another solution's loss is the same within the sum of their errors."""
        error = self.loss_error + getattr(other, "loss_error", self.loss_error)
        return abs(self.loss - other.loss) <= error
