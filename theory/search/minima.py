"""The distinct minima that a search has met, and where exchanges of features lead from each."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from theory.optimum.landscape import Landscape
from theory.optimum.local_minima import refine
from theory.tools.trust_region import descend

__all__ = ["GAIN", "Ends", "Pool", "settle"]

# Minima whose losses differ by less than SAME_LOSS and whose couplings' spectra by less than _ALIKE are the same up to
# rotations and exchanges of equal features; or by less than _CLOSE and _SAME, where a descent was cut short. Which
# features make a pair changes a loss by a millionth only. Few nodes leave _ROUGH open.
SAME_LOSS, _ALIKE, _CLOSE, _SAME, _ROUGH = 1e-8, 1e-2, 1e-6, 1e-4, 1e-4
# A loss below this part of the zero model's is none at all: anticorrelated pairs can be stored without any.
_NOTHING = 1e-10
# A column shorter than this stores nothing; a repaired feature starts with one of this norm or so.
_DEAD, _REVIVED = 1e-3, 0.05
# Largest gradient component, in units of the zero model's loss, at which a minimum is ranked.
_RANKED = 1e-8
# A descent ends where a step gains less than this part of the loss: what it may still gain is far below SAME_LOSS.
GAIN = 1e-10
# Minima below this multiple of the best are ranked with the full accuracy: its relative error, and steps to go there.
_NEAR, _SHARP, _SHARP_STEPS = 1.001, 1e-7, 8
_SHARPENED = 12  # features at most
# Steps of a descent, and of one by a method without second derivatives.
_STEPS, _MANY_STEPS = 60, 150


@dataclass(frozen=True, eq=False)
class Ends:
    """Where descents ended: points (k, d), losses (k,) and largest gradient components (k,), relative units."""

    x: Float[ndarray, "k d"]
    value: Float[ndarray, " k"]
    gradient_norm: Float[ndarray, " k"]


def settle(
    landscape: Landscape,
    x: Float[ndarray, "k d"],
    rng: np.random.Generator,
    tolerance: float = _RANKED,
    steps: int = _STEPS,
    gain: float = 0.0,
) -> Ends:
    """
    Run starts down to local minima; repair features that died on the way, and go on.

    A feature with W_i = 0 and b_i < 0 has no gradient, although b_i = E x_i is better and a small W_i may be better
    still.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : ndarray, shape (k, d)
        Starts.
    rng : numpy.random.Generator
        Draws the small columns of repaired features.
    tolerance : float
        Largest gradient component at the end.
    steps : int
        Most steps of a descent.
    gain : float
        Part of the loss below which the gain of a step ends a descent (``GAIN`` where minima are only ranked).

    Returns
    -------
    Ends
        One per start, in the same order.
    """
    ends = _descended(landscape, x, tolerance, steps, gain)
    W, b = landscape.split(ends.x.copy())
    dead = (np.linalg.norm(W, axis=1) < _DEAD) & (b < 0)
    ill = np.flatnonzero(dead.any(-1))
    if not len(ill):
        return ends
    small = _REVIVED * rng.standard_normal(W[ill].shape)
    W, b = np.where(dead[ill, None], small, W[ill]), np.where(dead[ill], landscape.problem.features.mean, b[ill])
    again = _descended(landscape, landscape.join(W, b), tolerance, steps, gain)
    better = again.value < ends.value[ill]
    x, value, gradient = ends.x.copy(), ends.value.copy(), ends.gradient_norm.copy()
    for old, new in ((x, again.x), (value, again.value), (gradient, again.gradient_norm)):
        old[ill[better]] = new[better]
    return Ends(x, value, gradient)


def _descended(landscape: Landscape, x: Float[ndarray, "k d"], tolerance: float, steps: int, gain: float) -> Ends:
    if landscape.smooth:
        found = descend(landscape, x, landscape.kinks, tolerance, steps, gain)
        return Ends(found.x, found.value, found.gradient_norm)
    W, b = landscape.split(x)
    end = refine(landscape.problem.repeated(len(x)), W, b, tolerance, min(_MANY_STEPS, 3 * steps))
    return Ends(landscape.join(end.W, end.b), end.loss / landscape.scale, end.gradient_norm)


@dataclass(eq=False)
class Pool:
    """
    Distinct minima, in the order in which they were met.

    Attributes
    ----------
    landscape : Landscape
        Their loss.
    x, value, mark : list
        Points, losses in units of the zero model's, fingerprints.
    better : dict from int to int
        Where exchanges lead from each minimum that was looked into: to a better one, or to itself.
    """

    landscape: Landscape
    x: list[ndarray] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    mark: list[ndarray] = field(default_factory=list)
    better: dict[int, int] = field(default_factory=dict)
    sharpened: list[tuple[float, ndarray, int]] = field(default_factory=list)

    def add(self, ends: Ends) -> Int[ndarray, " k"]:
        """Number of the minimum that each descent ended in."""
        return np.array([self._place(ends.x[k], float(ends.value[k])) for k in range(len(ends.x))], dtype=int)

    def best(self) -> int:
        """Number of the lowest minimum."""
        return int(np.argmin(self.value))

    def followed(self, k: int) -> int:
        """Where the known improvements of a minimum end."""
        while self.better.get(k, k) != k:
            k = self.better[k]
        return k

    def lower(self, one: float, two: float) -> bool:
        """Whether a loss is lower than another by more than descents leave open."""
        return one < two * (1 - SAME_LOSS) - _NOTHING

    def _place(self, x: Float[ndarray, " d"], value: float) -> int:
        exact = self.landscape.enumerated
        rough = (value, self._fingerprint(x))
        if (
            sharp := not exact
            and self.landscape.problem.n <= _SHARPENED
            and value <= _NEAR * min(self.value, default=np.inf)
        ):
            for other, mark, number in self.sharpened:  # the same end as before becomes the same minimum
                if abs(other - value) <= _CLOSE * value + _NOTHING and np.abs(mark - rough[1]).max() < _SAME:
                    return number
            x, value = self._sharpened(x)
            exact = True
        found = self._known(x, value, exact)
        if found is None:
            # Values stay what they are from here on: a chain of improvements never returns.
            self.x.append(x)
            self.value.append(value)
            self.mark.append(self._fingerprint(x))
            found = len(self.x) - 1
        if sharp:
            self.sharpened.append((*rough, found))
        return found

    def _known(self, x: Float[ndarray, " d"], value: float, exact: bool) -> int | None:
        """Number of the minimum that a point is, if it was met before."""
        near, mark = np.abs(np.array(self.value) - value), self._fingerprint(x)
        for loose, same in ((SAME_LOSS, _ALIKE), (_CLOSE, _SAME)) if exact else ((_ROUGH, _ALIKE),):
            for k in np.flatnonzero(near <= loose * value + _NOTHING):
                if np.abs(mark - self.mark[k]).max() < same:
                    return int(k)
        return None

    def _sharpened(self, x: Float[ndarray, " d"]) -> tuple[Float[ndarray, " d"], float]:
        """A few steps with the loss's full accuracy: quadrature with few nodes ranks to four digits only."""
        exact = Landscape(self.landscape.problem, _SHARP)
        end = settle(exact, x[None], np.random.default_rng(0), steps=_SHARP_STEPS, gain=GAIN)
        return end.x[0], float(end.value[0])

    def _fingerprint(self, x: Float[ndarray, " d"]) -> Float[ndarray, " s"]:
        """Numbers that do not change when hidden space is rotated or equal features are exchanged."""
        problem = self.landscape.problem
        W, b = (part[0] for part in self.landscape.split(x[None]))
        G = W.T @ W
        norms = np.diag(G)
        b = np.where((norms < _DEAD**2) & (b < 0), 0.0, b)  # the bias of an output that never fires is arbitrary
        importance = problem.importance / max(problem.importance.max(), np.finfo(float).tiny)
        placed = [importance @ norms, problem.density @ norms, importance @ b, problem.density @ b]
        return np.concatenate([np.linalg.eigvalsh(G), np.sort(norms), np.sort(b), np.sort((G**2).sum(1)), placed])
