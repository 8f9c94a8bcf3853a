"""What holds during a descent: a given bias, columns of length 1; and weight decay that is part of the loss."""

import numpy as np
from numpy import ndarray

from theory.model.terms import Terms

__all__ = ["Held"]

_TINY = 1e-30


class Held:
    """
    The terms of a problem that concern parameters alone, for parameters stacked as in ``numerics.training.kernels``.

    Parameters
    ----------
    terms : Terms
        The problem's terms.
    m, n : int
        Hidden dimensions and features.
    """

    def __init__(self, terms: Terms, m: int, n: int) -> None:
        self.m, self.terms, self.bias = m, terms, terms.bias_of(n)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self.bias is None and not (self.terms.unit_norms or self.terms.decay)

    def slope(self, theta: ndarray, gradient: ndarray) -> None:
        """
        Add the decay to a gradient, and take off what leads away from a constraint; in place.

        Parameters
        ----------
        theta : ndarray, shape (runs, rows, n)
            Parameters, on which constraints hold.
        gradient : ndarray, shape (runs, rows, n)
            Gradient of the rest of the loss.
        """
        if self.terms.decay:
            gradient[:, :-1] += theta.dtype.type(self.terms.decay) * theta[:, :-1]
        if self.terms.unit_norms:
            W, dW = theta[:, : self.m], gradient[:, : self.m]
            dW -= W * (W * dW).sum(1, keepdims=True)
        if self.bias is not None:
            gradient[:, -1] = 0

    def hold(self, theta: ndarray) -> None:
        """
        Put parameters back to where constraints hold; in place.

        Parameters
        ----------
        theta : ndarray, shape (runs, rows, n)
            Parameters.
        """
        if self.terms.unit_norms:
            W = theta[..., : self.m, :]
            W /= np.maximum(np.sqrt((W * W).sum(-2, keepdims=True)), _TINY)
        if self.bias is not None:
            theta[..., -1, :] = self.bias

    def penalty(self, theta: ndarray) -> ndarray:
        """
        Give the decay's part of the loss.

        Parameters
        ----------
        theta : ndarray, shape (runs, rows, n)
            Parameters.

        Returns
        -------
        ndarray, shape (runs,)
            decay / 2 times the squares of all weights.
        """
        return np.asarray(self.terms.decay / 2 * (theta[:, :-1].astype(float) ** 2).sum((1, 2)))
