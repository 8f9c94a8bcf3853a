"""The best laws of cosines that groups of unit vectors could have: the relaxed coupling laws of an uneven frame.

Features of one group share density, importance, norm and bias; k_a of group a are stored. An output of group a knows
of group b only the law mu_ab of the cosines between them (theory.frames.output_loss). For unit vectors the sums of
P_d over all pairs of two groups make a positive semidefinite matrix for every Gegenbauer polynomial P_d (Schoenberg,
applied with any weights of the groups), hence so is

    S_ab = sqrt(k_a k_b) Int P_d dmu_ab  (a != b) ,     S_aa = 1 + (k_a - 1) Int P_d dmu_aa .

Under these inequalities the importance-weighted sum of losses is minimised over norms, biases, numbers stored and laws
together, by L-BFGS with a barrier -mu log of the eigenvalues of S, whose strength mu falls. The laws have a few
cosines each, which move, beginning with those of Gauss's quadrature on the sphere. What is left at the end is made to
fulfil the inequalities by mixing in a little of the sphere's own law.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize

from theory.frames.gegenbauer import gegenbauer
from theory.frames.mean_field import CosineLaw
from theory.frames.output_loss import NEVER, Nodes, OutputField, left_out_error
from theory.frames.relaxation import sphere_law, tidied
from theory.model.values import ValueLaw

__all__ = ["DEGREES", "GroupState", "Groups", "relaxed_groups"]

# Inequalities up to this degree, and steps of a descent at each strength of the barrier.
DEGREES, _STEPS = 6, 60
# Strengths of the barrier in units of the loss; eigenvalues below this part of the strength meet a parabola instead.
_BARRIER, _PARABOLA = (1e-2, 1e-3, 1e-4, 1e-5), 0.3
# Variables are measured in this unit: the first step of L-BFGS has length 1, and longer ones leave the basin.
_UNIT = 0.02
# Weights of cosines do not fall below this, lest all of a law vanish; at the end they count for nothing.
_LEAST = 1e-6
# Part of the sphere's own law in the laws to begin with.
_SHARE = 0.02
# Densities are equal if they differ by less, relatively.
_DENSER = 1e-9
# Accuracy of losses in units of the zero model's, and the most nodes for it.
_ACCURACY, _MOST_NODES = 1e-5, 2**11
# Of log g and b / g.
_BOUNDS = ((-6.0, 3.0), (-15.0, 5.0))


@dataclass(frozen=True, eq=False)
class Groups:
    """
    Groups of features.

    Attributes
    ----------
    density : ndarray, shape (a,)
        Density of every feature of a group.
    weights : list of ndarray
        Importances of the features of each group, descending: those that are worth most are stored first.
    m : int
        Hidden dimensions.
    values : ValueLaw
        Law of an active feature's value.
    noise : float
        Standard deviation of Gaussian noise on every hidden dimension, >= 0.
    """

    density: Float[ndarray, " a"]
    weights: list[ndarray]
    m: int
    values: ValueLaw
    noise: float = 0.0

    @cached_property
    def sizes(self) -> Float[ndarray, " a"]:
        """Features of each group."""
        return np.array([float(len(some)) for some in self.weights])

    @cached_property
    def _sums(self) -> list[ndarray]:
        return [np.r_[0.0, np.cumsum(some)] for some in self.weights]

    @cached_property
    def importance(self) -> Float[ndarray, " a"]:
        """All importance of each group."""
        return np.array([some[-1] for some in self._sums])

    def stored_importance(self, k: Float[ndarray, " a"]) -> tuple[Float[ndarray, " a"], Float[ndarray, " a"]]:
        """Importance of the first k features of every group, linear between whole numbers, and its slope."""
        whole = np.minimum(k.astype(int), self.sizes.astype(int) - 1)
        slope = np.array([some[j] for some, j in zip(self.weights, whole, strict=True)])
        below = np.array([some[j] for some, j in zip(self._sums, whole, strict=True)])
        return below + (k - whole) * slope, slope

    def first(self, count: int) -> "Groups":
        """The first groups alone."""
        return Groups(self.density[:count], self.weights[:count], self.m, self.values, self.noise)

    @property
    def zero_loss(self) -> float:
        """Loss of the zero model."""
        return float(self.importance @ self.density) * self.values.square

    @property
    def left_out(self) -> Float[ndarray, " a"]:
        """Loss of one feature of each group that is left out, at its best bias, not weighted."""
        return left_out_error(self.density, self.values)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs (a, b) with a <= b, in the order of all lists of laws."""
        return list(combinations_with_replacement(range(len(self.sizes)), 2))


