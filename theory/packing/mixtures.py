"""The best known arrangement of n equal features: products of polytopes and codes, even frames, and mixtures of them.

Even frames that exist (theory.frames.descent) are factors like polytopes: they hold k features in d <= m dimensions,
and losses of factors in orthogonal subspaces add. A knapsack over all of them is an upper bound of the optimal loss
that no product alone and no frame alone reaches; below it stands the estimate of the relaxed even frame
(theory.frames.prediction). Between the two lies the staircase.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from theory.frames.descent import DescendedFrame, descend_frame
from theory.frames.prediction import predict_even_frame
from theory.geometry.metrics import dimensionality
from theory.geometry.polytopes import POLYTOPES
from theory.optimum.polytope import optimise_polytope
from theory.packing.best_product import factor_losses
from theory.packing.knapsack import Factor, pack_factors
from theory.tools.command import progress
from theory.tools.seeds import Seed, seed_number

__all__ = ["Mixture", "best_mixture", "frames_of_parts"]

# Dimensions of the frames that are tried, as parts of m; polytopes, codes and other frames fill up the rest.
_PARTS = (2 / 3, 1)


@dataclass(frozen=True, eq=False)
class Mixture:
    """
    An arrangement of factors in orthogonal subspaces, and its exact loss.

    Attributes
    ----------
    n, m : int
        Features and hidden dimensions.
    factors : dict from str to int
        How often each polytope, code or frame ("frame 90 in 20") occurs; "unrepresented" features fill up.
    loss : float
        Population loss, summed over all n features of importance 1.
    dimensionality, norms : ndarray, shape (n,)
        D_i and norm of every feature, factor by factor.
    """

    n: int
    m: int
    factors: dict[str, int]
    loss: float
    dimensionality: Float[ndarray, " n"]
    norms: Float[ndarray, " n"]

    @property
    def name(self) -> str:
        """The factors as people say them."""
        return " + ".join(
            f"{count} {name}" if count > 1 or name == "unrepresented" else name
            for name, count in self.factors.items()
            if count
        )

    @property
    def dimensions_per_feature(self) -> float:
        """The average m / |W|_F^2; infinite if nothing is represented."""
        total = float(self.norms @ self.norms)
        return self.m / total if total else np.inf


def frames_of_parts(
    n: int,
    m: int,
    density: float,
    parts: Sequence[float] = _PARTS,
    seed: Seed = 0,
    steps: int = 200,
    stored: int | None = None,
) -> list[DescendedFrame]:
    """
    Descend even frames in some of the dimensions, each with as many features as the relaxation predicts.

    Parameters
    ----------
    n : int
        Features of equal density and importance, >= 2.
    m : int
        Hidden dimensions, >= 2.
    density : float
        Density of the features, in (0, 1].
    parts : sequence of float
        Dimensions of the frames in units of m, each in (0, 1]; rounded, and at least 2.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the directions that descents start from.
    steps : int
        Most steps of a descent.
    stored : int, optional
        Features that the relaxation predicts in all m dimensions, if that is known already.

    Returns
    -------
    list of DescendedFrame
        One for every number d of dimensions for which more than 2 d features are predicted: up to that many are
        antipodal pairs and dedicated features, which no random start finds and the catalogue has. Where all features
        are stored, only the one of all dimensions.
    """
    whole = predict_even_frame(n, m, density).k if stored is None else stored
    if whole <= 2 * m:
        return []
    number, found = seed_number(seed), []
    dimensions = sorted({max(2, round(part * m)) for part in (parts if whole < n else (1,))})
    for d in progress(dimensions, label="even frames"):
        k = whole if d == m else predict_even_frame(n, d, density).k
        if k > 2 * d:
            found.append(descend_frame(k, d, density, number, steps))
    return found


def best_mixture(
    n: int,
    m: int,
    density: float,
    frames: Sequence[DescendedFrame] = (),
    losses: Mapping[str, float] | None = None,
) -> Mixture:
    """
    Find the best arrangement of polytopes, codes and given frames in orthogonal subspaces.

    Parameters
    ----------
    n : int
        Number of features, all of equal density and importance 1, >= 1.
    m : int
        Hidden dimensions, >= 1.
    density : float
        Probability p = 1 - S that a feature is active, in (0, 1]; values are uniform on [0, 1].
    frames : sequence of DescendedFrame
        Frames that may be factors, all at this density.
    losses : mapping from str to float, optional
        Losses of the polytopes that may be used, as ``factor_losses`` gives them; by default of all.

    Returns
    -------
    Mixture
        The choice is exact for the given factors.

    Raises
    ------
    ValueError
        If ``losses`` lacks "unrepresented".
    """
    known = factor_losses(density, n, m) if losses is None else losses
    if "unrepresented" not in known:
        raise ValueError("losses must tell that of 'unrepresented', which fills up the features")
    named = {_name(frame): frame for frame in sorted(frames, key=lambda frame: -frame.loss)}  # the best of equal size
    factors = [Factor(name, POLYTOPES[name].d, POLYTOPES[name].v, loss) for name, loss in known.items()]
    factors = [factor for factor in factors if factor.d]
    factors += [Factor(name, frame.W.shape[0], frame.W.shape[1], frame.loss) for name, frame in named.items()]
    counts = pack_factors(n, m, factors, known["unrepresented"])
    size = {factor.name: factor for factor in factors}
    left = n - sum(size[name].v * count for name, count in counts.items())
    loss = sum(size[name].loss * count for name, count in counts.items()) + left * known["unrepresented"]
    D, norms = [np.zeros(left)], [np.zeros(left)]
    for name, count in counts.items():
        W = named[name].W if name in named else optimise_polytope(name, density).W
        D += count * [dimensionality(W)]
        norms += count * [np.linalg.norm(W, axis=0)]
    order = dict(sorted(counts.items(), key=lambda item: -size[item[0]].v))
    if left:
        order["unrepresented"] = left
    return Mixture(n, m, order, float(loss), np.concatenate(D[::-1]), np.concatenate(norms[::-1]))


def _name(frame: DescendedFrame) -> str:
    d, k = frame.W.shape
    return f"frame {k} in {d}"
