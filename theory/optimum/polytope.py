"""One polytope at one density: the norm, shape and bias that minimise its exact loss under its symmetry.

Features are independent, of equal density and importance, with values uniform on [0, 1]. In a tegum product
the factors' losses add, so that these optima are all that a product of any size needs.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import minimize

from theory.frames.mean_field import MOST_NODES, CosineLaw, MeanField, Nodes
from theory.geometry.pictures import solution_html
from theory.geometry.polytopes import Polytope
from theory.geometry.tegum import parse_geometry
from theory.loss.sparse_couplings import are_known, output_expansion, rough_output_expansion
from theory.model.features import one_density
from theory.optimum.one_sparse import one_sparse_optimum
from theory.optimum.symmetric import SymmetricMinimum, minimise_symmetric, silencing_starts, symmetric_losses
from theory.tools.locking import Locked, locked

__all__ = ["PolytopeOptimum", "optimise_polytope", "unrepresented_loss"]

# Starting points that are followed to the end, of those that look best.
_FOLLOWED = 2
# Step at which a rough minimisation ends; minima closer to each other are one; those that are higher than another by
# more than this part cannot be the better one, rough losses being good to 1e-6.
_ROUGH_STEP, _SAME, _ROUGH_LOSS = 1e-3, 1e-4, 1e-4
# Rigid polytopes with more vertices are optimised through the law of their cosines: their losses' accuracy in units of
# the zero model's, gradients (per density) at which a descent ends and at which it has converged, and descents.
_BY_LAW, _LAW_LOSS, _LAW_GRADIENT, _LAW_CONVERGED, _REPEATS = 15, 1e-10, 1e-9, 1e-7, 2
_STEP = 1e-5  # of differences of gradients
# Losses have several minima in norm and bias (275 points at p = 0.01: two): more starts, by squared norm and bias.
_COUPLINGS, _SHARES, _FOLLOWED_BY_LAW = (0.5, 1.0, 1.5, 2.2), (0.0, -0.2, -0.45, -0.7), 6


@dataclass(frozen=True, eq=False)
class PolytopeOptimum(Locked):
    """
    The best a polytope can do at one density, under its symmetry.

    Attributes
    ----------
    name : str
        The polytope.
    density : float
        Density p of its features.
    parameters : dict from str to float
        Optimal norms, shape parameters and biases, by name. Where the polytope does not pay the norm is 0.
    W : ndarray, shape (d, v)
        Embedding; read-only.
    b : ndarray, shape (v,)
        Output biases; read-only.
    loss : float
        Population loss, summed over the v features of importance 1.
    converged : bool
        Whether the gradient in the parameters has vanished, and the loss is accurate to 1e-6 of itself.

    Examples
    --------
    >>> import theory
    >>> best = theory.optimise_polytope("pentagon", 0.05)
    >>> f"{best.loss:.8f}", best.converged
    ('0.00890359', True)
    """

    name: str
    density: float
    parameters: dict[str, float]
    W: Float[ndarray, "d v"]
    b: Float[ndarray, " v"]
    loss: float
    converged: bool

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        known = {"geometry": self.name, "density": self.density, "loss": f"{self.loss:.10g}", **self.parameters}
        return solution_html(self.W, known)


def unrepresented_loss(density: float) -> float:
    """
    Give the loss of a feature that is not represented, at its best bias p/2.

    Parameters
    ----------
    density : float
        Probability p that the feature is active, in (0, 1]; values are uniform on [0, 1].

    Returns
    -------
    float
        p/3 - p^2/4, the variance of the feature.

    Examples
    --------
    >>> import theory
    >>> round(theory.unrepresented_loss(0.1), 6)
    0.030833
    """
    return density / 3 - density**2 / 4


def _dense_start(polytope: Polytope) -> dict[str, float]:
    """Where no output's ReLU cuts: G projects on the d dimensions, and the bias makes up for the mean."""
    norm = (polytope.d / polytope.v) ** 0.5
    return {**polytope.parameters, **dict.fromkeys(polytope.norm_names, norm)}


def _candidates(polytope: Polytope, density: float) -> list[dict[str, float]]:
    """Starting points: the one-sparse optimum, the dense solution, and those that silence neighbours."""
    dense = _dense_start(polytope)
    lean = density / 2 * (1 - (polytope.embedding(dense).T @ polytope.embedding(dense)).sum(0))
    for name, orbit in zip(polytope.bias_names, range(polytope.v), strict=False):
        dense[name] = float(lean[polytope.orbits.index(orbit)])
    return [one_sparse_optimum(polytope.name).parameters, dense, *silencing_starts(polytope)]


def _rough_minima(polytope: Polytope, density: float) -> list[SymmetricMinimum]:
    """Minima, to about six digits, that are reached from the starting points that look best."""
    rough = partial(rough_output_expansion, density=density)
    starts = _candidates(polytope, density)
    best = symmetric_losses(polytope, rough, starts).argsort(kind="stable")[:_FOLLOWED]
    found: list[SymmetricMinimum] = []
    for k in best.tolist():
        minimum = minimise_symmetric(polytope, rough, starts[k], tolerance=_ROUGH_STEP)
        if not any(_same(minimum, other) for other in found):
            found.append(minimum)
    least = min(minimum.loss for minimum in found)
    return [minimum for minimum in found if minimum.loss <= least * (1 + _ROUGH_LOSS)]


