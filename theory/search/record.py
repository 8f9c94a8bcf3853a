"""What a search did, and how sure its result is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from theory.model.activations import RELU
from theory.model.problem import Problem

__all__ = ["ZERO", "SearchRecord", "Status", "certainty", "least_loss"]

Status = Literal["proved", "repeated", "best known"]

# The optimum counts as found again if so many starts led to it, of at least so many kinds, and if at most this share of
# the starts ended where no other did: by Good and Turing the chance that the next start ends somewhere new.
ENOUGH_HITS, ENOUGH_KINDS, LARGEST_NEW = 5, 2, 0.05
# An error above this part of the zero model's loss proves nothing.
SMALL = 1e-9
# A loss below this part of the zero model's is zero to rounding: it need not tell geometries that have it apart.
ZERO = 1e-12


@dataclass(frozen=True)
class SearchRecord:
    """
    How often, and from where, a search met its best solution.

    Attributes
    ----------
    starts_by_kind : dict from str to int
        Starts of every kind: "product" (a tegum product of the catalogue), "random" (all features), "subset" (random,
        some features unrepresented), "even" (equal directions over all dimensions), "decoder" (random embeddings, each
        output of a free decoder the best of many), "given" (by the caller).
    hits : dict from str to int
        How many of them led to the best solution, by kind.
    distinct : int
        Different minima that starts led to, each improved by exchanges of features until none helped.
    seen_once : int
        How many of these only a single start led to.
    best_by_kind : dict from str to float
        The lowest loss that each kind led to.
    reference_gap : float
        Loss of the best tegum product of the catalogue, as its features were placed, divided by the loss found, minus
        1; NaN if none was tried or the loss is zero.
    exchanges_tried : bool
        Whether every exchange of two features of the best solution, and every change of whether one is stored, was
        descended from, to no avail; beyond 12 features the exchanges that look likely, for problems with terms all
        exchanges.

    Examples
    --------
    >>> record = SearchRecord({"random": 30, "product": 10}, {"random": 6, "product": 2}, 3, 1, {}, 0.0, True)
    >>> record.total, record.repeated
    (40, True)
    """

    starts_by_kind: Mapping[str, int]
    hits: Mapping[str, int]
    distinct: int
    seen_once: int
    best_by_kind: Mapping[str, float]
    reference_gap: float
    exchanges_tried: bool

    @property
    def total(self) -> int:
        """Starts of all kinds."""
        return sum(self.starts_by_kind.values())

    @property
    def repeated(self) -> bool:
        """Whether the best solution was found again so often that a better one is unlikely."""
        kinds = sum(count > 0 for count in self.hits.values())
        often = sum(self.hits.values()) >= ENOUGH_HITS and kinds >= ENOUGH_KINDS
        return often and self.exchanges_tried and self.seen_once <= LARGEST_NEW * self.total


def least_loss(problem: Problem) -> float:
    """
    Give what no loss can be below.

    Parameters
    ----------
    problem : Problem
        A single problem.

    Returns
    -------
    float
        0; the zero model's loss where no output is negative and no value positive.
    """
    hopeless = problem.activation == RELU and problem.features.values.support[1] <= 0
    return float(problem.zero_loss) if hopeless else 0.0


def certainty(record: SearchRecord, excess: float, error: float, unit: float) -> Status:
    """
    Say how sure a search's result is.

    Parameters
    ----------
    record : SearchRecord
        What the search did.
    excess : float
        The loss found, less what no loss can be below.
    error : float
        What is known of its error.
    unit : float
        The zero model's loss.

    Returns
    -------
    {"proved", "repeated", "best known"}
        "proved" if nothing is left within an error that is small itself; "repeated" if the search found the solution
        again and again from different kinds of starts; else "best known".
    """
    if excess <= error <= SMALL * unit:
        return "proved"
    return "repeated" if record.repeated else "best known"
