"""One polytope at one density: the norm, shape and bias that minimise its exact loss under its symmetry.

Features are independent, of equal density and importance, with values uniform on [0, 1]. In a tegum product
the factors' losses add, so that these optima are all that a product of any size needs.
"""

from dataclasses import dataclass
from functools import lru_cache, partial

from jaxtyping import Float
from numpy import ndarray

from theory.geometry.polytopes import Polytope
from theory.geometry.tegum import parse_geometry
from theory.loss.sparse_couplings import are_known, output_expansion, rough_output_expansion
from theory.model.features import density_array
from theory.optimum.one_sparse import one_sparse_optimum
from theory.optimum.symmetric import SymmetricMinimum, minimise_symmetric, silencing_starts, symmetric_losses
from theory.tools.locking import Locked, locked

__all__ = ["PolytopeOptimum", "optimise_polytope", "unrepresented_loss"]

# Starting points that are followed to the end, of those that look best.
_FOLLOWED = 2
# Step at which a rough minimisation ends; minima closer to each other are one; those that are higher than another by
# more than this part cannot be the better one, rough losses being good to 1e-6.
_ROUGH_STEP, _SAME, _ROUGH_LOSS = 1e-3, 1e-4, 1e-4


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
    """

    name: str
    density: float
    parameters: dict[str, float]
    W: Float[ndarray, "d v"]
    b: Float[ndarray, " v"]
    loss: float
    converged: bool


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
    exact = partial(output_expansion, density=density)
    minima = [minimise_symmetric(polytope, exact, m.parameters) for m in _rough_minima(polytope, density)]
    found = min(minima, key=lambda minimum: minimum.loss)
    known: list[bool] = []

    def noted(c: Float[ndarray, "r n"], b: Float[ndarray, " r"]) -> tuple[ndarray, ndarray, ndarray]:
        known.append(are_known(c, b, density))
        return exact(c, b)

    symmetric_losses(polytope, noted, [found.parameters])
    return found, found.converged and all(known)


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
    p = float(density_array(density))
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