@dataclass(frozen=True, eq=False)
class GroupState:
    """
    Norms, biases, numbers stored and laws of cosines.

    Attributes
    ----------
    coupling, bias, stored : ndarray, shape (a,)
        Squared norm, bias and number of stored features of each group.
    laws : list of CosineLaw
        Laws between groups, in the order of ``Groups.pairs``.
    loss : float
        Total loss.
    losses : ndarray, shape (a,)
        Loss of one stored feature of each group.
    violation : float
        By how much the smallest eigenvalue of the matrices S is below 0; 0 where the inequalities hold.
    """

    coupling: Float[ndarray, " a"]
    bias: Float[ndarray, " a"]
    stored: Float[ndarray, " a"]
    laws: list[CosineLaw]
    loss: float = np.inf
    losses: Float[ndarray, " a"] | None = None
    violation: float = np.inf


def relaxed_groups(
    groups: Groups, start: GroupState, barrier: Sequence[float] = _BARRIER, first: bool = True, degrees: int = DEGREES
) -> GroupState:
    """
    Minimise the total loss under the matrix inequalities, downhill from a start.

    Parameters
    ----------
    groups : Groups
        Features.
    start : GroupState
        Where to begin; its laws need not fulfil the inequalities.
    barrier : sequence of float
        Strengths of the barrier, one descent after the other.
    first : bool
        Whether the start is far from a minimum.
    degrees : int
        Largest degree of the inequalities.

    Returns
    -------
    GroupState
        A local minimum; ``violation`` tells how well the inequalities hold.
    """
    search = _Search(groups, degrees)
    state = search.mixed(start, _SHARE)
    if first:  # from far away features are left out too easily: norms and biases come first, numbers last
        state = search.descend(state, barrier[0], laws=False, numbers=False)
        state = search.descend(state, barrier[0], numbers=False)
    for strength in barrier:
        state = search.descend(state, strength)
    state = search.repaired(state)
    total, losses, _ = search.value(state, search.nodes(state))
    missed = max(0.0, -float(np.linalg.eigvalsh(search.matrices(state)[0]).min()))
    return GroupState(state.coupling, state.bias, state.stored, state.laws, total, losses, missed)


