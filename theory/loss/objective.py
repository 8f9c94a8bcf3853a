"""The loss of a problem with terms as a function of its free parameters, many points at a time.

A point is a flat vector: the rows of W, those of W_out^T where the decoder is untied, then b, as the
trainer stacks them. A given bias stays what it is, its entries notwithstanding. Where columns of W have length 1 the
loss is that of W_j / |W_j|: it does not change along W_j, and is differentiable without constraint.
"""

import warnings

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.loss.accuracy import AccuracyWarning
from theory.loss.enumeration import max_features
from theory.loss.outputs import output_values
from theory.loss.terms import Value, loss_with_terms
from theory.model.problem import Problem
from theory.model.values import UNIFORM

__all__ = ["Objective", "losses"]

# Beyond the features that are enumerated, few nodes, the same at all points, so that differences mean something: at
# least so many, and so many per feature (theory.optimum.local_minima).
_NODES, _NODES_PER_FEATURE = 96, 10
_TINY = float(np.finfo(float).tiny)


class Objective:
    """
    The loss as a function of points.

    Parameters
    ----------
    problem : Problem
        A single problem, or a batch of them with one axis.
    rtol : float
        Relative accuracy of losses that are not enumerated.
    exact : bool
        Whether ``rtol`` is kept beyond the features that are enumerated, too, where fixed nodes are quicker.
    most_nodes : int, optional
        At most so many nodes where losses are integrated to ``rtol``.
    """

    def __init__(
        self, problem: Problem, rtol: float = 1e-9, exact: bool = False, most_nodes: int | None = None
    ) -> None:
        self.problem, self.rtol, self.most_nodes = problem, rtol, most_nodes
        self.terms, self.m, self.n = problem.terms, problem.m, problem.n
        self.rows = self.m if self.terms.tied else 2 * self.m
        self.size = (self.rows + 1) * self.n
        self.bias = self.terms.bias_of(self.n)
        values = problem.features.values  # other laws decay too unlike one another for a number of nodes
        accurate = exact or values != UNIFORM or self.n <= max_features(values)
        self.nodes = None if accurate else max(_NODES, _NODES_PER_FEATURE * self.n)

    def join(
        self, W: Float[ndarray, "*k m n"], b: Float[ndarray, "*k n"], W_out: Float[ndarray, "*k n m"] | None = None
    ) -> Float[ndarray, "*k d"]:
        """
        Give points.

        Parameters
        ----------
        W : ndarray, shape (*k, m, n)
            Embeddings.
        b : ndarray, shape (*k, n)
            Biases.
        W_out : ndarray, shape (*k, n, m), optional
            Decoders, where they are free; W^T by default.

        Returns
        -------
        ndarray, shape (*k, d)
            Points, on which constraints hold.
        """
        parts = [W]
        if not self.terms.tied:
            parts.append(W if W_out is None else W_out.swapaxes(-1, -2))
        theta = np.concatenate([*parts, b[..., None, :]], axis=-2)
        return self.held(theta.reshape(*b.shape[:-1], self.size))

    def held(self, x: Float[ndarray, "*k d"]) -> Float[ndarray, "*k d"]:
        """
        Put points where constraints hold.

        Parameters
        ----------
        x : ndarray, shape (*k, d)
            Points.

        Returns
        -------
        ndarray, shape (*k, d)
            With columns of W of length 1, and the given bias.
        """
        theta = x.reshape(*x.shape[:-1], self.rows + 1, self.n).copy()
        if self.terms.unit_norms:
            W = theta[..., : self.m, :]
            W /= np.maximum(np.sqrt((W**2).sum(-2, keepdims=True)), _TINY)
        if self.bias is not None:
            theta[..., -1, :] = self.bias
        return theta.reshape(x.shape)

    def split(self, x: Float[ndarray, "*k d"]) -> tuple[ndarray, ndarray, ndarray | None]:
        """
        Give the parameters of points.

        Parameters
        ----------
        x : ndarray, shape (*k, d)
            Points.

        Returns
        -------
        W : ndarray, shape (*k, m, n)
            Embeddings.
        b : ndarray, shape (*k, n)
            Biases.
        W_out : ndarray, shape (*k, n, m), or None
            Decoders, where they are free.
        """
        theta = self.held(x).reshape(*x.shape[:-1], self.rows + 1, self.n)
        W_out = None if self.terms.tied else theta[..., self.m : 2 * self.m, :].swapaxes(-1, -2)
        return theta[..., : self.m, :], theta[..., -1, :], W_out

    def evaluate(self, x: Float[ndarray, "k d"], which: Int[ndarray, " k"] | None = None) -> Value:
        """
        Give losses and their gradients in all entries of W, b and W_out.

        Parameters
        ----------
        x : ndarray, shape (k, d)
            Points.
        which : ndarray of int, shape (k,), optional
            The problem of a batch that each point belongs to.

        Returns
        -------
        Value
            As ``loss_with_terms`` gives it.
        """
        problem = self.problem if which is None or not self.problem.batch_shape else self.problem.take(which)
        with warnings.catch_warnings():  # a loss known to fewer digits still leads downhill
            warnings.simplefilter("ignore", AccuracyWarning)
            W, b, W_out = self.split(x)
            return loss_with_terms(W, b, W_out, problem, rtol=self.rtol, nodes=self.nodes, most_nodes=self.most_nodes)

    def __call__(
        self, x: Float[ndarray, "k d"], which: Int[ndarray, " k"] | None = None
    ) -> tuple[Float[ndarray, " k"], Float[ndarray, "k d"]]:
        """
        Give losses and gradients.

        Parameters
        ----------
        x : ndarray, shape (k, d)
            Points.
        which : ndarray of int, shape (k,), optional
            The problem of a batch that each point belongs to.

        Returns
        -------
        loss : ndarray, shape (k,)
            Losses with all terms.
        gradient : ndarray, shape (k, d)
            Their gradients; 0 in given biases, orthogonal to columns whose length is 1.
        """
        found = self.evaluate(x, which)
        dW = found.dW
        if self.terms.unit_norms:
            V = x.reshape(len(x), self.rows + 1, self.n)[:, : self.m]
            dW = tangent(dW, V)
        db = found.db if self.bias is None else np.zeros_like(found.db)
        parts = [dW] if found.dW_out is None else [dW, found.dW_out.swapaxes(-1, -2)]
        return found.loss, np.concatenate([*parts, db[:, None]], axis=1).reshape(len(x), self.size)


