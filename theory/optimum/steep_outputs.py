"""Descents of models with a free decoder, some of whose outputs are steep.

In h = x_1 + e x_2 an output can read x_2 where x_1 is at an end t of its values: ReLU((h - t) / e). As e changes, the
decoder's 1 / e and the bias -t / e must follow, through a curved valley with walls 1 / e^2 as steep as its floor, in
which quasi-Newton steps in (W, W_out, b) get stuck. The valley is straight in coordinates in which a steep output is

    z_i = r_i (U_i . h + c_i) / (U_i . W_i) ,    that is W_out,i = r_i U_i / (U_i . W_i),  b_i = r_i c_i / (U_i . W_i) :

r_i = (W_out W)_ii is the slope in its own feature, and stays what it is as e changes. W has orthonormal rows at first,
which a free decoder makes no restriction, and (U_i, c_i) are counted in units of |r_i| / |W_out,i|. The length of U_i
does not matter.

Where values come in atoms, the least loss may not be attained: in the example output 2 reads x_2 without error whenever
x_1 = t, however small e is, while the error of output 1 is of order e^2. The infimum is approached as e falls.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.loss.objective import Objective
from theory.model.problem import Problem
from theory.tools.quasi_newton import Minima, minimise

__all__ = ["ROUNDS", "descend", "has_steep_outputs", "in_hidden_units", "steepness"]

# Rows of the decoder longer than this, W having orthonormal rows, are steep if they read their feature at all.
_STEEP, _READS = 2.0, 0.1
# Beyond the first, rounding hides the floor of the valley, so that nothing else is optimised any more: descents end,
# and others begin where outputs are as steep as the second, at the price of its square's inverse.
_STEEPEST, _BACK = 1e5, 1e4
# Slopes are kept this far off 0, where coordinates end.
_FLOOR = 1e-12
# Descents one after the other, each in the coordinates that fit where the last one ended, until one gains less than
# this part of the loss, or of the zero model's.
ROUNDS, _GAIN, _NOTHING = 12, 1e-8, 1e-14

Weights = tuple[Float[ndarray, "k m n"], Float[ndarray, "k n m"]]


def has_steep_outputs(problem: Problem) -> bool:
    """
    Say whether nothing keeps outputs from being steep.

    Parameters
    ----------
    problem : Problem
        The problem.

    Returns
    -------
    bool
        Whether the decoder is free, no term depends on the scale of weights, and the activation has a kink.
    """
    terms = problem.terms
    held = terms.tied or terms.unit_norms or terms.decay or terms.noise or terms.l1
    return not held and problem.m <= problem.n and bool(problem.activation.kinks)


def in_hidden_units(W: Float[ndarray, "k m n"], W_out: Float[ndarray, "k n m"]) -> Weights:
    """
    Give the same couplings, W having orthonormal rows.

    Parameters
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings.
    W_out : ndarray, shape (k, n, m)
        Decoders.

    Returns
    -------
    W, W_out : ndarray
        Embeddings and decoders with the same product.
    """
    left, size, right = np.linalg.svd(W, full_matrices=False)
    return right, W_out @ (left * size[..., None, :])


def steepness(W: Float[ndarray, "k m n"], W_out: Float[ndarray, "k n m"]) -> Float[ndarray, "k n"]:
    """
    Say how steep outputs are.

    Parameters
    ----------
    W : ndarray, shape (k, m, n)
        Embeddings.
    W_out : ndarray, shape (k, n, m)
        Decoders.

    Returns
    -------
    ndarray, shape (k, n)
        Length of the decoder's row, W having orthonormal rows, where that is more than 2 and the output reads its own
        feature; else 0.
    """
    W, V = in_hidden_units(W, W_out)
    length, own = np.sqrt((V**2).sum(-1)), np.einsum("kia,kai->ki", V, W)
    return np.where((length > _STEEP) & (np.abs(own) > _READS), length, 0.0)


class _Coordinates:
    """Offsets y = (W, U, c, r) from k points, in the units in which the valley is round; a plain output has U, c."""

    def __init__(self, objective: Objective, x: Float[ndarray, "k d"]) -> None:
        self.objective = objective
        W, b, V = objective.split(x)
        assert V is not None
        steep = steepness(W, V) > 0
        some = steep.any(-1)
        W, V = W.copy(), V.copy()
        W[some], V[some] = in_hidden_units(W[some], V[some])
        length, own = np.sqrt((V**2).sum(-1)), np.einsum("kia,kai->ki", V, W)
        unit = np.where(steep, length, 1.0)
        slope = own / unit  # of the feature's column along the output's direction
        far = steep & (length > _STEEPEST * np.abs(own))
        W += ((np.where(far, np.sign(own) / _BACK - slope, 0.0) / unit)[..., None] * V).swapaxes(1, 2)
        self.steep: Bool[ndarray, "k n"] = steep
        self.origin = self._flat(W, V / unit[..., None], b / unit, np.where(steep, own, 0.0))
        short = np.where(steep, np.where(far, 1 / _BACK, np.minimum(1.0, np.abs(slope))), 1.0)
        one = np.ones_like(W)
        self.unit = self._flat(one, one.swapaxes(1, 2) * short[..., None], short, np.ones_like(b))

    @staticmethod
    def _flat(W: ndarray, U: ndarray, c: ndarray, r: ndarray) -> Float[ndarray, "k s"]:
        k = len(W)
        return np.concatenate([W.reshape(k, -1), U.reshape(k, -1), c, r], axis=1)

    def _parts(self, y: Float[ndarray, "k s"], rows: Int[ndarray, " k"]) -> tuple[ndarray, ...]:
        """W, U, c, r, the slopes U_i . W_i kept off 0, what they change by, and the factors that make W_out of U."""
        m, n, k = self.objective.m, self.objective.n, len(y)
        W, U, c, r = np.split(self.origin[rows] + self.unit[rows] * y, [m * n, 2 * m * n, 2 * m * n + n], axis=1)
        W, U = W.reshape(k, m, n), U.reshape(k, n, m)
        own = np.einsum("kia,kai->ki", U, W)
        size = np.sqrt(own**2 + _FLOOR**2)
        own, change = np.where(own < 0, -size, size), np.abs(own) / size
        return W, U, c, r, own, change, np.where(self.steep[rows], r / own, 1.0)

    def points(self, y: Float[ndarray, "k s"], rows: Int[ndarray, " k"]) -> Float[ndarray, "k d"]:
        """Points of the objective."""
        W, U, c, _, _, _, factor = self._parts(y, rows)
        return self.objective.join(W, factor * c, factor[..., None] * U)

    def pulled_back(
        self, y: Float[ndarray, "k s"], rows: Int[ndarray, " k"], slope: Float[ndarray, "k d"]
    ) -> Float[ndarray, "k s"]:
        """Carry a gradient in points over to y."""
        m, n, steep = self.objective.m, self.objective.n, self.steep[rows]
        W, U, c, r, own, change, factor = self._parts(y, rows)
        theta = slope.reshape(len(y), 2 * m + 1, n)
        dW, dV, db = theta[:, :m], theta[:, m:-1].swapaxes(1, 2), theta[:, -1]
        dr = np.where(steep, ((dV * U).sum(-1) + db * c) / own, 0.0)
        down = (-dr * r / own * change)[..., None]
        dW = dW + (down * U).swapaxes(1, 2)
        dU = factor[..., None] * dV + down * W.swapaxes(1, 2)
        return self._flat(dW, dU, factor * db, dr) * self.unit[rows]


def descend(
    objective: Objective,
    scale: Float[ndarray, " k"],
    x: Float[ndarray, "k d"],
    tolerance: float,
    iterations: int,
    rounds: int = ROUNDS,
) -> Minima:
    """
    Run points down, each in coordinates in which its steep outputs are easy to follow.

    Parameters
    ----------
    objective : Objective
        The loss of a batch of problems with a free decoder.
    scale : ndarray, shape (k,)
        The zero models' losses.
    x : ndarray, shape (k, d)
        Starting points, one per problem.
    tolerance : float
        Largest gradient component at the end, in units of ``scale``; in the coordinates of the steep outputs.
    iterations : int
        Most iterations of a descent.
    rounds : int
        Most descents of a point, which end where outputs become so steep that rounding matters; from such a start they
        begin where outputs are less so.

    Returns
    -------
    Minima
        Points of the objective. Those without steep outputs are where a plain descent ends, and have been descended
        from once; the inverse Hessians of others are not known, and are the identity.
    """
    todo, found = np.arange(len(x)), None
    for _ in range(rounds):
        coordinates = _Coordinates(objective, x[todo] if found is None else found.x[todo])

        def scaled(y: ndarray, which: ndarray, at: _Coordinates = coordinates, every: ndarray = todo) -> tuple:
            rows = every[which]
            loss, slope = objective(at.points(y, which), rows)
            return loss / scale[rows], at.pulled_back(y, which, slope) / scale[rows, None]

        end = minimise(scaled, np.zeros_like(coordinates.origin), tolerance, iterations)
        point = coordinates.points(end.x, np.arange(len(todo)))
        value, slope = objective(point, todo)
        value, slope = value / scale[todo], slope / scale[todo, None]
        steep = coordinates.steep.any(-1)
        if found is None:
            inverse = end.inverse[:, : objective.size, : objective.size].copy()
            inverse[steep] = np.eye(objective.size)
            found, gain = Minima(point, value, slope, end.converged, inverse), np.full(len(x), np.inf)
        else:
            gain = found.value[todo] - value
            better = gain > 0
            for old, new in ((found.x, point), (found.value, value), (found.gradient, slope)):
                old[todo[better]] = new[better]
            found.converged[todo[better]] = end.converged[better]
            found.inverse[todo] = np.eye(objective.size)
        W, _, V = objective.split(found.x[todo])
        assert V is not None
        steep = steepness(W, V).max(-1)
        todo = todo[(steep > 0) & (steep < _STEEPEST) & (gain > _GAIN * value + _NOTHING)]
        if not len(todo):
            break
    assert found is not None
    return found
