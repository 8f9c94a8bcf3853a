"""Cells of a phase diagram whose loss is zero: where several geometries attain it, none of them is the optimum.

What has no loss is decided by the patterns and values that are possible at all; how likely they are, and how much
features count, does not matter. All cells have the same solutions of loss zero, therefore, and where these differ no
phase is determined.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from theory.model.extra_feature import extra_feature_problem
from theory.optimum.local_minima import refine
from theory.phase_diagram.grid import Grid
from theory.phase_diagram.solutions import signature
from theory.search.record import ZERO

__all__ = ["undetermined_cells"]

# How far solutions of loss zero are kicked, and by how much others then differ from them: isolated ones come back as
# far as a search converges.
_KICK, _ANOTHER = 0.3, 0.01


def undetermined_cells(grid: Grid) -> Bool[ndarray, "P R"]:
    """
    Say in which cells the loss is zero and the geometry is not determined.

    Parameters
    ----------
    grid : Grid
        Global optimum in every cell.

    Returns
    -------
    ndarray of bool, shape (P, R)
        Where the loss is zero, if solutions of loss zero differ by more than rotations and exchanges of equal features:
        those found in the cells, and those to which a kick leads from there.
    """
    m, n = grid.W.shape[-2:]
    p, r = np.meshgrid(grid.density, grid.importance, indexing="ij")
    problem = extra_feature_problem(n, m, p.ravel(), r.ravel(), grid.variant)
    limit = ZERO * np.asarray(problem.zero_loss)
    cells = np.flatnonzero(grid.loss.ravel() <= limit)
    zero = grid.loss <= limit.reshape(p.shape)
    if not len(cells):
        return zero
    W, b = grid.W.reshape(-1, m, n)[cells], grid.b.reshape(-1, n)[cells]
    kicked = refine(problem.take(cells), W + _KICK * np.random.default_rng(0).standard_normal(W.shape), b)
    others = kicked.loss <= limit[cells]
    marks: Float[ndarray, "k s"] = np.concatenate([signature(W, b), signature(kicked.W[others], kicked.b[others])])
    return zero if np.ptp(marks, axis=0).max() > _ANOTHER else np.zeros_like(zero)
