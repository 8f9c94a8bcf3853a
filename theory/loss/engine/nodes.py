"""Sums over the nodes t_k = (k + 1/2) h of the midpoint rule, for a block of rows.

    E|y|   = (pi/h) E 1 - (2h/pi) sum Re psi(t) / t^2 ,        E y|y| = (2 pi/h) E y - (4h/pi) sum Im psi(t) / t^3 ,
    E x|y| = (pi/h) E x - (2h/pi) sum Re psi_x(t) / t^2 ,      psi = E exp(ity),  psi_x = E x exp(ity),  y = z - theta,

over all patterns but the closed ones. With complex weights u(t), v(t) that hold kinks and bias, the kinks' terms are
-sum Re(u Phi + v Phi_x), Phi = prod of the factors of sets, Phi_x = -i e'(t g_own) D, D = dPhi/de_own.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy import ndarray

from theory.loss.engine.frame import Frame
from theory.loss.engine.laws import transforms
from theory.loss.engine.sets import set_factors

__all__ = ["Bulk", "NodeSums", "node_sums"]

# Stands for a factor that is exactly 0, which a division could not undo in a product.
_ZERO = 1e-200


@dataclass(frozen=True, eq=False)
class Bulk:
    """Sums over many features that were computed together (theory.loss.engine.power_sums)."""

    log_phi: ndarray  # (rows, nodes): sum of log(1 - p + p e)
    single: ndarray  # (rows, nodes): sum of single_j e_j


@dataclass(frozen=True, eq=False)
class NodeSums:
    """
    Contributions of some nodes.

    Attributes
    ----------
    value, db, dnoise, d_own : ndarray, shape (rows,)
        Of the value, and its derivatives in bias, noise and own coupling.
    d_single : ndarray, shape (rows, singles)
        Derivatives in the couplings of the features treated one by one.
    d_sets : list of ndarray, shape (members, rows)
        Derivatives in the couplings of the members of larger sets, the own one left out.
    to_log_phi, to_single : ndarray of complex, shape (rows, nodes)
        Adjoints: the derivative in a bulk coupling is Re sum_k (to_log_phi F'(t g) + to_single single e'(t g)).
    summand : ndarray of complex, shape (rows, nodes)
        u Phi + v Phi_x of the patterns that are not closed, minus what the nodes contribute.
    full_size : ndarray, shape (rows, nodes)
        |u Phi| + |v Phi_x| of all.
    rest, rest_x : ndarray of complex, shape (rows, nodes)
        Phi and i Phi_x of the patterns that are not closed.
    """

    value: ndarray
    db: ndarray
    dnoise: ndarray
    d_own: ndarray
    d_single: ndarray
    d_sets: list
    to_log_phi: ndarray
    to_single: ndarray
    summand: ndarray
    full_size: ndarray
    rest: ndarray
    rest_x: ndarray

    def take(self, which: Bool[ndarray, " rows"]) -> "NodeSums":
        """Return some of the rows."""
        if which.all():
            return self
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "d_sets"}
        kept = {name: array[which] for name, array in arrays.items()}
        return NodeSums(**kept, d_sets=[slopes[:, which] for slopes in self.d_sets])

    @classmethod
    def joined(cls, parts: list["NodeSums"]) -> "NodeSums":
        """Put blocks of rows with the same nodes one after the other."""
        if len(parts) == 1:
            return parts[0]
        names = [field.name for field in fields(cls) if field.name != "d_sets"]
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        slopes = zip(*(part.d_sets for part in parts), strict=True)
        return cls(**arrays, d_sets=[np.concatenate(some, axis=1) for some in slopes])


def node_sums(
    f: Frame,
    t: Float[ndarray, "rows nodes"],
    h: Float[ndarray, "rows #nodes"],
    c: Float[ndarray, "rows singles"],
    p: Float[ndarray, "rows singles"],
    single: Float[ndarray, "rows singles"],
    bulk: Bulk | None = None,
) -> NodeSums:
    """
    Sum over some nodes.

    Parameters
    ----------
    f : Frame
        A block of rows.
    t : ndarray, shape (rows, nodes)
        Frequencies.
    h : ndarray, shape (rows, nodes) or (rows, 1)
        Weight of every node: the step of the midpoint rule.
    c, p, single : ndarray, shape (rows, singles)
        Coupling, probability and ``Frame.single`` of the features that are treated one by one.
    bulk : Bulk, optional
        The sums over all other single features.

    Returns
    -------
    NodeSums
        The contributions.
    """
    law, rows = f.features.values, f.rows
    r, own = np.arange(len(t)), rows.own
    a = np.multiply(c.T[:, :, None], t, order="C")
    e, e1 = (np.ascontiguousarray(x) for x in transforms(law, a))
    p3 = p.T[:, :, None]
    factor = np.empty_like(e)  # real arithmetic: NumPy makes complex numbers of real ones that meet them
    np.multiply(e.view(float), p3, out=factor.view(float))
    factor.real += 1 - p3
    others = factor.prod(0)
    if (others == 0).any():
        factor[factor == 0] = _ZERO
        others = factor.prod(0)
    few = f.none[:, None] + np.zeros(t.shape, dtype=complex)
    any_single = (single != 0).any()
    if any_single:
        few += np.einsum("sr,srk->rk", single.T, e.view(float)).view(complex)
    if bulk is not None:
        others *= np.exp(bulk.log_phi)
        few += bulk.single
    if (rows.noise > 0).any():
        others *= np.exp(-0.5 * rows.noise[:, None] * t**2)
    u, v = _weights(f, t, h)

    sets = set_factors(f, t, others) if f.features.sets else None
    p_own = f.p_own[:, None]
    a_own = rows.G[r, own][:, None] * t
    o, o1, o2 = law.transforms(a_own, 2)
    if sets is None:
        D, phi = p_own * others, (1 - p_own + p_own * o) * others
    else:
        in_set = (f.own_set >= 0)[:, None]
        D = np.where(in_set, sets.own_slope, p_own * sets.others)
        phi = np.where(in_set, sets.others, (1 - p_own + p_own * o) * sets.others)
        few += sets.single
    closed_D = f.alone[:, None] + f.with_single[:, None] * (few - f.none[:, None])
    closed = few + (f.alone * (rows.G[r, own] != 0))[:, None] * o
    v_o1 = -1j * v * o1
    rest_D = D - closed_D
    summand = u * (phi - closed) + v_o1 * rest_D
    full = u * phi + v_o1 * D
    weight = t * full
    to_closed = t * (u + v_o1 * f.with_single[:, None])
    d_single = np.zeros(single.T.shape)
    if any_single:
        d_single += single.T * _real_sum(to_closed, e1)
    e1 /= factor
    d_single -= p.T * _real_sum(weight, e1)
    return NodeSums(
        value=-summand.real.sum(1),
        db=(t * summand).imag.sum(1),
        dnoise=0.5 * (t * weight).real.sum(1),
        d_own=-(t * (u * o1 - 1j * v * o2) * rest_D).real.sum(1),
        d_single=d_single.T,
        d_sets=[] if sets is None else sets.gradient(f, t, u, v_o1, full, to_closed),
        to_log_phi=-weight,
        to_single=to_closed,
        summand=summand,
        full_size=np.abs(u * phi) + np.abs(v_o1 * D),
        rest=phi - closed,
        rest_x=o1 * rest_D,
    )


def _weights(
    f: Frame, t: Float[ndarray, "rows nodes"], h: Float[ndarray, "rows #nodes"]
) -> tuple[Complex[ndarray, "rows nodes"], Complex[ndarray, "rows nodes"]]:
    """Weights u and v of Phi and Phi_x: kinks and bias included."""
    inverse = 1 / t
    v0 = (2 / np.pi) * h * inverse * inverse
    u0 = -2j * v0 * inverse
    u, v = np.zeros(t.shape, dtype=complex), np.zeros(t.shape, dtype=complex)
    for q in range(f.weights.shape[1]):
        theta, absolute, signed_square, cross = f.weights[:, q].T[:, :, None]
        if not (absolute.any() or signed_square.any() or cross.any()):
            continue
        angle = t * (f.rows.b[:, None] - theta)
        phase = np.empty(t.shape, dtype=complex)
        np.cos(angle, out=phase.real)
        np.sin(angle, out=phase.imag)
        u += phase * (absolute * v0 + signed_square * u0)
        v += phase * (cross * v0)
    return u, v


def _real_sum(
    weight: Complex[ndarray, "rows nodes"], values: Complex[ndarray, "singles rows nodes"]
) -> Float[ndarray, "singles rows"]:
    """Real part of the sum over nodes of weight times values."""
    parts, weights = values.view(float).transpose(1, 0, 2), weight.conj().view(float)
    return np.asarray(np.matmul(parts, weights[:, :, None])[..., 0].T)
