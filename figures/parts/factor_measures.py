"""How like principal components a model of correlated pairs is, and which factors anticorrelated features share."""

from figures.shared.script import Settings

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import xarray as xr
from numpy import ndarray

from figures.shared.training import PAPER_RECIPE, trained
from figures.shared.verdicts import PAPER
from theory import Anticorrelated, Correlated, Problem, recognise
from theory.optimum.local_minima import random_starts, refine

__all__ = ["CASES", "MEASURES", "OURS", "PAIRS", "STRAIGHT", "SetCase", "anticorrelated", "likeness", "pairs_problem",
           "pca_loss", "principal", "shared", "straight"]  # fmt: skip

# Three pairs of correlated features in two dimensions, as on the slide; densities of a set.
PAIRS = ((0, 1), (2, 3), (4, 5))
_DENSITIES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.7, 0.9)
_QUICK_DENSITIES = (0.1, 0.4, 0.8)
# Coarse forms of what is lowest only in narrow ranges: collapsed sets as a digon and an axis, as three directions, and
# two collapsed sets beside one whose features are apart.
_KNOWN = np.array(
    [
        [[0.7, 0.7, -0.7, -0.7, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.7, 0.7]],
        [[0.7, 0.7, -0.35, -0.35, -0.35, -0.35], [0.0, 0.0, 0.6, 0.6, -0.6, -0.6]],
        [[0.98, 0.05, -0.72, -0.72, 0.01, 0.01], [0.0, 0.98, -0.01, 0.10, -0.72, -0.72]],
    ]
)
MEASURES = ("variance kept", "W^T W against the projection", "loss against PCA's")
OURS = "Xavier, Adam 1e-2"
_RECIPES = {OURS: {"learning_rate": 1e-2, "steps": 3000}, PAPER: PAPER_RECIPE}
# So many orders of the vertices: six features in sets have five arrangements around a hexagon, or fewer.
_ORDERS = 24
# Columns shorter than this store nothing.
_DEAD_NORM = 0.1
# Degrees from a straight angle, the first the one that is drawn.
STRAIGHT = (10.0, 3.0, 5.0, 20.0)


@dataclass(frozen=True)
class SetCase:
    """Sets of anticorrelated features, and the dimensions they have."""

    sets: int
    size: int
    m: int

    @property
    def members(self) -> list[list[int]]:
        """The features of every set."""
        return np.arange(self.sets * self.size).reshape(self.sets, self.size).tolist()

    @property
    def label(self) -> str:
        """Sets, size and dimensions in a few words."""
        return f"{self.sets} sets of {self.size}, m = {self.m}"

    def problem(self, density: float) -> Problem:
        """The problem with that density of a set."""
        return Problem(m=self.m, features=Anticorrelated(self.members, density=density))


CASES = (SetCase(2, 2, 2), SetCase(3, 2, 3), SetCase(2, 3, 3), SetCase(3, 2, 2), SetCase(2, 3, 2))


def pairs_problem(density: float) -> Problem:
    """Three correlated pairs in two dimensions."""
    return Problem(m=2, features=Correlated(PAIRS, density=density))


def principal(settings: Settings) -> xr.Dataset:
    """The best solutions of three correlated pairs against density, and learned ones: how like PCA they are."""
    densities = _QUICK_DENSITIES if settings.quick else _DENSITIES
    random, runs = (2, 2) if settings.quick else (16, 6)
    recipes = [OURS] if settings.quick else list(_RECIPES)
    best, optimum, learned = [], [], np.zeros((len(recipes), len(densities), runs, len(MEASURES)))
    for j, p in enumerate(densities):
        problem = pairs_problem(p)
        W, b = random_starts(problem, random, np.random.default_rng(settings.seed))
        # A nudge, lest descent rest on a saddle point.
        known = _KNOWN + 0.01 * np.random.default_rng(settings.seed).standard_normal(_KNOWN.shape)
        W, b = np.concatenate([known, W]), np.concatenate([np.zeros((len(known), 6)), b])
        found = refine(problem.repeated(len(W)), W, b)
        k = int(found.loss.argmin())
        best.append(found.W[k])
        optimum.append((*likeness(found.W[k], p), float(found.loss[k]) / pca_loss(p)))
        for i, recipe in enumerate(recipes):
            model = trained(problem, runs, settings, progress=False, **_RECIPES[recipe])
            each = zip(model.W[0], model.loss[0], strict=True)
            learned[i, j] = [(*likeness(w, p), loss / pca_loss(p)) for w, loss in each]
    return xr.Dataset(
        {
            "optimum": (("pca_density", "measure"), np.array(optimum)),
            "optimum_W": (("pca_density", "pca_dimension", "pca_feature"), np.array(best)),
            "learned": (("pca_recipe", "pca_density", "run", "measure"), learned),
        },
        coords={"pca_density": list(densities), "measure": list(MEASURES), "pca_recipe": recipes},
    )


def pca_loss(density: float) -> float:
    """
    Give the loss of principal component analysis: the linear model's least, with two of three pairs' worth of rank.

    Parameters
    ----------
    density : float
        Probability p that a pair is active.

    Returns
    -------
    float
        6 v - 2 (v + c): total variance without two principal components, of variance v + c each, where
        v = p/3 - p^2/4 is a feature's variance and c = p/4 - p^2/4 the covariance of a pair.
    """
    v, c = density / 3 - density**2 / 4, density / 4 - density**2 / 4
    return 6 * v - 2 * (v + c)


