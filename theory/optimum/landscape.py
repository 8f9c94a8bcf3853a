"""The population loss of one problem as a function of points x = (W, b), many at a time, with two derivatives.

Losses and gradients are in units of the zero model's loss. The loss is a sum over outputs of functions of n + 1
variables, the couplings g_ij and the bias b_i. Their second derivatives are carried over to (W, b) by the chain rule.
"""

import warnings
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.curvature.quick_expansion import separate_errors
from theory.loss.enumeration import max_features
from theory.loss.output_curvature import output_curvatures
from theory.loss.population import AccuracyWarning, OutputErrors, output_errors
from theory.loss.set_curvature import set_curvatures
from theory.model.activations import RELU
from theory.model.problem import Problem
from theory.model.values import UNIFORM
from theory.optimum.local_minima import row_errors

__all__ = ["Landscape"]

# Nodes with which second derivatives are known to a few digits, and arrays of so many numbers at once.
_NODES, _BLOCK_ELEMENTS = 48, 60_000
# Rows of Hessians at once, of so many numbers.
_HESSIAN_ELEMENTS = 2_000_000
# Up to so many features few nodes, the same for all points, are quickest; beyond, a relative accuracy. Where features
# are correlated that is so for longer. So many nodes do.
_FIXED_NODES, _SEARCH = 8, 1e-5
_FIXED_NODES_OF_SETS, _NODES_TO_SEARCH = 12, 64
# Up to so many features outputs are integrated one by one where the loss is wanted to all digits.
_SEPARATE = 12
# Beyond, the largest |z| hardly ever comes about: this part of the patterns with several active features is let go.
_OUTSIDE = 1e-4
# Step of the differences that give second derivatives where there is no formula.
_STEP = 1e-5


