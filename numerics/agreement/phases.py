"""The learned phase diagram beside the exact one: what became of the extra feature, cell by cell.

A learned W is noisy: nothing in it is exactly zero, and the strict threshold of the exact phases (a norm or an overlap
below 0.01 counts as none) would read that noise. Its phase is therefore that of the exact local minimum that the model
belongs to, reached from it by descent on the exact loss, but only if its loss is within 0.5 % of that minimum's: one
that is stuck elsewhere, with an output that never fires for instance, counts as not converged and agrees with nothing;
its phase is that of the bare W, at the same threshold, which is kept for all models.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from numerics.agreement.asked import asked_variant
from numerics.agreement.compare import RATE, STEPS, told
from numerics.agreement.exact_descent import train_exactly
from numerics.agreement.references import exact_losses, nearest_minima
from numerics.agreement.verdicts import CONVERGED, EQUAL, ROUNDING
from numerics.training.run import train
from numerics.training.settings import Settings, settled
from theory.geometry.metrics import feature_norms, superposition
from theory.geometry.phases import PHASES, UNDETERMINED, phase_of
from theory.model.extra_feature import extra_feature_problem
from theory.model.problem import Problem
from theory.model.variant import STANDARD, Variant
from theory.phase_diagram.diagram import exact_phase_diagram
from theory.tools.command import progress as progress_bar
from theory.tools.parallel import Workers
from theory.tools.threads import one_blas_thread

__all__ = ["AXES", "CAUSES", "Shares", "agreement_shares", "compare_phases", "near_boundary", "phase_agreement"]

# A cell lies near a boundary if a change of its density, or of its importance, by this part crosses one.
NEAR = 0.05
# Ranges of density and importance unless told otherwise.
AXES = ((0.01, 1.0), (0.1, 10.0))
CAUSES = ("agrees", "near-degenerate", "metastable", "not converged", "theory wrong", "other minimum, same phase")
# Runs whose minima are searched for together.
_CHUNK = 1500
_CELL = ("density", "importance")


def phase_agreement(
    n: int = 3,
    m: int = 2,
    resolution: int = 30,
    instances: int | None = None,
    settings: Settings | None = None,
    loss: str = "sampled",
    workers: Workers = 1,
    density: tuple[float, float] = AXES[0],
    importance: tuple[float, float] = AXES[1],
    progress: bool = True,
    variant: Variant = STANDARD,
    **changes: Any,
) -> xr.Dataset:
    """
    Train toy models all over the phase diagram of an extra feature, and compare with the exact optimum.

    Parameters
    ----------
    n, m : int
        Features, the last of which is the extra one, and hidden dimensions, m < n.
    resolution : int
        Cells per axis, >= 2.
    instances : int, optional
        Runs per cell; 8 by default.
    settings : Settings, optional
        How to train; its seed is also that of the search. By default 3000 steps of Adam from a learning rate of 1e-2
        on, with which the best of eight runs ends within 0.1 % of the optimal loss in every cell of n = 3, m = 2.
    loss : {"sampled", "population"}
        Train on samples, or on the exact loss.
    workers : int or str
        Processes, or the address of a Dask scheduler; results do not depend on it.
    density : (float, float)
        Range of the density p = 1 - S of every feature.
    importance : (float, float)
        Range of the extra feature's importance, the others having 1.
    progress : bool
        Whether to show bars on stderr (if that is a terminal and the work takes more than two seconds).
    variant : Variant
        Laws of values and sets, and whatever else is asked besides sizes, density and importance.
    **changes
        Fields of ``Settings`` that differ.

    Returns
    -------
    xarray.Dataset
        The exact phase diagram, as ``theory.phase_diagram.diagram.phase_diagram`` gives it, and what ``compare_phases``
        adds.

    Raises
    ------
    ValueError
        If a setting is out of its range or unknown.

    Examples
    --------
    >>> import numerics
    >>> found = numerics.phase_agreement(2, 1, resolution=2, instances=1, steps=20, progress=False)
    >>> found["phase"].shape
    (2, 2)
    """
    if loss not in ("sampled", "population"):
        raise ValueError(f"loss must be 'sampled' or 'population', got {loss!r}")
    settings = settled(settings, {"instances": instances, **changes}, steps=STEPS, learning_rate=RATE)
    exact = exact_phase_diagram(n, m, resolution, density, importance, settings.seed, workers, variant)
    problem = extra_feature_problem(n, m, exact["density"].values[:, None], exact["importance"].values, variant)
    if loss == "population":
        learned = train_exactly(problem, settings=settings, workers=workers, progress=progress)
    else:
        sampled = replace(settings, snapshots=())
        learned = train(problem, settings=sampled, on_divergence="record", workers=workers, progress=progress)
    with one_blas_thread():
        compared = compare_phases(exact, problem, learned["W"].values, learned["b"].values, progress)
    return compared.assign_attrs(told(settings), instances=settings.instances, loss=loss, asked=asked_variant(variant))


def compare_phases(
    exact: xr.Dataset,
    problem: Problem,
    W: Float[ndarray, "runs m n"],
    b: Float[ndarray, "runs n"],
    progress: bool = False,
) -> xr.Dataset:
    """
    Compare runs in every cell with the exact phase diagram.

    Parameters
    ----------
    exact : xarray.Dataset
        The exact phase diagram.
    problem : Problem
        Its cells: a batch of shape (density, importance).
    W : ndarray, shape (runs, m, n)
        Learned weights; the runs of a cell are neighbours, cells in the order of the batch. NaN where a run diverged.
    b : ndarray, shape (runs, n)
        Learned biases.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        With, per cell and ``run``: ``run_loss`` (exact), ``run_phase`` and ``run_local_loss`` of the nearest exact
        local minimum, ``run_bare_phase`` of W itself, ``run_norm`` and ``run_superposition`` of the extra feature; per
        cell, of the ``best`` run (of the lowest exact loss): ``learned_phase``, ``learned_bare_phase``, ``learned_gap``
        = loss / optimum - 1, ``learned_local_gap`` of its local minimum to the optimum, ``agrees`` (converged, and in
        the predicted phase); where the loss is zero and no phase is determined, gaps are parts of the zero model's loss
        and every phase agrees; ``share`` of the runs per phase, ``near_boundary``, and ``cause``: an index into the
        attribute ``causes``. Diverged runs have phase -1 and an infinite loss.
    """
    shape = exact["phase"].shape
    m, n = W.shape[1:]
    count = len(W) // exact["phase"].size
    runs = problem.repeated(count)
    finite = np.isfinite(W).all((1, 2)) & np.isfinite(b).all(1)
    found = _judged(runs, W, b, finite, progress)
    by_cell = {name: values.reshape(*shape, count) for name, values in found.items()}
    best = by_cell["loss"].argmin(-1)

    def of_best(name: str) -> ndarray:
        return np.take_along_axis(by_cell[name], best[..., None], -1)[..., 0]

    optimum = exact["loss"].values
    phase = exact["phase"].values
    free = phase == UNDETERMINED  # of loss zero: only the loss can be right, in units of the zero model's
    zero_model = np.asarray(problem.zero_loss)
    unit = np.where(free, zero_model, optimum)
    gap, local_gap = (of_best("loss") - optimum) / unit, (of_best("local_loss") - optimum) / unit
    lowest = (np.minimum(by_cell["local_loss"], by_cell["loss"]).min(-1) - optimum) / unit
    local = of_best("local_loss")
    converged = of_best("loss") <= local + CONVERGED * np.where(free, zero_model, local)
    learned = np.where(converged, of_best("phase"), of_best("bare_phase"))
    agrees = converged & ((learned == phase) | free)
    share = np.stack([(by_cell["phase"] == k).mean(-1) for k in range(len(PHASES))], -1)
    chosen = best.ravel() + count * np.arange(best.size)
    return exact.assign(
        run_loss=((*_CELL, "run"), by_cell["loss"], {"long_name": "exact loss of every run"}),
        run_local_loss=((*_CELL, "run"), by_cell["local_loss"]),
        run_phase=((*_CELL, "run"), by_cell["phase"]),
        run_bare_phase=((*_CELL, "run"), by_cell["bare_phase"]),
        run_norm=((*_CELL, "run"), by_cell["norm"]),
        run_superposition=((*_CELL, "run"), by_cell["superposition"]),
        best=(_CELL, best, {"long_name": "run of the lowest exact loss"}),
        learned_W=((*_CELL, "dimension", "feature"), W[chosen].reshape(*shape, m, n)),
        learned_b=((*_CELL, "feature"), b[chosen].reshape(*shape, n)),
        learned_phase=(_CELL, learned),
        learned_bare_phase=(_CELL, of_best("bare_phase")),
        learned_gap=(_CELL, gap, {"long_name": "exact loss of the best run / loss of the exact optimum - 1"}),
        learned_local_gap=(_CELL, local_gap),
        share=((*_CELL, "phase_index"), share, {"long_name": "share of the runs per phase"}),
        near_boundary=(_CELL, near_boundary(exact)),
        agrees=(_CELL, agrees),
        cause=(_CELL, _causes(agrees, converged, local_gap, lowest), {"flag_meanings": "; ".join(CAUSES)}),
    ).assign_attrs(causes="; ".join(CAUSES))


def _judged(
    problem: Problem, W: ndarray, b: ndarray, finite: Bool[ndarray, " runs"], progress: bool
) -> dict[str, ndarray]:
    """Exact losses, local minima and phases of all runs that did not diverge."""
    count = len(W)
    result: dict[str, ndarray] = {name: np.full(count, np.inf) for name in ("loss", "local_loss")}
    result |= {name: np.full(count, -1) for name in ("phase", "bare_phase")}
    result |= {name: np.full(count, np.nan) for name in ("norm", "superposition")}
    well = np.flatnonzero(finite)
    starts = range(0, len(well), _CHUNK)
    for start in progress_bar(starts, label="judging runs") if progress else starts:
        rows = well[start : start + _CHUNK]
        some, V, c = problem.take(rows), W[rows].astype(float), b[rows].astype(float)
        minima = nearest_minima(some, V, c)
        result["loss"][rows], result["local_loss"][rows] = exact_losses(some, V, c), minima.loss
        result["phase"][rows], result["bare_phase"][rows] = phase_of(minima.W), phase_of(V)
        result["norm"][rows], result["superposition"][rows] = feature_norms(V)[:, -1], superposition(V)[:, -1]
    return result


def _causes(
    agrees: Bool[ndarray, "*cells"],
    converged: Bool[ndarray, "*cells"],
    local_gap: Float[ndarray, "*cells"],
    lowest: Float[ndarray, "*cells"],
) -> Int[ndarray, "*cells"]:
    """Why the best run is not at the predicted optimum; a beaten theory comes first, whatever the phases."""
    cause = np.where(local_gap > EQUAL, CAUSES.index("metastable"), CAUSES.index("near-degenerate"))
    cause = np.where(~converged, CAUSES.index("not converged"), cause)
    same_phase = np.where(local_gap > EQUAL, CAUSES.index("other minimum, same phase"), CAUSES.index("agrees"))
    cause = np.where(agrees, same_phase, cause)
    return np.where(lowest < -ROUNDING["global optimum"], CAUSES.index("theory wrong"), cause)


def near_boundary(exact: xr.Dataset, within: float = NEAR) -> Bool[ndarray, "P R"]:
    """
    Say which cells lie near a boundary between phases.

    Parameters
    ----------
    exact : xarray.Dataset
        The exact phase diagram.
    within : float
        A cell is near if its density alone, or its importance alone, times or divided by 1 + within crosses a
        boundary; less than the spacing of the cells.

    Returns
    -------
    ndarray of bool, shape (P, R)
        True near a boundary. Boundaries beyond the diagram's edges are not known.
    """
    shape = exact["phase"].shape
    changes = exact["boundary_phase_before"].values != exact["boundary_phase_after"].values
    p, r = exact["boundary_density"].values, exact["boundary_importance"].values
    near = np.zeros(shape, dtype=bool)
    for end in ("boundary_cell", "boundary_neighbour"):
        i, j = np.unravel_index(exact[end].values.astype(int), shape)
        away = np.abs(np.log(p / exact["density"].values[i])) + np.abs(np.log(r / exact["importance"].values[j]))
        close = changes & (away <= np.log1p(within) * (1 + 1e-9))
        near[i[close], j[close]] = True
    return near


@dataclass(frozen=True)
class Shares:
    """
    In how many cells the best run has the predicted phase.

    Attributes
    ----------
    far_cells, near_cells : int
        Cells further than 5 % from a boundary, and those within.
    far, near : int
        Those of them whose best run is converged and in the predicted phase.
    far_bare, near_bare : int
        Those that agree when the phase is read off the bare W.
    theory_wrong : int
        Cells in which a run has a lower loss than the theory's optimum.
    """

    far_cells: int
    near_cells: int
    far: int
    near: int
    far_bare: int
    near_bare: int
    theory_wrong: int


def agreement_shares(data: xr.Dataset) -> Shares:
    """
    Count the cells that agree.

    Parameters
    ----------
    data : xarray.Dataset
        As ``phase_agreement`` returns it.

    Returns
    -------
    Shares
        Counts, far from boundaries and near.
    """
    near = data["near_boundary"].values.astype(bool)
    agree, phase, learned = data["agrees"].values.astype(bool), data["phase"].values, data["learned_bare_phase"].values
    bare = np.where(phase == UNDETERMINED, agree, learned == phase)
    return Shares(
        far_cells=int((~near).sum()),
        near_cells=int(near.sum()),
        far=int((agree & ~near).sum()),
        near=int((agree & near).sum()),
        far_bare=int((bare & ~near).sum()),
        near_bare=int((bare & near).sum()),
        theory_wrong=int((data["cause"].values == CAUSES.index("theory wrong")).sum()),
    )