def _same(one: SymmetricMinimum, two: SymmetricMinimum) -> bool:
    return all(abs(x - two.parameters[name]) < _SAME for name, x in one.parameters.items())


@lru_cache(maxsize=20_000)
def _optimum(polytope: Polytope, density: float) -> tuple[SymmetricMinimum, bool]:
    """The minimum, and whether it converged to a loss that is known accurately."""
    if not polytope.d:  # b = E x = p/2 is exact
        return SymmetricMinimum({"bias": density / 2}, unrepresented_loss(density), 0.0), True
    if polytope.v > _BY_LAW and not polytope.shape and not any(polytope.orbits):
        return _by_law(polytope, density)
    exact = partial(output_expansion, density=density)
    minima = [minimise_symmetric(polytope, exact, m.parameters) for m in _rough_minima(polytope, density)]
    found = min(minima, key=lambda minimum: minimum.loss)
    known: list[bool] = []

    def noted(c: Float[ndarray, "r n"], b: Float[ndarray, " r"]) -> tuple[ndarray, ndarray, ndarray]:
        known.append(are_known(c, b, density))
        return exact(c, b)

    symmetric_losses(polytope, noted, [found.parameters])
    return found, found.converged and all(known)


def _by_law(polytope: Polytope, density: float) -> tuple[SymmetricMinimum, bool]:
    """Norm and bias of vertices that all see the same cosines: one output, known by their law, stands for all."""
    U = polytope.directions()
    law, field = CosineLaw.of(U[:, 0] @ U, 0), MeanField(density, polytope.v - 1.0)

    def point(x: ndarray) -> tuple[float, float]:
        return float(x[0]) ** 2, float(x[1])

    def loss(x: ndarray, nodes: Nodes) -> tuple[float, ndarray]:
        found = field.loss(*point(x), law, nodes)
        return found.value / density, np.array([found.dg * 2 * float(x[0]), found.db]) / density

    starts = [np.array([start["norm"], start["bias"]]) for start in _candidates(polytope, density)]
    starts += [np.array([g**0.5, share * g]) for g in _COUPLINGS for share in _SHARES]
    rough = [field.loss(*point(x), law, field.nodes(*point(x), law, _ROUGH_LOSS)).value for x in starts]
    minima = []
    for k in np.argsort(rough, kind="stable")[:_FOLLOWED_BY_LAW]:
        x = starts[k]
        for _ in range(_REPEATS):  # frequencies are chosen anew where the descent has ended
            nodes = field.nodes(*point(x), law, _LAW_LOSS)
            x = minimize(loss, x, args=(nodes,), jac=True, method="BFGS", options={"gtol": _LAW_GRADIENT}).x
            for _ in range(_REPEATS):  # losses no longer tell what is better: solve for the gradient's zero
                slope = loss(x, nodes)[1]
                bend = np.array([(loss(x + step, nodes)[1] - slope) / _STEP for step in _STEP * np.eye(2)])
                x = x - np.linalg.solve((bend + bend.T) / 2, slope) if np.linalg.det(bend) > 0 else x
        minima.append((loss(x, nodes)[0], x, nodes))
    _, best, nodes = min(minima, key=lambda minimum: minimum[0])
    value, gradient = loss(best, nodes)
    parameters = {"norm": abs(float(best[0])), "bias": float(best[1])}
    scale = polytope.v * density
    found = SymmetricMinimum(parameters, scale * value, float(np.linalg.norm(gradient)))
    return found, found.gradient_norm <= _LAW_CONVERGED and nodes.count < MOST_NODES


def optimise_polytope(name: str, density: float) -> PolytopeOptimum:
    """
    Optimise one catalogue polytope at one density.

    Parameters
    ----------
    name : str
        A polytope of the catalogue (or an alias of one).
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1], the same for all.

    Returns
    -------
    PolytopeOptimum
        Parameters, W, b and loss. Results are cached.

    Raises
    ------
    ValueError
        If the name is unknown or stands for a product of several polytopes, or the density lies outside (0,
        1].

    Notes
    -----
    The minimum is over embeddings with the polytope's symmetry: all of (W, b) may allow less. Several
    starting points guard against local minima; that none is lower is not proved.

    Examples
    --------
    >>> optimum = optimise_polytope("pentagon", 0.05)
    >>> optimum.converged, optimum.W.shape
    (True, (2, 5))
    """
    p = one_density(density)
    polytopes = parse_geometry(name).polytopes
    if len(polytopes) != 1:
        raise ValueError(f"{name!r} is a product of {len(polytopes)} polytopes; optimise each, their losses add")
    polytope = polytopes[0]
    found, converged = _optimum(polytope, p)
    return PolytopeOptimum(
        name=polytope.name,
        density=p,
        parameters=dict(found.parameters),
        W=locked(polytope.embedding(found.parameters)),
        b=locked(polytope.biases(found.parameters)),
        loss=found.loss,
        converged=converged,
    )
