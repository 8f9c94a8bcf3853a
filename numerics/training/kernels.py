"""Gradients of many small models at once, in the layout of their batches, into buffers allocated once.

Parameters are stacked as rows of n numbers: theta[run] holds the m rows of W, then (if the weights are not
tied) the m rows of W_out^T, then the bias. Each kernel computes what ``numerics.models.loss_and_gradient``
does; they differ in speed only.

The ReLU's mask costs no comparison: the kernels compute -z, whose sign bit, shifted through the word, is all ones
where z > 0 (or is an exact zero, as no trained z is for long), and "and" it with the bits of the error.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

from numerics.models import Model, Parameters, find_model, forward, loss_and_gradient
from numerics.sampling.batches import Batch

__all__ = ["ColumnKernel", "Kernel", "ReferenceKernel", "RowKernel", "unstack"]

# Up to this many features a dot product per coupling beats a matrix product per model (measured).
_DOT_FEATURES = 8


def unstack(theta: ndarray, m: int, tied: bool = True) -> Parameters:
    """
    View stacked parameters as weights and bias.

    Parameters
    ----------
    theta : ndarray, shape (*runs, m + 1, n) or (*runs, 2 m + 1, n)
        Stacked parameters.
    m : int
        Number of hidden dimensions.
    tied : bool
        Whether the weights are tied.

    Returns
    -------
    numerics.models.Parameters
        Views of ``theta``.
    """
    W_out = None if tied else theta[..., m : 2 * m, :].swapaxes(-1, -2)
    return Parameters(theta[..., :m, :], theta[..., -1, :], W_out)


@runtime_checkable
class Kernel(Protocol):
    """Computes gradients and losses of many models, each on its own batch."""

    def gradient(self, theta: ndarray, batch: Batch, out: ndarray) -> None:
        """
        Write the gradient of the batch loss into ``out``.

        Parameters
        ----------
        theta : ndarray, shape (runs, rows, n)
            Stacked parameters.
        batch : Batch
            One batch per run.
        out : ndarray, shape (runs, rows, n)
            Overwritten.
        """

    def loss(self, theta: ndarray, batch: Batch) -> ndarray:
        """
        Give the batch loss.

        Parameters
        ----------
        theta : ndarray, shape (runs, rows, n)
            Stacked parameters.
        batch : Batch
            One batch per run.

        Returns
        -------
        ndarray, shape (runs,)
            Mean over the batch of sum_i I_i (x_i - x'_i)^2.
        """


def _sign_bits(z: ndarray) -> ndarray:
    return z.view(np.int32 if z.dtype == np.float32 else np.int64)


class _TiedKernel:
    """What the two fast kernels share: buffers of -z and x - z, and the masking of their bits."""

    def __init__(self, importance: ndarray, m: int, size: int, relu: bool) -> None:
        self.importance = importance
        self.m, self.size, self.relu = m, size, relu
        self.runs, self.n = importance.shape
        self.shape: tuple[int, ...] = ()

    def _allocate(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        dtype = self.importance.dtype
        self.minus_z, self.error = np.empty(shape, dtype), np.empty(shape, dtype)
        self.mask, self.bits = _sign_bits(self.minus_z), _sign_bits(self.error)
        self.shift = self.mask.dtype.itemsize * 8 - 1
        self.zero = np.zeros(shape, dtype)

    def _masked_error(self, x: ndarray) -> None:
        """Turn -z into the mask, and leave x - x' in ``error`` where z > 0, 0 elsewhere."""
        np.add(self.minus_z, x, out=self.error)
        if self.relu:
            np.right_shift(self.mask, self.shift, out=self.mask)
            np.bitwise_and(self.bits, self.mask, out=self.bits)

    def _full_error(self, x: ndarray) -> None:
        """Leave x - x' in ``error``."""
        if self.relu:
            np.minimum(self.minus_z, self.zero, out=self.minus_z)
        np.add(self.minus_z, x, out=self.error)


class ColumnKernel(_TiedKernel):
    """
    Models with tied weights and few features: through the couplings G = W^T W, features as rows.

    Parameters
    ----------
    importance : ndarray, shape (runs, n)
        Weights I_i, in the precision of the training.
    m : int
        Number of hidden dimensions.
    size : int
        Samples per batch, empty ones included.
    relu : bool
        Whether the output passes through a ReLU.
    """

    def __init__(self, importance: ndarray, m: int, size: int, relu: bool) -> None:
        super().__init__(importance, m, size, relu)
        runs, n = importance.shape
        dtype = importance.dtype
        self.scale = np.ascontiguousarray(-2 / size * importance[:, :, None])
        self.minus_theta = np.empty((runs, m + 1, n), dtype)
        self.coupling = np.empty((runs, n, n + 1), dtype)  # [-G | -b]
        self.product = np.empty((runs, n, n + 1), dtype)
        self.symmetric = np.empty((runs, n, n), dtype)
        self.empty_bias = np.empty((runs, n), dtype)

    def _minus_z(self, theta: ndarray, x: ndarray) -> None:
        if x.shape[2] != (self.shape[2] if self.shape else -1):
            self._allocate((self.runs, self.n, x.shape[2]))
        m, n = self.m, self.n
        # Whole arrays only: NumPy 2.4.6 negates wrongly from one strided view into another.
        np.negative(theta, out=self.minus_theta)
        np.matmul(self.minus_theta[:, :m].swapaxes(1, 2), theta[:, :m], out=self.coupling[:, :, :n])
        self.coupling[:, :, n] = self.minus_theta[:, m]
        np.matmul(self.coupling, x, out=self.minus_z)

    def gradient(self, theta: ndarray, batch: Batch, out: ndarray) -> None:
        x, n, product = batch.x, self.n, self.product
        self._minus_z(theta, x)
        self._masked_error(x[:, :n])
        if n <= _DOT_FEATURES:
            np.vecdot(self.error[:, :, None], x[:, None], out=product)
        else:
            np.matmul(self.error, x.swapaxes(1, 2), out=product)
        if batch.empty:  # x = 0 and z = b: only the bias feels these
            b = theta[:, self.m]
            if self.relu:
                b = np.maximum(b, 0, out=self.empty_bias)
            product[:, :, n] -= batch.empty * b
        product *= self.scale
        half = product[:, :, :n]
        np.add(half, half.swapaxes(1, 2), out=self.symmetric)
        np.matmul(theta[:, : self.m], self.symmetric, out=out[:, : self.m])
        out[:, self.m] = product[:, :, n]

    def loss(self, theta: ndarray, batch: Batch) -> ndarray:
        self._minus_z(theta, batch.x)
        self._full_error(batch.x[:, : self.n])
        b = theta[:, self.m]
        empty = np.maximum(b, 0) if self.relu else b
        squares = np.vecdot(self.error, self.error) + batch.empty * empty**2
        return np.asarray(np.vecdot(squares, self.importance) / self.size)


class RowKernel(_TiedKernel):
    """
    Models with tied weights and many features: through the hidden layer, samples as rows.

    Parameters
    ----------
    importance : ndarray, shape (runs, n)
        Weights I_i, in the precision of the training.
    m : int
        Number of hidden dimensions.
    size : int
        Samples per batch.
    relu : bool
        Whether the output passes through a ReLU.
    """

    def __init__(self, importance: ndarray, m: int, size: int, relu: bool) -> None:
        super().__init__(importance, m, size, relu)
        runs, n = importance.shape
        dtype = importance.dtype
        self._allocate((runs, size, n))
        self.weight = importance[:, None, :]
        self.h = np.ones((runs, size, m + 1), dtype)  # the last column of ones carries the bias
        self.dh = np.empty((runs, size, m), dtype)
        self.minus_theta = np.empty((runs, m + 1, n), dtype)
        self.weighted_W = np.empty((runs, m, n), dtype)
        self.read_in = np.empty((runs, m, n), dtype)

    def _minus_z(self, theta: ndarray, x: ndarray) -> None:
        np.matmul(x, theta[:, : self.m].swapaxes(1, 2), out=self.h[:, :, : self.m])
        np.negative(theta, out=self.minus_theta)
        np.matmul(self.h, self.minus_theta, out=self.minus_z)

    def gradient(self, theta: ndarray, batch: Batch, out: ndarray) -> None:
        x, m = batch.x, self.m
        self._minus_z(theta, x)
        self._masked_error(x)
        np.matmul(self.h.swapaxes(1, 2), self.error, out=out)
        np.multiply(theta[:, :m], self.weight, out=self.weighted_W)
        np.matmul(self.error, self.weighted_W.swapaxes(1, 2), out=self.dh)
        np.matmul(self.dh.swapaxes(1, 2), x, out=self.read_in)
        out *= self.weight
        out[:, :m] += self.read_in
        out *= -2 / self.size

    def loss(self, theta: ndarray, batch: Batch) -> ndarray:
        self._minus_z(theta, batch.x)
        self._full_error(batch.x)
        np.multiply(self.error, self.error, out=self.error)
        return np.asarray(np.vecdot(self.error.sum(1), self.importance) / self.size)


class ReferenceKernel:
    """
    Any model, by the plain formulas of ``numerics.models``.

    Parameters
    ----------
    importance : ndarray, shape (runs, n)
        Weights I_i, in the precision of the training.
    m : int
        Number of hidden dimensions.
    model : str or Model
        The model, or its name.
    l1 : float
        Weight of the L1 norm of the hidden layer.
    """

    def __init__(self, importance: ndarray, m: int, model: str | Model, l1: float = 0.0) -> None:
        self.importance, self.l1 = importance, l1
        self.m, self.model = m, model
        kind = find_model(model)
        self.tied, self.absolute = kind.tied, kind.absolute

    def gradient(self, theta: ndarray, batch: Batch, out: ndarray) -> None:
        parameters = unstack(theta, self.m, self.tied)
        gradient = loss_and_gradient(parameters, batch.x, self.importance, self.model, batch.noise, self.l1)[1]
        for target, part in zip(unstack(out, self.m, self.tied), gradient, strict=True):
            if target is not None:
                target[...] = part

    def loss(self, theta: ndarray, batch: Batch) -> ndarray:
        parameters = unstack(theta, self.m, self.tied)
        y = forward(parameters, batch.x, self.model, batch.noise)
        error = y - (np.abs(batch.x) if self.absolute else batch.x)
        loss = np.asarray(np.vecdot((error**2).mean(1), self.importance))
        if self.l1:
            loss = loss + self.l1 * np.abs(batch.x @ parameters.W.swapaxes(-1, -2)).sum(-1).mean(-1)
        return loss