class Landscape:
    """
    The loss of one problem.

    Parameters
    ----------
    problem : Problem
        A single problem.
    rtol : float, optional
        Relative accuracy where the loss is not enumerated (1e-9 or better for independent uniform features, whatever
        it is); by default that of a search, in which all points are treated alike so that differences mean something.

    Attributes
    ----------
    problem : Problem
        The problem.
    scale : float
        The zero model's loss: the unit of values and gradients.
    """

    def __init__(self, problem: Problem, rtol: float | None = None) -> None:
        self.problem = problem
        self.scale = float(problem.zero_loss)
        self._rtol = rtol
        self._weight = problem.importance / self.scale

    @property
    def kinks(self) -> slice:
        """The biases among the entries of x."""
        return slice(self.problem.m * self.problem.n, None)

    @cached_property
    def _formula(self) -> bool:
        return self.problem.textbook

    @cached_property
    def _sets(self) -> bool:
        problem = self.problem
        return problem.features.values == UNIFORM and problem.activation == RELU and problem.terms.plain

    @property
    def smooth(self) -> bool:
        """Whether the gradient is continuous: not where values come in atoms."""
        return not self.problem.features.values.atoms

    @property
    def enumerated(self) -> bool:
        """Whether losses are exact to rounding."""
        return self.problem.n <= max_features(self.problem.features.values)

    @cached_property
    def _search_errors(self):  # type: ignore[no-untyped-def]
        return row_errors(self.problem.repeated(1), _NODES_TO_SEARCH)

    def split(self, x: Float[ndarray, "k d"]) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]]:
        """W and b of every point."""
        m, n = self.problem.m, self.problem.n
        return x[:, : m * n].reshape(-1, m, n), x[:, m * n :]

    def join(self, W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"]) -> Float[ndarray, "k d"]:
        """Points from W and b."""
        return np.concatenate([W.reshape(len(W), self.kinks.start), b], axis=1)

    def errors(self, G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"]) -> OutputErrors:
        """Expected squared errors of all outputs."""
        few = _FIXED_NODES if self.problem.features.independent or not self._sets else _FIXED_NODES_OF_SETS
        if self.enumerated or (self._rtol is None and self.problem.n <= few):
            return self._search_errors(G, b, np.zeros(len(b), dtype=int))
        if self._rtol is None or not self._formula or self.problem.n > _SEPARATE:
            with warnings.catch_warnings():  # a loss known to fewer digits still leads downhill
                warnings.simplefilter("ignore", AccuracyWarning)
                return output_errors(G, b, self.problem.repeated(len(b)), rtol=self._rtol or _SEARCH)
        found = [separate_errors(one, bias, self.problem) for one, bias in zip(G, b, strict=True)]
        return OutputErrors(*(np.concatenate([getattr(e, part) for e in found]) for part in ("value", "dG", "db")))

    @cached_property
    def alike(self) -> bool:
        """Whether features differ in importance alone, so that an exchange of two exchanges the outputs' errors."""
        return self.problem.features.independent and float(np.ptp(self.problem.density)) == 0

    def rearranged(
        self, x: Float[ndarray, " d"], orders: Int[ndarray, "p n"]
    ) -> tuple[Float[ndarray, "p d"], Float[ndarray, " p"], Float[ndarray, "p d"], Float[ndarray, "p d d"]]:
        """
        Put feature j where feature orders[., j] is; expand the loss there from one evaluation (features alike).

        Errors, their derivatives and second derivatives belong to the vertices, whichever features stand there. Only
        the importances change places.
        """
        n, own = self.problem.n, orders[:, :, None]
        W, b = self.split(x[None])
        G = W.swapaxes(-1, -2) @ W
        errors = self.errors(G, b)
        rows = np.concatenate([orders, np.full((len(orders), 1), n)], axis=1)  # the bias stays last
        second = self._curvatures(G, b)[0][own[..., None], rows[:, None, :, None], rows[:, None, None, :]]
        weight = self._weight[:, None]
        A = weight * errors.dG[0][own, orders[:, None, :]]
        V = np.moveaxis(W[0][:, orders], 1, 0)
        gradient = self.join(V @ (A + A.swapaxes(-1, -2)), self._weight * errors.db[0][orders])
        hessian = _chain(V, weight[..., None] * second, A)
        return self.join(V, b[0][orders]), errors.value[0][orders] @ self._weight, gradient, hessian

    def slopes(self, x: Float[ndarray, "k d"]) -> tuple[ndarray, ndarray, ndarray]:
        """Losses, gradients, and the weighted derivatives in the couplings."""
        W, b = self.split(x)
        errors = self.errors(W.swapaxes(-1, -2) @ W, b)
        A = self._weight[:, None] * errors.dG
        dW = W @ (A + A.swapaxes(-1, -2))
        return errors.value @ self._weight, self.join(dW, self._weight * errors.db), A

    def hessians(self, x: Float[ndarray, "k d"], memory: Float[ndarray, "k n n"]) -> Float[ndarray, "k d d"]:
        """Second derivatives to a few digits, on one side of a kink."""
        d = x.shape[1]
        rows = max(1, _HESSIAN_ELEMENTS // d**2)
        blocks = [slice(first, first + rows) for first in range(0, len(x), rows)]
        return np.concatenate([self._block_hessians(x[k], memory[k]) for k in blocks])

    def _block_hessians(self, x: Float[ndarray, "k d"], A: Float[ndarray, "k n n"]) -> Float[ndarray, "k d d"]:
        W, b = self.split(x)
        second = self._curvatures(W.swapaxes(-1, -2) @ W, b)
        return _chain(W, self._weight[:, None, None] * second, A)

    def _curvatures(self, G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"]) -> Float[ndarray, "k n v v"]:
        """Second derivatives of every output's error in its couplings and bias."""
        if self._formula:
            return self._formula_curvatures(G, b)
        if self._sets:
            return self._set_curvatures(G, b)
        return self._difference_curvatures(G, b)

    def _formula_curvatures(self, G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"]) -> Float[ndarray, "k n v v"]:
        """By theory.loss.output_curvature."""
        k, n = b.shape
        order = _own_first(n)
        c = np.take_along_axis(G, np.broadcast_to(order, (k, n, n)), -1).reshape(k * n, n)
        density, bias = np.tile(self.problem.density[order], (k, 1)), b.reshape(-1)
        rows = max(1, _BLOCK_ELEMENTS // (_NODES * n))
        blocks = [slice(first, first + rows) for first in range(0, k * n, rows)]
        outside = 0.0 if n <= _SEPARATE else _OUTSIDE
        found = np.concatenate([output_curvatures(c[s], bias[s], density[s], _NODES, outside) for s in blocks])
        place = np.concatenate([order, np.full((n, 1), n)], axis=1)
        second = np.empty((k, n, n + 1, n + 1))
        own = np.arange(n)[:, None, None]
        second[:, own, place[:, :, None], place[:, None, :]] = found.reshape(k, n, n + 1, n + 1)
        return second

    def _set_curvatures(self, G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"]) -> Float[ndarray, "k n v v"]:
        """By theory.loss.set_curvature."""
        k, n = b.shape
        own, features = np.tile(np.arange(n), k), self.problem.features
        models = max(1, _BLOCK_ELEMENTS // (_NODES * n))
        found = []
        for first in range(0, k, models):
            block = slice(first, first + models)
            rows = G[block].reshape(-1, n), b[block].reshape(-1), own[: n * len(b[block])]
            found.append(set_curvatures(*rows, features, _NODES))
        return np.concatenate(found).reshape(k, n, n + 1, n + 1)

    def _difference_curvatures(self, G: Float[ndarray, "k n n"], b: Float[ndarray, "k n"]) -> Float[ndarray, "k n v v"]:
        """From differences of gradients, away from the kink at bias zero."""
        k, n = b.shape
        moved_G, moved_b = np.tile(G, (n + 2, 1, 1, 1)), np.tile(b, (n + 2, 1, 1))
        for j in range(n):  # one coupling of every output at once, since outputs do not mix
            moved_G[j + 1, :, :, j] += _STEP
        away = np.where(b > 0, _STEP, -_STEP)
        moved_b[n + 1] += away
        errors = self.errors(moved_G.reshape(-1, n, n), moved_b.reshape(-1, n))
        gradient = np.concatenate([errors.dG, errors.db[..., None]], -1).reshape(n + 2, k, n, n + 1)
        change = gradient[1:] - gradient[:1]
        change[:n] /= _STEP
        change[n] /= away[..., None]
        second = np.moveaxis(change, 0, -1)
        return (second + second.swapaxes(-1, -2)) / 2


def _own_first(n: int) -> Int[ndarray, "n n"]:
    """Orders of the features that exchange the first and each output's own."""
    order = np.tile(np.arange(n), (n, 1))
    own = np.arange(n)
    order[own, 0], order[own, own] = own, 0
    return order


def _chain(
    W: Float[ndarray, "k m n"], second: Float[ndarray, "k n v v"], A: Float[ndarray, "k n n"]
) -> Float[ndarray, "k d d"]:
    """
    Second derivatives in couplings and biases carried over to (W, b), for a batch (theory.curvature.expansion).

    With T_i those of output i in its couplings g_ij = w_i . w_j, a column w_j meets w_l through every output i,
    sum_i T_i[j, l] w_i w_i^T, and w_i itself as the one that reads, T_i w. No larger array than the result is made.
    """
    k, m, n = W.shape
    own, T = np.arange(n), second[..., :n, :n]
    pairs = (W[:, :, None] * W[:, None]).reshape(k, m * m, n)  # w_i w_i^T
    H = (pairs @ T.reshape(k, n, n * n)).reshape(k, m, m, n, n).swapaxes(2, 3).copy()  # [a, j, b, l]
    read = W[:, None] @ T  # [i, a, l]
    mixed = read.swapaxes(1, 2)[:, :, :, None] * W.swapaxes(1, 2)[:, None, :, :, None]  # [a, i, b, l]
    H += mixed
    H += mixed.transpose(0, 3, 4, 1, 2)
    H[:, :, own, :, own] += (read @ W.swapaxes(1, 2)[:, None]).swapaxes(0, 1)
    H[:, np.arange(m), :, np.arange(m)] += A + A.swapaxes(1, 2)
    bent = second[..., :n, n]  # [i, j]
    beside = W[:, :, None] * bent.swapaxes(1, 2)[:, None]  # [a, j, i]
    beside[:, :, own, own] += W @ bent.swapaxes(1, 2)
    beside = beside.reshape(k, m * n, n)
    biases = second[:, own, n, n, None] * np.eye(n)
    return np.block([[H.reshape(k, m * n, m * n), beside], [beside.swapaxes(1, 2), biases]])
