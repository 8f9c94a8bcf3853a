"""What a problem asks besides reconstruction: a decoder of its own, constraints, noise, and penalties.

With W_out = W^T where weights are tied, the model is x' = f(W_out (W x + N(0, noise^2)) + b), and what is minimised is

    E sum_i I_i (x_i - x'_i)^2  +  decay / 2 (|W|^2 + |W_out|^2 if untied)  +  l1 E sum_d |W_d . x| ,

W_d the rows of W. The penalty on hidden values is on W x, before the noise. Biases are not penalised.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.tools.choices import choose
from theory.tools.locking import sealed

__all__ = ["DECODERS", "PLAIN", "Terms"]

DECODERS = ("tied", "untied")


@sealed
@dataclass(frozen=True)
class Terms:
    """
    Terms of a problem; those that are not given change nothing.

    Attributes
    ----------
    decoder : {"tied", "untied"}
        Whether W_out is W^T or free.
    bias : float or array_like of shape (n,), optional
        The output bias, if it is given instead of learned: one number, 0 for a model without bias, or one per feature.
    unit_norms : bool
        Whether every column of W has length 1.
    noise : float
        Standard deviation of Gaussian noise on every hidden dimension, >= 0.
    decay : float
        Weight decay, >= 0: decay / 2 times the squares of all weights, biases excepted; its gradient is decay W.
    l1 : float
        Weight of the L1 penalty E sum_d |W_d . x| on the hidden values, >= 0.

    Raises
    ------
    ValueError
        If a number is out of its range or a name unknown.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> Terms(noise=0.1, bias=0)
    Terms(bias=0.0, noise=0.1)
    """

    decoder: str = "tied"
    bias: Any = None
    unit_norms: bool = False
    noise: float = 0.0
    decay: float = 0.0
    l1: float = 0.0

    def __post_init__(self) -> None:
        """Check every term."""
        choose("decoder", self.decoder, dict.fromkeys(DECODERS))
        if not isinstance(self.unit_norms, (bool, np.bool_)):
            raise TypeError(f"unit_norms must be True or False, got {self.unit_norms!r}")
        object.__setattr__(self, "unit_norms", bool(self.unit_norms))
        for name in ("noise", "decay", "l1"):
            object.__setattr__(self, name, _not_negative(name, getattr(self, name)))
        if self.bias is not None:
            object.__setattr__(self, "bias", _bias(self.bias))

    def __repr__(self) -> str:
        """Name the terms that are not the default."""
        return f"Terms({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"

    @property
    def given(self) -> dict[str, object]:
        """The terms that differ from the default, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @cached_property
    def plain(self) -> bool:
        """Whether there are none."""
        return not self.given

    @property
    def tied(self) -> bool:
        """Whether W_out is W^T."""
        return self.decoder == "tied"

    def bias_of(self, n: int) -> Float[ndarray, " n"] | None:
        """
        Give the bias of every output, if it is not learned.

        Parameters
        ----------
        n : int
            Number of features.

        Returns
        -------
        ndarray, shape (n,), or None
            The bias.

        Raises
        ------
        ValueError
            If as many are not given.
        """
        if self.bias is None:
            return None
        if isinstance(self.bias, tuple) and len(self.bias) != n:
            raise ValueError(f"terms give {len(self.bias)} biases, but there are {n} features")
        return np.broadcast_to(np.asarray(self.bias, dtype=float), (n,))

    def refuse(self, caller: str, honoured: Iterable[str] = ()) -> None:
        """
        Refuse terms that somebody does not know, so that none is ignored.

        Parameters
        ----------
        caller : str
            Who does not know them, for the message.
        honoured : iterable of str
            Names of those it knows.

        Raises
        ------
        ValueError
            If there is another.
        """
        if self.plain:
            return
        unknown = [f"{name} = {value!r}" for name, value in self.given.items() if name not in set(honoured)]
        if unknown:
            raise ValueError(f"{caller} does not know the problem's terms {', '.join(unknown)}; leave them out")

    def require_optimum(self) -> None:
        """
        Refuse what has no optimum because a change of scale, W -> c W and W_out -> W_out / c, always helps.

        Raises
        ------
        ValueError
            If noise (c grows) or the L1 penalty (c falls) is not opposed by anything.
        """
        opposed = self.tied or self.unit_norms or self.decay > 0
        if not opposed and (self.noise > 0) != (self.l1 > 0):
            which = "noise" if self.noise else "the L1 penalty"
            raise ValueError(
                f"with an untied decoder {which} alone has no optimum: weights run away to escape it; add decay or "
                "unit_norms"
            )


def _not_negative(name: str, value: object) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and >= 0, got {value!r}")
    return float(value)


def _bias(value: object) -> float | tuple[float, ...]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"bias must be a number, or one per feature, got {value!r}") from None
    if array.ndim > 1 or not np.isfinite(array).all():
        raise ValueError(f"bias must be a finite number, or one per feature, got {value!r}")
    return tuple(array.tolist()) if array.ndim else float(array)


PLAIN = Terms()
