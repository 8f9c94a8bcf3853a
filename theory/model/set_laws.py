"""Set laws: which features of a set are active together, one record a law.

A set is active with its own density p, and then its law says which members are. Everything theory needs of a law is
one multi-affine polynomial, the generating function

    C(e) = E[ prod over the active members j of e_j | the set is active ] :

with e_j the transform of member j's value it gives the characteristic function 1 - p + p C, with e_j = 1 or 0 the
probabilities of patterns, with e_j = s the number of active members. It is affine in each e_j, so that differences are
derivatives. Numbers, complex numbers and SymPy expressions may all be put in.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.model.consistency import set_contradiction
from theory.tools.locking import sealed

__all__ = ["ALL_OR_NONE", "EXACTLY_ONE", "AllOrNone", "ExactlyOne", "SetLaw"]

# Members of a set whose 2^k patterns may be listed.
_MOST_LISTED = 16
# ... and of which they are, when a distribution is made.
_MOST_CHECKED = 10
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)  # records that are no dataclasses differ from one another
class SetLaw(ABC):
    """
    Which members of an active set are active. Records are immutable, hashable and can be pickled.

    Subclasses are frozen dataclasses and give ``generating``; the rest is derived from it, and may be overridden where
    there is a quicker way.

    Examples
    --------
    >>> import theory
    >>> theory.Correlated([[0, 1]], 0.1).groups[0][1]
    AllOrNone()
    """

    @property
    def name(self) -> str:
        """How results and messages call the law."""
        return type(self).__name__

    def at(self, density: float) -> "SetLaw":
        """Give the law at a density of the set; the law itself unless it depends on it."""
        return self

    def over(self, density: Float[ndarray, "*batch"]) -> "SetLaw":
        """Give the law at a batch of densities, whose members take arrays with the batch's axes first."""
        if type(self).at is SetLaw.at:
            return self
        values, which = np.unique(density, return_inverse=True)
        laws = tuple(self.at(float(p)) for p in values)
        return laws[0] if len(laws) == 1 else _ByDensity(laws, which.reshape(np.shape(density)))

    def set_density(self, member: Float[ndarray, "*batch"], members: int) -> Float[ndarray, "*batch"]:
        """
        Give the density of a set whose most frequent member has a given one.

        Parameters
        ----------
        member : ndarray, shape (*batch,)
            Probability that this member is active, in (0, 1].
        members : int
            Size of the set.

        Returns
        -------
        ndarray, shape (*batch,)
            Density of the set, in (0, 1].

        Raises
        ------
        ValueError
            If the law does not let members be active as often.
        NotImplementedError
            If the law changes with the density and does not say which set has such members.
        """
        share = float(self.slopes(np.ones(members)).max())
        p = member / share
        if (p > 1 + _ROUNDING).any():
            from theory.model.set_names import law_name

            raise ValueError(
                f"members of a set with the law {law_name(self)} are active in at most {share:.6g} of all samples, so "
                f"that their density cannot be {float(member.max()):.6g}: keep densities from 0 to {share:.6g}"
            )
        p = np.asarray(np.minimum(p, 1.0))
        found = p * self.over(p).slopes(np.ones((*p.shape, members))).max(axis=-1)
        if not np.allclose(found, member, rtol=1e-9, atol=0):
            raise NotImplementedError(
                f"{self.name} changes with the density of its set; let it override set_density, which finds that "
                "density from a member's"
            )
        return p

    @abstractmethod
    def generating(self, e: ndarray) -> ndarray:
        """Give C(e), multi-affine, for e of shape (..., members); the members' axis goes."""

    def slopes(self, e: ndarray) -> ndarray:
        """Give dC/de_j at e, shape (..., members): exact differences, since C is affine in each e_j."""
        found = []
        for j in range(e.shape[-1]):
            with_j, without = e.copy(), e.copy()
            with_j[..., j], without[..., j] = 1, 0
            found.append(self.generating(with_j) - self.generating(without))
        return np.stack(found, axis=-1)

    def pair_activity(self, members: int) -> Float[ndarray, "members members"]:
        """Give the probability that members i and j are both active, given that the set is."""
        ones = np.ones(members)
        pair = np.empty((members, members))
        for i, j in product(range(members), repeat=2):
            fixed = np.tile(ones, (2, 1))
            fixed[1, j] = 0
            given = self.slopes(fixed)[:, i]
            pair[i, j] = given[0] if i == j else given[0] - given[1]
        return pair

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, " patterns"]:
        """Give the probability of exactly these active members, given that the set is active."""
        return self._table(active.shape[1])[active @ (1 << np.arange(active.shape[1]))]

    def patterns(self, members: int) -> tuple[tuple[Int[ndarray, " active"], float], ...]:
        """List the sets of members that may be active together, with their probabilities."""
        table = self._table(members)
        return tuple((np.flatnonzero((k >> np.arange(members)) & 1), float(table[k])) for k in np.flatnonzero(table))

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        """Turn a uniform in [0, 1) into which members of an active set are active."""
        ends = np.cumsum(self._table(members))
        pattern = np.minimum(np.searchsorted(ends / ends[-1], uniform, side="right"), len(ends) - 1)
        return np.asarray((pattern[..., None] >> np.arange(members)) & 1 == 1)

    def validate(self, members: int) -> None:
        """
        Refuse what generates no law of that many members.

        Parameters
        ----------
        members : int
            Size of the set.

        Raises
        ------
        ValueError
            If C(1, ..., 1) is not 1, C is not affine in each of its arguments, a pattern has a negative probability, or
            what the record overrides is not what C says.
        """
        _validate(self, members)

    def _table(self, members: int) -> Float[ndarray, " patterns"]:
        """Probabilities of all patterns, the bits of their number saying who is active."""
        if members > _MOST_LISTED:
            raise ValueError(
                f"{self.name} is given by its generating function alone, whose patterns can be listed for sets of up "
                f"to {_MOST_LISTED} features, not {members}; override pattern_probability and activate"
            )
        return _patterns(self, members)


