"""Phase diagrams as labelled data: assembling and describing."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np
import xarray as xr
from jaxtyping import Int
from numpy import ndarray

from theory.geometry.metrics import feature_norms, superposition
from theory.geometry.phases import CELL_PHASES, PHASES, UNDETERMINED, ideal_candidates
from theory.geometry.recognition import recognise_many
from theory.loss.outputs import output_errors
from theory.loss.terms import hidden_l1
from theory.model.extra_feature import extra_feature_problem
from theory.phase_diagram.boundaries import Boundary
from theory.phase_diagram.grid import Grid
from theory.search.record import ZERO

__all__ = ["assemble"]

_CELL = ("density", "importance")
# Part of the zero model's loss by which losses differ that rounding alone keeps apart.
_TIED = 1e-13
# What the numbers of phases mean.
_FLAGS = {"flag_values": np.arange(len(CELL_PHASES)), "flag_meanings": "; ".join(CELL_PHASES)}


def assemble(grid: Grid, phase: Int[ndarray, "P R"], boundary: Boundary, seed: int) -> xr.Dataset:
    """
    Put exact optimum, idealised candidates and boundaries into one labelled dataset.

    Parameters
    ----------
    grid : Grid
        Global optimum in every cell.
    phase : ndarray of int, shape (P, R)
        Phase of the extra feature in every cell, or ``UNDETERMINED``.
    boundary : Boundary
        Transitions between cells.
    seed : int
        Seed of the search, kept with the results.

    Returns
    -------
    xarray.Dataset
        As described in ``theory.phase_diagram.diagram.phase_diagram``.
    """
    m, n = grid.W.shape[-2:]
    data = xr.Dataset(
        {**_cells(grid, phase), **_transitions(boundary)},
        coords={
            "density": ("density", grid.density, {"long_name": "density p = 1 - S of every feature"}),
            "importance": ("importance", grid.importance, {"long_name": "relative importance of the extra feature"}),
        },
        attrs={
            "n": n,
            "m": m,
            "seed": seed,
            "phases": "; ".join(CELL_PHASES),
            "version": _version(),
            **grid.variant.told(),
        },
    )
    return data.merge(_ideal(n, m, grid))


def _described(dims: str | tuple[str, ...], values: ndarray, long_name: str) -> tuple[object, ...]:
    return dims, values, {"long_name": long_name}


def _cells(grid: Grid, phase: Int[ndarray, "P R"]) -> dict[str, tuple[object, ...]]:
    """What is known of every cell's optimum."""
    geometry = np.where(phase == UNDETERMINED, CELL_PHASES[UNDETERMINED], recognise_many(grid.W).astype(str))
    return {
        "loss": _described(_CELL, grid.loss, "population loss of the exact optimum"),
        "W": _described((*_CELL, "dimension", "feature"), grid.W, "embedding"),
        "b": _described((*_CELL, "feature"), grid.b, "output bias"),
        "phase": (_CELL, phase, _FLAGS),
        "norm": _described(_CELL, feature_norms(grid.W)[..., -1], "norm of the extra feature"),
        "superposition": _described(_CELL, superposition(grid.W)[..., -1], "sum over j of (W_extra_hat . W_j)^2"),
        "geometry": _described(_CELL, geometry, "geometry of the whole W"),
    }


def _transitions(boundary: Boundary) -> dict[str, tuple[object, ...]]:
    """What is known of every transition."""
    name = "boundary"
    order = "1: branches cross; 2: the optimum changes continuously"
    jump = "jump of dL*/d log(parameter) in its growing direction"
    return {
        "boundary_density": (name, boundary.density),
        "boundary_importance": (name, boundary.importance),
        "boundary_cell": _described(name, boundary.cell, "flat number of the cell before"),
        "boundary_neighbour": _described(name, boundary.neighbour, "flat number of the cell after"),
        "boundary_phase_before": (name, boundary.before),
        "boundary_phase_after": (name, boundary.after),
        "boundary_order": _described(name, boundary.order, order),
        "boundary_slope_jump": _described(name, boundary.slope_jump, jump),
        "boundary_solution_jump": _described(
            name, boundary.solution_jump, "largest difference of squared norms, overlaps or biases"
        ),
        "boundary_along": (name, np.where(boundary.neighbour - boundary.cell == 1, "importance", "density")),
    }


def _version() -> str:
    try:
        return version("superposition-theory")
    except PackageNotFoundError:
        return "unknown"


def _ideal(n: int, m: int, grid: Grid) -> xr.Dataset:
    """Losses of the idealised candidates: linear in the extra feature's importance."""
    candidates = list(ideal_candidates(n, m).values())
    p = grid.density[:, None] * np.ones(n)
    problem, terms = grid.variant.problem(n, m, p), grid.variant.terms
    held = terms.bias_of(n)
    others, extra = np.empty((2, len(candidates), len(p)))
    for k, candidate in enumerate(candidates):
        W = np.broadcast_to(candidate.embedding, (len(p), m, n))
        b = candidate.bias(p, grid.variant.values) if held is None else np.broadcast_to(held, p.shape)
        noise = terms.noise**2 * (W**2).sum(1) if terms.noise else None
        errors = output_errors(W.swapaxes(-1, -2) @ W, b, problem, noise=noise).value
        others[k], extra[k] = errors[:, :-1].sum(1), errors[:, -1]
        others[k] += terms.decay / 2 * (candidate.embedding**2).sum()
        if terms.l1:
            others[k] += terms.l1 * hidden_l1(W, problem)[0]
    loss = others[..., None] + extra[..., None] * grid.importance
    kinds = np.array([PHASES.index(candidate.phase) for candidate in candidates])
    unit = np.asarray(extra_feature_problem(n, m, grid.density[:, None], grid.importance, grid.variant).zero_loss)
    winner = (loss <= loss.min(0) + _TIED * unit).argmax(0)  # of candidates that tie the first
    free = loss <= ZERO * unit  # several phases without loss: none is the best
    several = np.ptp(np.where(free, kinds[:, None, None], kinds[winner]), axis=0) > 0
    return xr.Dataset(
        {
            "ideal_loss": (
                ("candidate", *_CELL),
                loss,
                {"long_name": "population loss of the idealised candidate"},
            ),
            "ideal_loss_of_others": (("candidate", "density"), others),
            "ideal_loss_of_extra": (("candidate", "density"), extra, {"long_name": "at importance 1"}),
            "ideal_winner": (_CELL, winner, {"long_name": "number of the best candidate"}),
            "ideal_phase": (_CELL, np.where(several, UNDETERMINED, kinds[winner]), _FLAGS),
            "candidate_phase": ("candidate", kinds),
        },
        coords={"candidate": [candidate.name for candidate in candidates]},
    )