class _Search:
    """Descents for given groups."""

    def __init__(self, groups: Groups, degrees: int) -> None:
        self.groups, self.degrees = groups, degrees
        self.pairs, self.scale, A = groups.pairs, groups.zero_loss, len(groups.sizes)
        self.first, self.second = np.array(self.pairs).T
        self.own = self.first == self.second
        self.place = np.zeros((A, A), dtype=int)
        self.place[self.first, self.second] = self.place[self.second, self.first] = np.arange(len(self.pairs))

    # Losses

    def nodes(self, state: GroupState) -> list[Nodes]:
        """Frequencies of every group's row."""
        found = []
        for a, row in enumerate(self._rows(state)):
            field, y, N = row
            accuracy = _ACCURACY * self._share(a)
            nodes = field.nodes(state.coupling[a] * 1.1, state.bias[a], 1.1 * y, N, accuracy)
            found.append(Nodes(nodes.step, min(nodes.count, _MOST_NODES)))
        return found

    def _share(self, a: int) -> float:
        """A row may err by the more, in units of its own p E u^2, the less its group weighs."""
        groups = self.groups
        weight = groups.importance * groups.density
        return float(min(weight.sum() / weight[a], 100.0))

    def _rows(self, state: GroupState) -> Iterator[tuple[OutputField, ndarray, ndarray]]:
        """Field, couplings and counts of every group's row."""
        groups, g, k = self.groups, state.coupling, state.stored
        silence = np.exp(np.minimum(k, groups.sizes) @ np.log(np.maximum(1 - groups.density, NEVER)))
        for a in range(len(g)):
            laws = [state.laws[self.place[a, b]] for b in range(len(g))]
            y = [np.sqrt(g[a] * g[b]) * laws[b].cosines for b in range(len(g))]
            N = [self._others(k, a, b) * laws[b].weights for b in range(len(g))]
            p = [np.full(len(laws[b].cosines), groups.density[b]) for b in range(len(g))]
            # Rare outputs see dense features one by one, each its own part of them; of others all see the same.
            pooled = [groups.density[b] > groups.density[a] * (1 + _DENSER) for b in range(len(g))]
            own = np.concatenate([np.full(len(n), not one) for n, one in zip(N, pooled, strict=True)])
            label = np.concatenate([np.full(len(n), b) for b, n in enumerate(N)])
            pools = np.unique(np.where(own, len(g) + np.arange(len(own)), label), return_inverse=True)[1]
            seen = np.concatenate(p)
            field = OutputField(groups.density[a], seen, groups.values, groups.noise, float(silence), pools)
            yield field, np.concatenate(y), np.concatenate(N)

    def _others(self, k: ndarray, a: int, b: int) -> float:
        return float(max(k[a] - 1, 0.0) if a == b else k[b])

    def value(self, state: GroupState, nodes: list[Nodes]) -> tuple[float, ndarray, dict[str, object]]:
        """Total loss, losses of the rows, and derivatives in g, b, k, cosines and weights."""
        groups, g, k, A = self.groups, state.coupling, state.stored, len(state.stored)
        left, losses, total = groups.left_out, np.zeros(A), 0.0
        dg, db, dk = np.zeros(A), np.zeros(A), np.zeros(A)
        kept, worth = groups.stored_importance(k)
        dc = [np.zeros(len(law.cosines)) for law in state.laws]
        dw = [np.zeros(len(law.cosines)) for law in state.laws]
        for a, (field, y, N) in enumerate(self._rows(state)):
            found = field.loss(g[a], state.bias[a], y, N, nodes[a])
            weight = kept[a]
            losses[a] = found.value
            total += weight * found.value + (groups.importance[a] - weight) * left[a]
            dk[a] += worth[a] * (found.value - left[a])
            dg[a] += weight * found.dg
            db[a] += weight * found.db
            at = 0
            for b in range(A):
                pair = self.place[a, b]
                law, some = state.laws[pair], slice(at, at + len(state.laws[pair].cosines))
                at = some.stop
                slope, count = weight * found.dcouplings[some], weight * found.dcounts[some]
                along = float(slope @ y[some])
                dg[a] += along / (2 * g[a])
                dg[b] += along / (2 * g[b])
                dc[pair] += slope * np.sqrt(g[a] * g[b])
                dw[pair] += count * self._others(k, a, b)
                if a != b or k[a] > 1:
                    dk[b] += float(count @ law.weights)
        return total, losses, {"g": dg, "b": db, "k": dk, "c": dc, "w": dw}

    # Inequalities

    def matrices(self, state: GroupState) -> tuple[ndarray, ndarray, list, list]:
        """The matrices S of all degrees, moments Int P_d of all pairs, and P_d and its slopes at all cosines."""
        values, slopes, moments = [], [], []
        for law in state.laws:
            P, slope = gegenbauer(self.groups.m, self.degrees, law.cosines)
            values.append(P[1:])
            slopes.append(slope[1:])
            moments.append(P[1:] @ law.weights)
        f = np.array(moments).T  # degrees, pairs
        k = state.stored
        S = np.sqrt(np.outer(k, k)) * f[:, self.place]
        diagonal = np.arange(len(k))
        S[:, diagonal, diagonal] = 1 + np.maximum(k - 1, 0) * f[:, self.place[diagonal, diagonal]]
        return S, f, values, slopes

    def barrier(self, state: GroupState, strength: float) -> tuple[float, dict[str, object]]:
        """Minus the sum of the logarithms of all eigenvalues, a parabola for small ones, with derivatives."""
        S, f, P, slope = self.matrices(state)
        k, A = state.stored, len(state.stored)
        values, V = np.linalg.eigh(S)
        low = _PARABOLA * strength
        x = np.maximum(values, low)
        below = np.minimum(values, low) - low
        total = float((-np.log(x) - below / low + (below / low) ** 2 / 2).sum())
        pull = -1 / x + below / low**2
        M = np.einsum("dai,di,dbi->dab", V, pull, V)  # d total / dS
        root = np.sqrt(np.outer(k, k))
        factor = np.where(self.own, np.maximum(k[self.first] - 1, 0), 2 * root[self.first, self.second])
        through = M[:, self.first, self.second] * factor  # of the moments
        dk = np.zeros(A)
        for pair, (a, b) in enumerate(self.pairs):
            part = float(M[:, a, b] @ f[:, pair])
            if a == b:
                dk[a] += part * (k[a] > 1)
            else:
                dk[a] += part * np.sqrt(k[b] / k[a])
                dk[b] += part * np.sqrt(k[a] / k[b])
        dc = [(through[:, q] @ slope[q]) * law.weights for q, law in enumerate(state.laws)]
        dw = [through[:, q] @ P[q] for q in range(len(state.laws))]
        return total, {"k": dk, "c": dc, "w": dw}

    # Descents

    def mixed(self, state: GroupState, share: float) -> GroupState:
        """Mix in a part of the sphere's own law, all of whose S are 1."""
        places, weights = sphere_law(self.groups.m)
        laws = [
            CosineLaw(np.r_[law.cosines, places], np.r_[(1 - share) * law.weights, share * weights])
            for law in state.laws
        ]
        return GroupState(state.coupling, state.bias, state.stored, laws)

    def repaired(self, state: GroupState) -> GroupState:
        """Mix in what little of the sphere's own law makes the inequalities hold."""
        low = float(np.linalg.eigvalsh(self.matrices(state)[0]).min())
        return state if low >= 0 else self.mixed(state, -low / (1 - low))

    def descend(self, start: GroupState, barrier: float, laws: bool = True, numbers: bool = True) -> GroupState:
        """Move norms and biases downhill, and laws and numbers stored or not, at one strength of the barrier."""
        groups, A = self.groups, len(start.stored)
        nodes = self.nodes(start)
        strength = barrier * self.value(start, nodes)[0] / self.scale
        lengths = [len(law.cosines) for law in start.laws]
        s, ends = sum(lengths), np.cumsum(lengths)[:-1]
        total = max(float(start.stored.sum()), groups.m + 1.0)
        unit = np.sqrt(max((total - groups.m) / (groups.m * (total - 1)), 1e-4))  # the Welch bound

        def split(x: ndarray) -> tuple[GroupState, list[float]]:
            g = np.exp(x[:A])
            cosines = np.split(x[3 * A : 3 * A + s] * unit, ends)
            weights = np.split(x[3 * A + s :], ends)
            sums = [max(float(w.sum()), 1e-12) for w in weights]
            some = [CosineLaw(c, w / q) for c, w, q in zip(cosines, weights, sums, strict=True)]
            return GroupState(g, g * x[A : 2 * A], groups.sizes * x[2 * A : 3 * A], some), sums

        def objective(x: ndarray) -> tuple[float, ndarray]:
            state, sums = split(x)
            value, _, slope = self.value(state, nodes)
            wall, rise = self.barrier(state, strength)
            g, b = state.coupling, state.bias
            dw = []
            for law, of_loss, of_wall, q in zip(state.laws, slope["w"], rise["w"], sums, strict=True):  # type: ignore
                change = of_loss / self.scale + strength * of_wall
                dw.append((change - law.weights @ change) / q)  # weights are divided by their sum
            dc = [
                (c / self.scale + strength * d) * unit
                for c, d in zip(slope["c"], rise["c"], strict=True)  # type: ignore
            ]
            parts = [
                (slope["g"] * g + slope["b"] * b) / self.scale,
                slope["b"] * g / self.scale,
                (slope["k"] / self.scale + strength * rise["k"]) * groups.sizes,  # type: ignore[operator]
            ]
            return value / self.scale + strength * wall, np.concatenate([*parts, *dc, *dw])

        least = np.minimum(1.0, groups.sizes) / groups.sizes * 1e-3
        x = np.concatenate(
            [
                np.log(start.coupling),
                start.bias / start.coupling,
                np.clip(start.stored / groups.sizes, least, 1),
                np.concatenate([law.cosines for law in start.laws]) / unit,
                np.concatenate([law.weights for law in start.laws]),
            ]
        )
        bounds = [_BOUNDS[0]] * A + [_BOUNDS[1]] * A
        bounds += [(low, 1.0) if numbers else (y, y) for low, y in zip(least, x[2 * A :], strict=False)]
        bounds += [(-1 / unit, 1 / unit)] * s + [(_LEAST, 2.0)] * s if laws else [(y, y) for y in x[3 * A :]]
        options = {"maxiter": _STEPS, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-9}

        def shortened(y: ndarray) -> tuple[float, ndarray]:
            value, slope = objective(y * _UNIT)
            return value, slope * _UNIT

        limits = np.array(bounds) / _UNIT
        found = minimize(shortened, x / _UNIT, jac=True, method="L-BFGS-B", bounds=limits, options=options)  # type: ignore
        state = split(found.x * _UNIT)[0]
        kept = [np.where(law.weights > 3 * _LEAST, law.weights, 0.0) for law in state.laws]
        tidy = [tidied(CosineLaw(law.cosines, w), 1e-4 * unit) for law, w in zip(state.laws, kept, strict=True)]
        return GroupState(state.coupling, state.bias, state.stored, tidy)