def likeness(W: ndarray, density: float) -> tuple[float, float]:
    """
    Compare a model of the three pairs with principal components.

    Parameters
    ----------
    W : ndarray, shape (2, 6)
        Embedding.
    density : float
        Density of a pair, below 1: at 1 features are independent, and no direction is principal.

    Returns
    -------
    kept : float
        Variance along the two directions that W reads, as a part of the most that two directions can have.
    apart : float
        Distance of W^T W from the nearest projection on two principal directions, in units of that projection's norm;
        all directions in the span of the three sums (a + b)/sqrt 2 are principal, their variances being equal.
    """
    v, c = density / 3 - density**2 / 4, density / 4 - density**2 / 4
    covariance = np.kron(np.eye(3), np.array([[v, c], [c, v]]))
    rows = np.linalg.svd(W, full_matrices=False)[2]
    kept = float(np.trace(rows @ covariance @ rows.T) / (2 * (v + c)))
    sums = np.kron(np.eye(3), np.ones((1, 2))) / np.sqrt(2)
    G = W.T @ W
    vectors = np.linalg.eigh(sums @ G @ sums.T)[1][:, 1:]
    nearest = sums.T @ vectors @ vectors.T @ sums
    return kept, float(np.linalg.norm(G - nearest) / np.sqrt(2))


def anticorrelated(settings: Settings) -> xr.Dataset:
    """Pairs of features within and across anticorrelated sets: how many share a factor, how many are opposite."""
    densities = (0.1,) if settings.quick else (0.03, 0.1, 0.3)
    cases = CASES[:3] if settings.quick else CASES
    runs, random = (3, 3) if settings.quick else (12, 12)
    recipes = [OURS] if settings.quick else list(_RECIPES)
    shape = (len(cases), len(densities))
    together, loss = np.zeros((*shape, 2)), np.zeros(shape)
    opposite = np.zeros((*shape, len(STRAIGHT), 2))
    learned = np.zeros((len(recipes), len(cases), 2))
    cosine = np.full((len(cases), 6, 6), np.nan)
    for i, case in enumerate(cases):
        for j, p in enumerate(densities):
            problem = case.problem(p)
            drawn = j == len(densities) // 2
            models = [
                trained(problem, runs, settings, progress=False, **_RECIPES[recipe])
                for recipe in (recipes if drawn else recipes[:1])
            ]
            if drawn:
                learned[:, i] = [np.mean([shared(case, w) for w in model.W[0]], axis=0) for model in models]
            W, b = random_starts(problem, random, np.random.default_rng(settings.seed))
            if case.m == 2:
                W, b = np.concatenate([W, _polygons(problem.n)]), np.concatenate([b, np.zeros((_ORDERS, problem.n))])
            W, b = np.concatenate([W, models[0].W[0]]), np.concatenate([b, models[0].b[0]])
            found = refine(problem.repeated(len(W)), W, b)
            best = int(found.loss.argmin())
            loss[i, j] = found.loss[best] / problem.zero_loss
            together[i, j] = shared(case, found.W[best])
            opposite[i, j] = [straight(case, found.W[best], within) for within in STRAIGHT]
            if drawn:
                cosine[i, : problem.n, : problem.n] = _cosines(found.W[best])
    return xr.Dataset(
        {
            "together": (("case", "density", "where"), together),
            "opposite": (("case", "density", "degrees", "where"), opposite),
            "together_learned": (("recipe", "case", "where"), learned),
            "best_loss": (("case", "density"), loss),
            "cosine": (("case", "i", "j"), cosine),
        },
        coords={
            "case": [case.label for case in cases],
            "density": list(densities),
            "degrees": list(STRAIGHT),
            "where": ["within", "across"],
            "recipe": recipes,
        },
        attrs={"anticorrelated_runs": runs},
    )


def _polygons(n: int) -> ndarray:
    """Regular polygons with the features at their vertices in many orders."""
    angle = 2 * np.pi * np.arange(n) / n
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(n) for _ in range(_ORDERS)])
    return np.array([np.cos(angle[orders]), np.sin(angle[orders])]).swapaxes(0, 1)


def _cosines(W: ndarray) -> ndarray:
    """Cosines between represented features, NaN for the others."""
    norms = np.linalg.norm(W, axis=0)
    unit = np.where(norms > _DEAD_NORM, W / np.maximum(norms, _DEAD_NORM), np.nan)
    return np.asarray(unit.T @ unit)


def _shares(case: SetCase, yes: ndarray) -> tuple[float, float]:
    """Share of the pairs within sets, and across sets, for which something is true."""
    own = {frozenset(pair) for members in case.members for pair in combinations(members, 2)}
    within: list[bool] = []
    across: list[bool] = []
    for pair in combinations(range(case.sets * case.size), 2):
        (within if frozenset(pair) in own else across).append(bool(yes[pair]))
    return float(np.mean(within)), float(np.mean(across))


def shared(case: SetCase, W: ndarray) -> tuple[float, float]:
    """
    Give the share of pairs that share a tegum factor.

    Parameters
    ----------
    case : SetCase
        Which features are in which sets.
    W : ndarray, shape (m, n)
        Embedding.

    Returns
    -------
    within, across : float
        Of the pairs of features of the same set, and of those of different ones; an unrepresented feature shares none.
    """
    together = np.zeros((W.shape[1], W.shape[1]), dtype=bool)
    for factor in recognise(W).factors:
        together[np.ix_(factor.features, factor.features)] = True
    return _shares(case, together)


def straight(case: SetCase, W: ndarray, within: float) -> tuple[float, float]:
    """
    Give the share of pairs that are opposite.

    Parameters
    ----------
    case : SetCase
        Which features are in which sets.
    W : ndarray, shape (m, n)
        Embedding.
    within : float
        Degrees by which an angle may differ from a straight one.

    Returns
    -------
    within, across : float
        Of the pairs of features of the same set, and of those of different ones; an unrepresented feature has no
        opposite.
    """
    return _shares(case, _cosines(W) < -np.cos(np.deg2rad(within)))