@dataclass(frozen=True, eq=False)
class _ByDensity(SetLaw):
    """The laws at several densities, and which of them each distribution of a batch has."""

    laws: tuple[SetLaw, ...]
    which: Int[ndarray, "*batch"]

    def _gather(self, member: Callable[[SetLaw, ndarray], ndarray], x: ndarray) -> ndarray:
        """Apply a member of each law to its part of an array whose first axes are the batch's."""
        x = np.broadcast_to(x, self.which.shape + x.shape[self.which.ndim :])
        rows = [self.which == k for k in range(len(self.laws))]
        parts = [member(law, x[mine]) for law, mine in zip(self.laws, rows, strict=True)]
        found = np.empty(self.which.shape + parts[0].shape[1:], np.result_type(*parts))
        for mine, part in zip(rows, parts, strict=True):
            found[mine] = part
        return found

    def generating(self, e: ndarray) -> ndarray:
        return self._gather(lambda law, e: law.generating(e), e)

    def slopes(self, e: ndarray) -> ndarray:
        return self._gather(lambda law, e: law.slopes(e), e)

    def pair_activity(self, members: int) -> Float[ndarray, "*batch members members"]:
        return np.stack([law.pair_activity(members) for law in self.laws])[self.which]

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, "*batch patterns"]:
        return np.stack([law.pattern_probability(active) for law in self.laws])[self.which]

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        return self._gather(lambda law, u: law.activate(u, members), uniform)


@lru_cache(maxsize=256)
def _validate(law: SetLaw, members: int) -> None:
    e = np.random.default_rng(0).uniform(0.2, 1.8, size=(4, members))
    total = float(law.generating(np.ones(members)))
    if not abs(total - 1) < 1e-9:
        raise ValueError(
            f"the generating function of {law.name} is not that of a law: C(1, ..., 1) is {total:.6g}, not 1"
        )
    for j in range(members):
        at = [law.generating(np.where(np.arange(members) == j, value, e)) for value in (0.0, 1.0, 2.0)]
        if not np.allclose(at[2] - at[1], at[1] - at[0], atol=1e-9 * np.abs(at).max()):
            raise ValueError(f"the generating function of {law.name} is not affine in e_{j}: a member is active or not")
    if members <= _MOST_CHECKED:
        _patterns(law, members)
        contradiction = set_contradiction(law, members)
        if contradiction:
            raise ValueError(f"the members of {law.name} are of different laws: {contradiction}")


