"""The exact loss of one output whose couplings are known by their law alone: the mean field of an even frame.

An output of norm r has the coupling g = r^2 to its own feature and g c to N others, whose cosines c have the law mu:

    z = b + g x_own + sum_j g c_j x_j + N(0, sigma^2 g) ,
    E exp(itz) = exp(itb - sigma^2 g t^2 / 2) (1 - p + p e(tg)) exp(N Int log(1 - p + p e(tgc)) dmu(c)) .

Where mu is the law of N real cosines (weights that are multiples of 1/N) this is the exact characteristic function,
and the loss is that of theory.loss to the accuracy asked for. Other weights make it the mean field. The loss follows
from E|z| and E z|z| as in theory.loss.quadrature, by the midpoint rule with a step 2 pi / L that is exact for |z| < L;
what it costs that z may be larger is bounded by Chernoff's inequality. The patterns with at most one active feature,
whose characteristic function decays slowest, are taken out and put back in closed form.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

from theory.model.values import UNIFORM, ValueLaw

__all__ = ["MOST_NODES", "CosineLaw", "MeanField", "Nodes", "RowLoss"]

# Exponents in Chernoff's bound, in units of one over the standard deviation of z.
_EXPONENTS = np.geomspace(0.02, 400, 120)
# Highest frequency tried first, in units of one over the standard deviation; and the most nodes.
_FIRST_REACH, MOST_NODES = 12.0, 2**15
# Constants have no spread; this part of their size stands for it.
_LEAST_SPREAD = 1e-3
# Frequencies are handled so many numbers at a time.
_BLOCK = 2_000_000


@dataclass(frozen=True, eq=False)
class CosineLaw:
    """
    A law of cosines, concentrated on some.

    Attributes
    ----------
    cosines : ndarray, shape (s,)
        Values in [-1, 1].
    weights : ndarray, shape (s,)
        Their probabilities, >= 0, of sum 1.

    Examples
    --------
    >>> import numpy as np
    >>> import theory
    >>> law = theory.CosineLaw(np.array([-1.0, 0.0]), np.array([0.25, 0.75]))
    >>> float(law.weights.sum())
    1.0
    """

    cosines: Float[ndarray, " s"]
    weights: Float[ndarray, " s"]

    @classmethod
    def of(cls, G: Float[ndarray, " n"], own: int, digits: int = 12) -> "CosineLaw":
        """
        Read the law off one row of couplings.

        Parameters
        ----------
        G : ndarray, shape (n,)
            Couplings of one output to features of equal norm.
        own : int
            The output's own feature.
        digits : int
            Cosines that agree when rounded to so many digits are one.

        Returns
        -------
        CosineLaw
            The law of the n - 1 cosines G_j / G_own, j != own.
        """
        cosines, counts = np.unique(np.round(np.delete(G, own) / G[own], digits), return_counts=True)
        return cls(cosines, counts / counts.sum())


@dataclass(frozen=True)
class Nodes:
    """Frequencies (k + 1/2) step, k = 0 ... count - 1."""

    step: float
    count: int


@dataclass(frozen=True, eq=False)
class RowLoss:
    """
    Expected squared error of an output, with its derivatives.

    Attributes
    ----------
    value : float
        E (x_own - ReLU z)^2, >= 0.
    dg, db : float
        Derivatives in the own coupling g, all cosines fixed, and in the bias.
    dcosines, dweights : ndarray, shape (s,)
        Derivatives in the cosines and in their weights.
    """

    value: float
    dg: float
    db: float
    dcosines: Float[ndarray, " s"]
    dweights: Float[ndarray, " s"]


@dataclass(frozen=True)
class MeanField:
    """
    What an output sees: features of equal density, values and norm.

    Attributes
    ----------
    density : float
        Probability p that a feature is active, in (0, 1].
    others : float
        Number N >= 0 of features beside the own; need not be whole.
    values : ValueLaw
        Law of an active feature's value.
    noise : float
        Standard deviation sigma >= 0 of Gaussian noise on every hidden dimension.

    Examples
    --------
    >>> import theory
    >>> theory.MeanField(0.1, 9.0).others
    9.0
    """

    density: float
    others: float
    values: ValueLaw = UNIFORM
    noise: float = 0.0

    @property
    def unrepresented(self) -> float:
        """Loss of a feature that is left out, at its best bias: E x if that is positive, else 0 or less."""
        mean, square = self.density * self.values.mean, self.density * self.values.square
        return square - max(mean, 0.0) ** 2

    def nodes(self, g: float, b: float, law: CosineLaw, rtol: float = 1e-7) -> Nodes:
        """
        Choose frequencies for an accuracy.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        law : CosineLaw
            Cosines to the other features.
        rtol : float
            Accuracy, relative to the loss p E u^2 of the zero model.

        Returns
        -------
        Nodes
            The step from Chernoff's bound; the number of nodes after doubling it has changed the loss by less than that
            twice in a row: sums that oscillate may agree once by accident.
        """
        scale = rtol * self.density * self.values.square
        spread = max(float(np.sqrt(self._variance(g, law))), _LEAST_SPREAD * (g + abs(b)))
        step = 2 * np.pi / self._window(g, b, law, scale, spread)
        count = int(np.ceil(_FIRST_REACH / spread / step)) + 8
        before, settled = self.loss(g, b, law, Nodes(step, count)).value, 0
        while count < MOST_NODES and settled < 2:
            count *= 2
            now = self.loss(g, b, law, Nodes(step, count)).value
            settled = settled + 1 if abs(now - before) <= scale else 0
            before = now
        return Nodes(step, count)

    def loss(self, g: float, b: float, law: CosineLaw, nodes: Nodes | None = None) -> RowLoss:
        """
        Compute the loss of the output.

        Parameters
        ----------
        g : float
            Own coupling, the squared norm, > 0.
        b : float
            Bias.
        law : CosineLaw
            Cosines to the other features.
        nodes : Nodes, optional
            Frequencies; by default those of ``nodes(g, b, law)``.

        Returns
        -------
        RowLoss
            Value and derivatives.
        """
        nodes = self.nodes(g, b, law) if nodes is None else nodes
        parts = self._alone(g, b, law)
        polynomial = self._moments(g, b, law, nodes.step)
        total = [a + c for a, c in zip(parts, polynomial, strict=True)]
        size = max(1, _BLOCK // max(len(law.cosines), 1))
        for first in range(0, nodes.count, size):
            t = (np.arange(first, min(first + size, nodes.count)) + 0.5) * nodes.step
            total = [a + c for a, c in zip(total, self._waves(g, b, law, t, nodes.step), strict=True)]
        value, dg, db, dcosines, dweights = total
        return RowLoss(max(float(value), 0.0), float(dg), float(db), dcosines, dweights)

    def _variance(self, g: float, law: CosineLaw) -> float:
        p, mean, square = self.density, self.values.mean, self.values.square
        second = float(law.weights @ law.cosines**2)
        return g**2 * (p * square - (p * mean) ** 2) * (1 + self.others * second) + self.noise**2 * g

    def _window(self, g: float, b: float, law: CosineLaw, scale: float, spread: float) -> float:
        """The least L with E z^2 1(|z| > L) below the scale, by Chernoff or, without exponential moments, by tails."""
        p, N = self.density, self.others
        s = _EXPONENTS / spread
        logs = []
        for sign in (1.0, -1.0):
            with np.errstate(over="ignore", invalid="ignore"):
                own = _log_mixture(p, self.values.log_mgf(sign * s * g))
                rest = _log_mixture(p, self.values.log_mgf(sign * s[:, None] * g * law.cosines)) @ law.weights
            logs.append(sign * s * b + own + N * rest + (self.noise * s) ** 2 * g / 2)
        exponent = np.logaddexp(*logs)
        possible = np.isfinite(exponent)
        if possible.any():
            s, exponent = s[possible], exponent[possible]
            L = 2 / s + np.maximum(exponent, 0) / s
            for _ in range(30):  # L = (exponent + log(L^2 / scale)) / s is a contraction beyond 2 / s
                L = np.maximum(2 / s, (exponent + 2 * np.log(np.maximum(L, 1e-9)) - np.log(scale)) / s)
            return float(L.min())
        return self._far(g, b, law, scale, spread)

    def _far(self, g: float, b: float, law: CosineLaw, scale: float, spread: float) -> float:
        """Without exponential moments: one large value drives z out, which happens as often as its tail says."""
        size, number = g * np.abs(np.r_[1.0, law.cosines]), np.r_[1.0, self.others * law.weights]
        drift = abs(b) + g * self.density * abs(self.values.mean) * (1 + self.others * float(law.weights @ law.cosines))
        L = abs(drift) + 12 * spread
        for _ in range(200):
            reach = (L - abs(drift)) / np.maximum(size, 1e-12) / 2
            lost = 4 * self.density * float(number @ (size**2 * self.values.tail(2, reach)))
            if lost <= scale:
                break
            L *= 1.2
        return float(L)

    def _alone(self, g: float, b: float, law: CosineLaw) -> list:
        """Patterns of at most one active feature, in closed form; none with noise, which makes phi decay."""
        zero = np.zeros(len(law.cosines))
        if self.noise:
            return [0.0, 0.0, 0.0, zero, zero]
        N, c, w = self.others, law.cosines, law.weights
        none, one = self._rare()
        own, own_c, own_b = (float(part[0]) for part in self.values.own_error(np.array([g]), np.array([b])))
        other, other_c, other_b = self.values.interference(g * c, np.full(len(c), b))
        silent = max(b, 0.0)
        return [
            none * silent**2 + one * (own + N * float(w @ other)),
            one * (own_c + N * float(w @ (other_c * c))),
            2 * none * silent + one * (own_b + N * float(w @ other_b)),
            one * N * w * other_c * g,
            one * N * other,
        ]

    def _rare(self) -> tuple[float, float]:
        """Probabilities that nothing is active, and that one given feature alone is."""
        p, N = self.density, self.others
        if self.noise:
            return 0.0, 0.0
        return (1 - p) ** (N + 1), p * (1 - p) ** N

    def _moments(self, g: float, b: float, law: CosineLaw, step: float) -> list:
        """The polynomial part of all other patterns, with the part of the sums that does not oscillate."""
        p, N, c, w = self.density, self.others, law.cosines, law.weights
        mean, square = self.values.mean, self.values.square
        none, one = self._rare()
        first, second = float(w @ c), float(w @ c**2)
        x, xx = p * mean, p * square
        drift = b + x * g * N * first  # E z without the own feature
        Ez = drift + g * x
        half = np.pi**2 / (2 * step) * 2 / np.pi  # of the two sums over all nodes, times 2 / pi
        alone_z = none * b + one * ((1 + N) * b + g * mean * (1 + N * first))
        alone_zz = none * b**2 + one * (
            (1 + N) * b**2 + 2 * b * g * mean * (1 + N * first) + g**2 * square * (1 + N * second)
        )
        Ezz = Ez**2 + self._variance(g, law)
        value = (
            (xx - one * square)
            - (x * drift + g * xx - one * (b * mean + g * square))
            + (Ezz - alone_zz) / 2
            + half * (Ez - alone_z - (x - one * mean))
        )
        spread = xx - x**2  # Var x
        dg_z = x * (1 + N * first)
        dg = (
            -(x * x * N * first + xx - one * square)
            + Ez * dg_z + g * spread * (1 + N * second) + self.noise**2 / 2
            - one * (b * mean * (1 + N * first) + g * square * (1 + N * second))
            + half * (dg_z - one * mean * (1 + N * first))
        )  # fmt: skip
        db = -(x - one * mean) + Ez - none * b - one * ((1 + N) * b + g * mean * (1 + N * first))
        db += half * (1 - none - one * (1 + N))
        # In the first and the second moment of the cosines.
        d_first = -x * x * g * N + Ez * x * g * N - one * b * g * mean * N + half * g * N * (x - one * mean)
        d_second = g**2 * N * (spread - one * square) / 2
        return [value, dg, db, w * (d_first + 2 * c * d_second), c * d_first + c**2 * d_second]

    def _waves(self, g: float, b: float, law: CosineLaw, t: Float[ndarray, " k"], step: float) -> list:
        """The oscillating sums: -2/pi (Im phi / t^3 - Re chi / t^2), chi = E x exp(itz)."""
        p, N, c, w = self.density, self.others, law.cosines, law.weights
        e0, e1, e2 = self.values.transforms(t * g, 2)
        transform, slope = self.values.transforms(t[:, None] * g * c, 1)
        psi = 1 - p + p * transform
        log_slope = p * slope / psi  # per unit of the argument
        log = self._log(psi, t)
        phase = np.exp(1j * t * b - (self.noise * t) ** 2 * g / 2)
        rest = phase * np.exp(N * (log @ w))
        own, own_slope, bent = 1 - p + p * e0, p * e1, p * e2
        none, one = self._rare()
        quiet = phase * one  # one given feature alone; times (1 - p)/p where there is none
        phi = own * rest - phase * none - quiet * (e0 + N * (transform @ w))
        chi = -1j * (own_slope * rest - quiet * e1)
        A, B = 2 / np.pi * step / t**2, -2 / np.pi * step / t**3
        tg = N * ((log_slope * c) @ w) * t - self.noise**2 * t**2 / 2  # d log rest / dg
        dphi_g = rest * (own_slope * t + own * tg) - quiet * t * (e1 + N * ((slope * c) @ w))
        dchi_g = -1j * (rest * (bent * t + own_slope * tg) - quiet * t * e2)
        value = float(A @ chi.real + B @ phi.imag)
        dg = float(A @ dchi_g.real + B @ dphi_g.imag)
        db = float(A @ (1j * t * chi).real + B @ (1j * t * phi).imag)
        # sum_k A Re(chi' X) + B Im(phi' X) = Re(F . X) for whatever multiplies all but the one-active patterns.
        F = -1j * (A * own_slope * rest + B * own * rest)
        Q = 1j * B * quiet
        dweights = N * ((F @ log) + (Q @ transform)).real
        dcosines = N * w * g * (((F * t) @ log_slope) + ((Q * t) @ slope)).real
        return [value, dg, db, dcosines, dweights]

    def _log(self, psi: Complex[ndarray, "k s"], t: Float[ndarray, " k"]) -> Complex[ndarray, "k s"]:
        """The logarithm that is continuous in t; only dense features leave the principal branch."""
        log = np.log(psi)
        if self.density > 0.5 and len(t) > 1:
            log.imag = np.unwrap(log.imag, axis=0)
        return log


def _log_mixture(p: float, log: ndarray) -> ndarray:
    """log(1 - p + p exp(log)), without overflow."""
    return np.asarray(np.logaddexp(np.log1p(-p) if p < 1 else -np.inf, np.log(p) + log))
