"""What the engine sees: rows z_i = b_i + sum_j G_ij x_j + N(0, noise_i), and the features that feed them."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.engine.laws import SetLaw, ValueLaw
from theory.model.features import FeatureDistribution

__all__ = ["Features", "Rows"]

# Larger numbers have no square in double precision.
_LARGEST = 1e150


@dataclass(frozen=True, eq=False)
class Rows:
    """
    Outputs before their activation, z_i = b_i + sum_j G_ij x_j + N(0, noise_i), each with a feature of its own.

    Attributes
    ----------
    G : ndarray, shape (rows, n)
        Couplings.
    b : ndarray, shape (rows,)
        Biases.
    own : ndarray of int, shape (rows,)
        The feature that each output should reproduce.
    noise : ndarray, shape (rows,)
        Variances of the Gaussian noise, >= 0.
    blur : ndarray, shape (rows,), optional
        How far couplings may be off, rounded products that they are; 0 by default.
    enough : ndarray, shape (rows,), optional
        Accuracy of the expected squared error that is enough, whatever part of it that is; 0 by default.
    """

    G: Float[ndarray, "rows n"]
    b: Float[ndarray, " rows"]
    own: Int[ndarray, " rows"]
    noise: Float[ndarray, " rows"]
    blur: Float[ndarray, " rows"] = None  # type: ignore[assignment]
    enough: Float[ndarray, " rows"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Refuse what would end in NaN; whole numbers are numbers too."""
        for name in ("G", "b", "noise"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        for name in ("blur", "enough"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(len(self.b)))
        for name, array in (("couplings G", self.G), ("biases b", self.b), ("noise", self.noise)):
            if not np.all(np.abs(array) <= _LARGEST):
                raise ValueError(f"{name} must be finite numbers of size at most {_LARGEST:g}, got {_worst(array)!r}")
        if (self.noise < 0).any():
            raise ValueError(f"noise is a variance and must not be negative, got {float(self.noise.min())!r}")

    def take(self, which: Int[ndarray, " some"] | slice) -> "Rows":
        """Return some of the rows; they have been checked."""
        some = object.__new__(Rows)
        for name in _ARRAYS:
            object.__setattr__(some, name, getattr(self, name)[which])
        return some

    def scaled(self, factor: Float[ndarray, " rows"]) -> "Rows":
        """Return rows z times a factor."""
        return Rows(
            self.G * factor[:, None], self.b * factor, self.own, self.noise * factor * factor, self.blur * factor,
            self.enough * factor * factor,
        )  # fmt: skip

    def in_units(self, size: float) -> "Rows":
        """Return rows of features whose values are measured in a unit of that size."""
        return Rows(self.G, self.b / size, self.own, self.noise / size**2, self.blur, self.enough / size**2)


_ARRAYS = tuple(field.name for field in fields(Rows))


def _worst(array: ndarray) -> float:
    """The first entry that is not a number, or the largest."""
    flat = array.ravel()
    return float(flat[np.argmax(np.where(np.isnan(flat), np.inf, np.abs(flat)))])


@dataclass(frozen=True, eq=False)
class Features:
    """
    Independent features and sets of features, all with one law of values.

    Attributes
    ----------
    values : ValueLaw
        Law of an active feature's value.
    density : ndarray, shape (n,) or (rows, n)
        Probability of every feature that belongs to no larger set; ignored for the others.
    sets : tuple of SetLaw
        Sets of two features or more.
    """

    values: ValueLaw
    density: Float[ndarray, "*rows n"]
    sets: tuple[SetLaw, ...] = ()

    @classmethod
    def of(cls, features: FeatureDistribution) -> "Features":
        """Read a single distribution: single features by their density, larger sets by their law."""
        density, sets = features.feature_density.copy(), []
        for s, (members, law) in enumerate(features.groups):
            if len(members) > 1:
                density[list(members)] = 0.0
                sets.append(SetLaw(members, float(features.density[s]), law))
        return cls(features.values, density, tuple(sets))

    def take(self, which: Int[ndarray, " some"] | slice) -> "Features":
        """Return the features as some of the rows see them."""
        return Features(self.values, self.density if self.density.ndim == 1 else self.density[which], self.sets)