@lru_cache(maxsize=64)
def _patterns(law: SetLaw, members: int) -> Float[ndarray, " patterns"]:
    """Coefficients of C: its values at zeros and ones, differenced member by member."""
    corners = (np.arange(2**members)[:, None] >> np.arange(members)) & 1
    table = np.asarray(law.generating(corners.astype(float)), dtype=float).reshape((2,) * members)
    for axis in range(members):  # the last axis is member 0
        without, with_ = np.take(table, [0], axis), np.take(table, [1], axis)
        table = np.concatenate([without, with_ - without], axis)
    flat = table.ravel()
    rounding = 2.0**members * np.finfo(float).eps
    if flat.min() < -rounding or abs(flat.sum() - 1) > rounding:
        raise ValueError(
            f"the generating function of {law.name} is not that of a law: its patterns have probabilities from "
            f"{flat.min():.3g} that sum to {flat.sum():.6g}"
        )
    flat = np.where(flat < rounding, 0.0, flat)
    flat.flags.writeable = False
    return flat


@sealed
@dataclass(frozen=True)
class AllOrNone(SetLaw):
    """All members are active when the set is."""

    def generating(self, e: ndarray) -> ndarray:
        """Give the product."""
        return np.asarray(np.prod(e, axis=-1))

    def slopes(self, e: ndarray) -> ndarray:
        """Give the products of the others, those before times those behind."""
        before, behind = np.ones_like(e), np.ones_like(e)
        for j in range(1, e.shape[-1]):
            before[..., j] = before[..., j - 1] * e[..., j - 1]
            behind[..., -1 - j] = behind[..., -j] * e[..., -j]
        return before * behind

    def pair_activity(self, members: int) -> Float[ndarray, "members members"]:
        """Give ones."""
        return np.ones((members, members))

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, " patterns"]:
        """Give 1 where all are active."""
        return active.all(-1).astype(float)

    def patterns(self, members: int) -> tuple[tuple[Int[ndarray, " active"], float], ...]:
        """List the whole set."""
        return ((np.arange(members), 1.0),)

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        """Activate everything."""
        return np.ones((*uniform.shape, members), dtype=bool)


@sealed
@dataclass(frozen=True)
class ExactlyOne(SetLaw):
    """One member, chosen uniformly, is active when the set is."""

    def generating(self, e: ndarray) -> ndarray:
        """Give the mean."""
        return np.asarray(e.sum(axis=-1) / e.shape[-1])

    def slopes(self, e: ndarray) -> ndarray:
        """Give one share each."""
        return np.ones_like(e) / e.shape[-1]

    def pair_activity(self, members: int) -> Float[ndarray, "members members"]:
        """Give shares on the diagonal."""
        return np.eye(members) / members

    def pattern_probability(self, active: Bool[ndarray, "patterns members"]) -> Float[ndarray, " patterns"]:
        """Give a share where one is active."""
        return np.where(active.sum(-1) == 1, 1 / active.shape[-1], 0.0)

    def patterns(self, members: int) -> tuple[tuple[Int[ndarray, " active"], float], ...]:
        """List the members one by one."""
        return tuple((np.array([j]), 1 / members) for j in range(members))

    def activate(self, uniform: Float[ndarray, "*shape"], members: int) -> Bool[ndarray, "*shape members"]:
        """Activate the member whose share of [0, 1) the uniform falls on."""
        return np.asarray(np.floor(uniform * members)[..., None] == np.arange(members))


ALL_OR_NONE, EXACTLY_ONE = AllOrNone(), ExactlyOne()