def losses(
    problem: Problem, W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"], rtol: float = 1e-7
) -> Float[ndarray, " k"]:
    """
    Give the losses of many models with tied weights, with all terms.

    Parameters
    ----------
    problem : Problem
        A batch of k problems (one axis), or a single one.
    W : ndarray, shape (k, m, n)
        Embeddings.
    b : ndarray, shape (k, n)
        Biases, which give way to those that the problem gives.
    rtol : float
        Relative accuracy where losses are not enumerated.

    Returns
    -------
    ndarray, shape (k,)
        Losses.
    """
    if problem.terms.plain:
        with warnings.catch_warnings():  # as for problems with terms
            warnings.simplefilter("ignore", AccuracyWarning)
            values = output_values(W.swapaxes(-1, -2) @ W, b, problem, rtol)
        return np.asarray((problem.importance * values).sum(-1))
    objective = Objective(problem, rtol, exact=True)
    return np.asarray(objective.evaluate(objective.join(W, b)).loss)


def tangent(dW: Float[ndarray, "k m n"], V: Float[ndarray, "k m n"]) -> Float[ndarray, "k m n"]:
    """Carry a gradient in W_j = V_j / |V_j| over to V."""
    norm = np.maximum(np.sqrt((V**2).sum(-2, keepdims=True)), _TINY)
    unit = V / norm
    return (dW - unit * (unit * dW).sum(-2, keepdims=True)) / norm
