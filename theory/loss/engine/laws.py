"""Laws as the engine reads them: a set law bound to its members and density, members on the first axis."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from theory.model.set_laws import SetLaw as ActiveSetLaw
from theory.model.values import ValueLaw

__all__ = ["SetLaw", "ValueLaw", "transforms"]


@dataclass(frozen=True)
class SetLaw:
    """
    A set of several features: Q(e) = E prod of e_j over the active members.

    Attributes
    ----------
    members : tuple of int
        Numbers of the set's features.
    p : float
        Probability that the set is active.
    law : theory.model.set_laws.SetLaw
        Which members are active then.
    """

    members: tuple[int, ...]
    p: float
    law: ActiveSetLaw

    def Q(self, e: ndarray) -> ndarray:
        """Give the polynomial; e has the members on its first axis."""
        return np.asarray(1 - self.p + self.p * self.law.generating(_members_last(e)))

    def dQ(self, e: ndarray) -> ndarray:
        """Give its derivative in every e_j, on the first axis."""
        slopes = self.p * self.law.slopes(_members_last(e))
        return np.asarray(slopes.transpose(-1, *range(slopes.ndim - 1)))


def _members_last(e: ndarray) -> ndarray:
    """The view that set laws read; np.moveaxis takes longer than the polynomial."""
    e = np.asarray(e)
    return e.transpose(*range(1, e.ndim), 0)


def transforms(law: ValueLaw, a: ndarray) -> tuple[ndarray, ndarray]:
    """
    Give a value law's transform and its derivative.

    Parameters
    ----------
    law : ValueLaw
        The law.
    a : ndarray
        Arguments.

    Returns
    -------
    transform, slope : ndarray of complex
        E exp(iau) and its derivative in a.
    """
    transform, slope = law.transforms(a, 1)
    return transform, slope
