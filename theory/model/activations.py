"""Output activations: what a model does to z = W^T W x + b, one record an activation.

Theory sees an activation as a straight line plus kinks, f(z) = left z + sum_k bend_k max(0, z - theta_k); the trainer
sees its value and derivative. An activation with two straight pieces that meet at 0 needs of the loss, with
z_+ = max(0, z),

    E (x - f)^2 = (1 - k) E x^2 - 2 l E x z + l^2 E z^2 + k E (x - z_+)^2 + k (2 l + k - 1) E z_+^2 ,

l its slope left of 0 and k its bend there: the ReLU's own error, and the same with nothing to reconstruct.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.tools.locking import sealed

__all__ = ["LINEAR", "RELU", "Activation", "Kink", "Linear", "ReLU", "activation_of"]


@dataclass(frozen=True)
class Kink:
    """
    A point where an activation's slope changes.

    Attributes
    ----------
    place : float
        Where.
    bend : float
        Change of the slope.
    """

    place: float
    bend: float


@dataclass(frozen=True, eq=False)  # records that are no dataclasses differ from one another
class Activation(ABC):
    """
    An output activation. Records are immutable, hashable and can be pickled.

    Subclasses are frozen dataclasses and give ``left``, ``kinks``, ``value`` and ``derivative``. One that is not the
    piecewise linear function of ``left`` and ``kinks`` says so with ``curved = True``: it can be trained, and the exact
    loss refuses it.

    Examples
    --------
    >>> import theory
    >>> theory.Problem(n=2, m=1, density=0.1).activation
    ReLU()
    """

    curved = False

    @property
    def name(self) -> str:
        """How results and messages call the activation."""
        return type(self).__name__.lower()

    @property
    @abstractmethod
    def left(self) -> float:
        """Slope for z below every kink."""

    @property
    @abstractmethod
    def kinks(self) -> tuple[Kink, ...]:
        """Where the slope changes."""

    @abstractmethod
    def value(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give f(z)."""

    @abstractmethod
    def derivative(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give f'(z)."""

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """
        Give the weights of E x z, E z^2, E x|z| and E z|z| in E (x - f(z))^2, where E x^2 has weight 1.

        With slope l left of 0 and bend k there: -(2 l + k), l^2 + k (2 l + k) / 2, -k and k (2 l + k) / 2.
        """
        left, bend = self.left, self.bend
        half = bend * (2 * left + bend) / 2
        return -(2 * left + bend), left**2 + half, -bend, half

    @property
    def bend(self) -> float:
        """Change of the slope at 0, for activations of at most two straight pieces that meet there."""
        self.require_straight()
        return float(sum(kink.bend for kink in self.kinks))

    def require_straight(self) -> None:
        """
        Refuse activations whose exact loss is not known.

        Raises
        ------
        NotImplementedError
            If the activation is curved, or has kinks elsewhere than at 0.
        """
        if self.curved or any(kink.place for kink in self.kinks):
            raise NotImplementedError(
                f"the exact loss knows activations of two straight pieces that meet at 0, not {self.name}"
            )


@sealed
@dataclass(frozen=True)
class ReLU(Activation):
    """max(0, z), the toy model's own activation."""

    @property
    def left(self) -> float:
        """Nothing passes."""
        return 0.0

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """One at 0."""
        return (Kink(0.0, 1.0),)

    def value(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give max(0, z)."""
        return np.maximum(z, 0)

    def derivative(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give 1 where z > 0."""
        return (z > 0).astype(z.dtype)


@sealed
@dataclass(frozen=True)
class Linear(Activation):
    """z itself."""

    @property
    def left(self) -> float:
        """Everything passes."""
        return 1.0

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """None."""
        return ()

    def value(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give z."""
        return z

    def derivative(self, z: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
        """Give 1."""
        return np.ones_like(z)


RELU, LINEAR = ReLU(), Linear()
_BY_NAME: dict[str, Activation] = {"relu": RELU, "linear": LINEAR}


def activation_of(model: object) -> Activation:
    """
    Find the record of an output activation.

    Parameters
    ----------
    model : Activation or {"relu", "linear"}
        A record, or the name of one.

    Returns
    -------
    Activation
        The record.

    Raises
    ------
    ValueError
        If there is no activation of that name.
    TypeError
        If it is neither an activation nor a name.
    """
    if isinstance(model, Activation):
        _check(model)
        return model
    if isinstance(model, str):
        if model not in _BY_NAME:
            raise ValueError(f"model must be {' or '.join(map(repr, _BY_NAME))}, got {model!r}")
        return _BY_NAME[model]
    raise TypeError(f"model must be the name of an activation or an Activation, got {model!r}")


@lru_cache(maxsize=256)
def _check(activation: Activation) -> None:
    """Refuse a record whose values are not those of its kinks, unless it is curved, or of its derivative."""
    places = np.array([kink.place for kink in activation.kinks])
    z = np.concatenate([np.linspace(-4, 4, 33), places])
    said = activation.left * z + sum(kink.bend * np.maximum(z - kink.place, 0) for kink in activation.kinks)
    if not activation.curved and not np.allclose(activation.value(z), said, atol=1e-9):
        raise ValueError(
            f"{activation.name} is not the function of its slope and kinks; if it is curved, say so with curved = True "
            "(it can be trained then, but has no exact loss)"
        )
    step = 1e-5
    smooth = z[(np.abs(z[:, None] - places) > 2 * step).all(-1) & (z != 0)]  # a curved one may have a kink at 0
    slope = (activation.value(smooth + step) - activation.value(smooth - step)) / (2 * step)
    if not np.allclose(activation.derivative(smooth), slope, rtol=1e-5, atol=1e-5):
        raise ValueError(f"the derivative of {activation.name} is not that of its values")
