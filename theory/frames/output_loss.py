"""The exact loss of one output that sees features by their couplings and how many there are of each.

    z = b + g x_own + sum_s (sum of N_s features of density p_s) y_s x + N(0, sigma^2 g) ,
    E exp(itz) = exp(itb - sigma^2 g t^2 / 2) (1 - p + p e(tg)) prod_s (1 - p_s + p_s e(t y_s))^N_s .

Whole numbers N_s make this the exact characteristic function, others a mean field. Powers that are no whole numbers of
1 - p + p e belong to no law where p is not small: then ``pools`` say that the N features of several couplings have any
of them, independently, (1 + sum_s (N_s / N) p_s (e(t y_s) - 1))^N: what the average output sees.

The loss follows from E|z| and E z|z| as in theory.loss.quadrature, by the midpoint rule with a step 2 pi / L that is
exact for |z| < L; what it costs that z may be larger is bounded by Chernoff's inequality. The patterns with at most one
active feature, whose characteristic function decays slowest, are taken out and put back in closed form.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex, Float, Inexact, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.model.values import UNIFORM, ValueLaw

__all__ = ["MOST_NODES", "NEVER", "Nodes", "OutputField", "OutputLoss", "left_out_error"]

# Exponents in Chernoff's bound, in units of one over the standard deviation of z.
_EXPONENTS = np.geomspace(0.02, 400, 120)
# Highest frequency tried first, in units of one over the standard deviation; and the most nodes.
_FIRST_REACH, MOST_NODES = 12.0, 2**15
# Constants have no spread; this part of their size stands for it.
_LEAST_SPREAD = 1e-3
# Frequencies are handled so many numbers at a time.
_BLOCK = 2_000_000
# Transforms of denser features may wind around 0: a step may turn them by so much, in radians.
_DENSE, _TURN = 0.5, 1.0
# A feature that is always active is silent this often, so that logarithms stay finite.
NEVER = 1e-15


@dataclass(frozen=True)
class Nodes:
    """Frequencies (k + 1/2) step, k = 0 ... count - 1."""

    step: float
    count: int


@dataclass(frozen=True, eq=False)
class OutputLoss:
    """
    Expected squared error of an output, with its derivatives.

    Attributes
    ----------
    value : float
        E (x_own - ReLU z)^2, >= 0.
    dg, db : float
        Derivatives in the own coupling, the others fixed, and in the bias.
    dcouplings, dcounts : ndarray, shape (s,)
        Derivatives in the other couplings and in how many features have them.
    """

    value: float
    dg: float
    db: float
    dcouplings: Float[ndarray, " s"]
    dcounts: Float[ndarray, " s"]


@dataclass(frozen=True, eq=False)
class OutputField:
    """
    What one output sees.

    Attributes
    ----------
    density : float
        Probability p that its own feature is active, in (0, 1].
    densities : ndarray, shape (s,)
        Those of the other features.
    values : ValueLaw
        Law of an active feature's value.
    noise : float
        Standard deviation sigma >= 0 of Gaussian noise on every hidden dimension.
    silence : float
        About the probability that nothing is active; another number costs accuracy, not correctness.
    pools : ndarray, shape (s,), optional
        Couplings of one number belong to one pool; by default each is its own. Numbers are 0, 1, 2, ...

    Examples
    --------
    >>> import numpy as np
    >>> field = OutputField(0.1, np.array([0.1]), silence=0.81)  # a digon: x - ReLU(x - y)
    >>> round(field.loss(1.0, 0.0, np.array([-1.0]), np.array([1.0])).value, 6)
    0.001667
    """

    density: float
    densities: Float[ndarray, " s"]
    values: ValueLaw = UNIFORM
    noise: float = 0.0
    silence: float = 0.0
    pools: Int[ndarray, " s"] | None = None

    def nodes(
        self, g: float, b: float, couplings: Float[ndarray, " s"], counts: Float[ndarray, " s"], rtol: float = 1e-7
    ) -> Nodes:
        """
        Choose frequencies for an accuracy.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        couplings, counts : ndarray, shape (s,)
            Couplings to other features, and how many features have them.
        rtol : float
            Accuracy, relative to the loss p E u^2 of the zero model.

        Returns
        -------
        Nodes
            The step from Chernoff's bound; the number of nodes after doubling it has changed the loss by less than that
            twice in a row: sums that oscillate may agree once by accident.
        """
        scale = rtol * self.density * self.values.square
        spread = max(float(np.sqrt(self._variance(g, couplings, counts))), _LEAST_SPREAD * (g + abs(b)))
        step = min(2 * np.pi / self._window(g, b, couplings, counts, scale, spread), self._followed(couplings))
        count = int(np.ceil(_FIRST_REACH / spread / step)) + 8
        before, settled = self.loss(g, b, couplings, counts, Nodes(step, count)).value, 0
        while count < MOST_NODES and settled < 2:
            count *= 2
            now = self.loss(g, b, couplings, counts, Nodes(step, count)).value
            settled = settled + 1 if abs(now - before) <= scale and now > 0 else 0  # at 0 losses are cut off
            before = now
        return Nodes(step, count)

    def loss(
        self,
        g: float,
        b: float,
        couplings: Float[ndarray, " s"],
        counts: Float[ndarray, " s"],
        nodes: Nodes | None = None,
    ) -> OutputLoss:
        """
        Compute the loss of the output.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        couplings, counts : ndarray, shape (s,)
            Couplings to other features, and how many features have them, >= 0.
        nodes : Nodes, optional
            Frequencies; by default those of ``nodes``.

        Returns
        -------
        OutputLoss
            Value and derivatives.
        """
        nodes = self.nodes(g, b, couplings, counts) if nodes is None else nodes
        seen = g, b, couplings, counts
        total = [a + c for a, c in zip(self._alone(*seen), self._moments(*seen, nodes.step), strict=True)]
        size = max(1, _BLOCK // max(len(couplings), 1))
        for first in range(0, nodes.count, size):
            t = (np.arange(first, min(first + size, nodes.count)) + 0.5) * nodes.step
            total = [a + c for a, c in zip(total, self._waves(*seen, t, nodes.step), strict=True)]
        value, dg, db, dcouplings, dcounts = total
        return OutputLoss(max(float(value), 0.0), float(dg), float(db), dcouplings, dcounts)

    @cached_property
    def _members(self) -> Float[ndarray, "s q"]:
        """Which coupling belongs to which pool."""
        pools = np.arange(len(self.densities)) if self.pools is None else self.pools
        return np.asarray(pools[:, None] == np.arange(pools.max(initial=-1) + 1), dtype=float)

    def _averages(self, x: Inexact[ndarray, "*k s"], N: Float[ndarray, " s"]) -> Inexact[ndarray, "*k s"]:
        """Averages over the pool of every coupling."""
        if self.pools is None:
            return x
        total = np.maximum(N @ self._members, 1e-300)
        return np.asarray(((x * N) @ self._members / total) @ self._members.T)

    def _variance(self, g: float, y: Float[ndarray, " s"], N: Float[ndarray, " s"]) -> float:
        mean, square, p = self.values.mean, self.values.square, self.densities
        own = self.density * square - (self.density * mean) ** 2
        others = N @ (p * square * y**2 - self._averages(p * mean * y, N) ** 2)
        return float(g**2 * own + others + self.noise**2 * g)

    def _followed(self, y: Float[ndarray, " s"]) -> float:
        """The largest step at which the phases of dense features, whose logarithms are followed, are not lost."""
        fastest = float(np.abs(y[self.densities > _DENSE]).max(initial=0.0)) * float(np.sqrt(self.values.square))
        return _TURN / fastest if fastest else np.inf

    def _window(self, g: float, b: float, y: ndarray, N: ndarray, scale: float, spread: float) -> float:
        """The least L with E z^2 1(|z| > L) below the scale, by Chernoff or, without exponential moments, by tails."""
        s = _EXPONENTS / spread
        logs = []
        for sign in (1.0, -1.0):
            with np.errstate(over="ignore", invalid="ignore"):
                own = _log_mixture(np.array(self.density), self.values.log_mgf(sign * s * g))
                rest = self._log_mgf(sign * s[:, None] * y, N)
            logs.append(sign * s * b + own + rest + (self.noise * s) ** 2 * g / 2)
        exponent = np.logaddexp(*logs)
        possible = np.isfinite(exponent)
        if possible.any():
            s, exponent = s[possible], exponent[possible]
            L = 2 / s + np.maximum(exponent, 0) / s
            for _ in range(30):  # L = (exponent + log(L^2 / scale)) / s is a contraction beyond 2 / s
                L = np.maximum(2 / s, (exponent + 2 * np.log(np.maximum(L, 1e-9)) - np.log(scale)) / s)
            return float(L.min())
        return self._far(g, b, y, N, scale, spread)

    def _log_mgf(self, a: Float[ndarray, "k s"], N: Float[ndarray, " s"]) -> Float[ndarray, " k"]:
        """Logarithm of the others' E exp(a x); those of a pool are averaged first."""
        each = _log_mixture(self.densities, self.values.log_mgf(a))
        if self.pools is None:
            return np.asarray(each @ N)
        log = np.zeros(len(a))
        for pool in self._members.T.astype(bool):
            some = pool & (N > 0)
            if some.any():
                part = N[some] / N[some].sum()
                log += N[some].sum() * np.logaddexp.reduce(each[:, some] + np.log(part), axis=1)
        return log

    def _far(self, g: float, b: float, y: ndarray, N: ndarray, scale: float, spread: float) -> float:
        """Without exponential moments: one large value drives z out, which happens as often as its tail says."""
        size, number = np.abs(np.r_[g, y]), np.r_[self.density, N * self.densities]
        drift = abs(b) + abs(self.values.mean) * (g * self.density + float((N * self.densities) @ y))
        L = abs(drift) + 12 * spread
        for _ in range(200):
            reach = (L - abs(drift)) / np.maximum(size, 1e-12) / 2
            lost = 4 * float(number @ (size**2 * self.values.tail(2, reach)))
            if lost <= scale:
                break
            L *= 1.2
        return float(L)

    def _rare(self) -> tuple[float, float, Float[ndarray, " s"]]:
        """Probabilities that nothing is active, the own feature alone, and one given other alone; none with noise."""
        none = 0.0 if self.noise else self.silence  # noise makes phi decay
        own, others = (none * p / np.maximum(1 - p, NEVER) for p in (self.density, self.densities))
        return none, float(own), others

    def _alone(self, g: float, b: float, y: Float[ndarray, " s"], N: Float[ndarray, " s"]) -> list:
        """Patterns of at most one active feature, in closed form."""
        none, one, ones = self._rare()
        if not none:
            zero = np.zeros(len(y))
            return [0.0, 0.0, 0.0, zero, zero]
        own, own_c, own_b = (float(part[0]) for part in self.values.own_error(np.array([g]), np.array([b])))
        other, other_c, other_b = self.values.interference(y, np.full(len(y), b))
        silent = max(b, 0.0)
        return [
            none * silent**2 + one * own + float((N * ones) @ other),
            one * own_c,
            2 * none * silent + one * own_b + float((N * ones) @ other_b),
            N * ones * other_c,
            ones * other,
        ]

    def _moments(self, g: float, b: float, y: ndarray, N: ndarray, step: float) -> list:
        """The polynomial part of all other patterns, with the part of the sums that does not oscillate."""
        mean, square = self.values.mean, self.values.square
        none, one, ones = self._rare()
        x, xx = self.density * mean, self.density * square
        xs, xxs = self.densities * mean, self.densities * square
        centre = self._averages(xs * y, N)
        drift = b + float((N * xs) @ y)  # E z without the own feature
        Ez = drift + g * x
        Ezz = Ez**2 + self._variance(g, y, N)
        half = np.pi**2 / (2 * step) * 2 / np.pi  # of the two sums over all nodes, times 2 / pi
        z, zs = b + g * mean, b + y * mean  # with one active feature
        zz, zzs = b**2 + 2 * b * g * mean + g**2 * square, b**2 + 2 * b * y * mean + y**2 * square
        alone_z = none * b + one * z + float((N * ones) @ zs)
        alone_zz = none * b**2 + one * zz + float((N * ones) @ zzs)
        xz = b * mean + g * square
        value = (
            (xx - one * square)
            - (x * drift + g * xx - one * xz)
            + (Ezz - alone_zz) / 2
            + half * (Ez - alone_z - (x - one * mean))
        )
        dg = -(xx - one * square) + Ez * x + g * (xx - x**2) + self.noise**2 / 2 - one * xz + half * (x - one * mean)
        db = -(x - one * mean) + Ez - alone_z + half * (1 - none - one - float(N @ ones))
        slope = (Ez - x) * xs + y * xxs - xs * centre - ones * (b * mean + y * square) + half * (xs - ones * mean)
        spread = (y**2 * xxs + centre * (centre - 2 * xs * y)) / 2  # half the variance that one more would add
        count = (Ez - x) * xs * y + spread - ones * zzs / 2 + half * (xs * y - ones * zs)
        return [value, dg, db, N * slope, count]

    def _waves(self, g: float, b: float, y: ndarray, N: ndarray, t: Float[ndarray, " k"], step: float) -> list:
        """The oscillating sums: -2/pi (Im phi / t^3 - Re chi / t^2), chi = E x exp(itz)."""
        p, ps = self.density, self.densities
        none, one, ones = self._rare()
        e0, e1, e2 = self.values.transforms(t * g, 2)
        transform, slope = self.values.transforms(t[:, None] * y, 1)
        change = ps * (transform - 1)
        pooled = self._averages(change, N)
        whole = 1 + pooled
        whole[whole == 0] = NEVER  # a zero of the characteristic function
        log_slope = ps * slope / whole  # per unit of the argument
        log = self._log(pooled)
        phase = np.exp(1j * t * b - (self.noise * t) ** 2 * g / 2)
        rest = phase * np.exp(log @ N)
        own, own_slope, bent = 1 - p + p * e0, p * e1, p * e2
        phi = own * rest - phase * (none + one * e0 + transform @ (N * ones))
        chi = -1j * (own_slope * rest - phase * one * e1)
        A, B = 2 / np.pi * step / t**2, -2 / np.pi * step / t**3
        blur = -(self.noise**2) * t**2 / 2
        dphi_g = rest * (own_slope * t + own * blur) - phase * one * t * e1
        dchi_g = -1j * (rest * (bent * t + own_slope * blur) - phase * one * t * e2)
        value = float(A @ chi.real + B @ phi.imag)
        dg = float(A @ dchi_g.real + B @ dphi_g.imag)
        db = float(A @ (1j * t * chi).real + B @ (1j * t * phi).imag)
        # sum_k A Re(chi' X) + B Im(phi' X) = Re(F . X) for whatever multiplies all but the one-active patterns.
        F = -1j * (A * own_slope + B * own) * rest
        Q = 1j * B * phase
        more = log if self.pools is None else log + (change - pooled) / whole
        dcounts = ((F @ more) + ones * (Q @ transform)).real
        dcouplings = N * (((F * t) @ log_slope) + ones * ((Q * t) @ slope)).real
        return [value, dg, db, dcouplings, dcounts]

    def _log(self, change: Complex[ndarray, "k s"]) -> Complex[ndarray, "k s"]:
        """log(1 + change), continuous in t (only dense features leave the principal branch), for N to multiply."""
        x, y = change.real, change.imag
        log = np.empty_like(change)
        square = np.maximum(x * (2 + x) + y * y, NEVER - 1)
        log.real = 0.5 * np.log1p(square)  # what 1 + change would round off, a million others add up
        log.imag = np.arctan2(y, 1 + x)
        dense = self.densities > _DENSE
        if dense.any() and len(log) > 1:
            log.imag[:, dense] = np.unwrap(log.imag[:, dense], axis=0)
        return log


def _log_mixture(p: ndarray, log: ndarray) -> ndarray:
    """log(1 - p + p exp(log)), without overflow."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(np.log1p(-p), np.log(p) + log))


def left_out_error(density: ArrayLike, values: ValueLaw) -> Float[ndarray, "*shape"]:
    """
    Give the error of an output that reads nothing, at its best bias: E x if that is positive, else 0 or less.

    Parameters
    ----------
    density : array_like
        Probabilities p that the feature is active, in (0, 1].
    values : ValueLaw
        Law of an active feature's value.

    Returns
    -------
    ndarray
        p E u^2 - max(p E u, 0)^2, of the shape of ``density``.
    """
    p = np.asarray(density, dtype=float)
    return np.asarray(p * values.square - np.maximum(p * values.mean, 0.0) ** 2)
