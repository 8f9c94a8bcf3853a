"""Learned models of one problem beside its exact theory: loss, nearest minimum, geometry, and how often each."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from numerics.agreement.asked import sets_of, variant_told
from numerics.agreement.references import Reference, losses_and_errors, nearest_minima, reference_minima
from theory.geometry.distance import embedding_distance, rotated_distance
from theory.geometry.grouping import alike_members, grouping_text, same_grouping
from theory.geometry.recognition import recognise, recognise_many
from theory.loss.terms import checked_parameters
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.optimum.with_terms import balanced
from theory.search.record import ZERO
from theory.tools.command import ticking_bar
from theory.tools.seeds import Seed, seed_number

if TYPE_CHECKING:
    from theory.optimum.local_minima import LocalMinima

__all__ = ["ARRANGEMENTS", "VERDICTS", "judge", "run_verdicts"]

# A learned loss within this part of an exact local minimum's counts as converged (the claim that is tested).
CONVERGED = 5e-3
# Losses that differ by less than this part are equal within what is left of the sampling noise.
EQUAL = 1e-3
# The exact loss at any (W, b) is no less than the global optimum's, but for rounding and quadrature.
ROUNDING = {"global optimum": 1e-7, "best known": 1e-5}
VERDICTS = ("optimum", "metastable", "not converged", "below the theory")
# Which features share a factor, beside the optimum's.
ARRANGEMENTS = ("as predicted", "another of the same loss", "another", "not determined")
# Below this part gaps are told in units of the zero model's loss.
TINY = 1e-9
# Beyond so many features the order of the columns is not searched.
_ORDERED = 9


def judge(
    problem: Problem,
    W: ArrayLike,
    b: ArrayLike,
    seed: Seed = 0,
    reference: Reference | None = None,
    W_out: ArrayLike | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """
    Put models of one problem, trained anywhere, beside its exact theory.

    Parameters
    ----------
    problem : Problem
        A single problem.
    W : array_like, shape (k, m, n) or (m, n)
        Embeddings; column i is feature i's direction.
    b : array_like, shape (k, n) or (n,)
        Output biases, added before the ReLU.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the search for the optimum.
    reference : Reference, optional
        Exact solutions to compare with, if they are known; see ``reference_minima``.
    W_out : array_like, shape (k, n, m) or (n, m), optional
        Decoders, where the problem's terms make them free.
    progress : bool
        Whether bars on a terminal say what is being done.

    Returns
    -------
    xarray.Dataset
        Per instance: ``exact_loss``; ``local_loss``, the loss of the nearest exact local minimum, and ``local_gap`` =
        exact_loss / local_loss - 1; ``optimum_gap`` = exact_loss / optimum_loss - 1, and ``local_optimum_gap``, the
        same of the local minimum, with ``local_converged``; ``geometry`` as learned, ``local_geometry`` of the local
        minimum; ``local_distance`` of W from the local minimum after the best rotation, ``branch_distance`` from the
        nearest of the exact solutions, ``branch_geometry``, after the best rotation and order of equal features (NaN
        beyond nine features); ``dead`` outputs that never fire; ``verdict``, an index into the attribute
        ``verdicts``; ``sharing``, which features share a factor (up to twelve features), and ``arrangement``, an index
        into the attribute ``arrangements``, that compares it with the optimum's. Over ``branch``: geometry and loss of
        the exact solutions, the optimum first. Distances are relative to the norm of the exact embedding. Where a loss
        of zero is the exact one, gaps are in units of the loss of the zero model instead. Of models with a free decoder
        only the couplings W_out W matter: ``W_out`` is there, and distances and geometries are those of sqrt(S) V^T of
        their singular value decomposition U S V^T. The attribute ``loss_accuracy`` is the largest error of a loss, in
        the units of the gaps.

    Raises
    ------
    ValueError
        If shapes do not fit, numbers are not finite, or the problem is a batch.

    Notes
    -----
    A model is arranged as predicted if a relabelling of its features that changes nothing in the problem gives its
    factors the optimum's features, and its local minimum has the optimum's loss to 0.1 %. Relabellings exchange
    features of the same density, importance and role in sets of the same law, and such sets as a whole. Where the loss
    is the optimum's to rounding with other features in the factors, both are optima. Where the optimum's loss is zero,
    to 1e-12 of the zero model's, no arrangement is predicted.

    Examples
    --------
    >>> import numerics
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> found = numerics.judge(problem, [[1.0, -1.0]], [0.0, 0.0])
    >>> str(found["geometry"].values[0]), round(float(found["optimum_gap"][0]), 4)
    ('digon', 0.0042)
    """
    require_problem(problem)
    if problem.batch_shape:
        raise ValueError(f"judge takes a single problem, got a batch of shape {problem.batch_shape}")
    W, b, V = _batch(problem, W, b, W_out)
    number = seed_number(seed)
    batch = problem.repeated(len(W))
    with ticking_bar("descending to the nearest minima", 1, progress):
        minima = nearest_minima(batch, W, b, V)
    learned = (minima.W, minima.b, minima.W_out)
    known = reference_minima(problem, number, learned, progress) if reference is None else reference
    with ticking_bar("exact losses", 1, progress):
        loss, error = losses_and_errors(batch, W, b, V)
    if V is not None:
        minima = replace(minima, W=balanced(minima.W, minima.W_out))
        known = known._replace(W=balanced(known.W, known.W_out))
    decoders = {} if V is None else {"W_out": (("instance", "feature", "dimension"), V)}
    shape = balanced(W, V)
    unit = float(problem.zero_loss)
    accuracy = float(max((error / _size(loss, unit)).max(), known.error / _size(known.loss[0], unit)))
    local_gap, gap = _relative(loss, minima.loss, unit), _relative(loss, known.loss[0], unit)
    local_optimum_gap = _relative(minima.loss, known.loss[0], unit)
    nearest, distance = _nearest_branches(problem, shape, known)
    names = recognise_many(known.W)
    rounding = max(ROUNDING[known.kind], accuracy)
    verdict = run_verdicts(local_gap, gap, local_optimum_gap, rounding)
    seen, optimum = [recognise(one) for one in shape], recognise(known.W[0])
    if known.loss[0] <= ZERO * unit:
        arrangement = np.full(len(W), ARRANGEMENTS.index("not determined"))
    else:
        same = np.array([same_grouping(problem, one, optimum) for one in seen])
        arrangement = _arrangements(same, local_optimum_gap, rounding)
    run = "instance"
    return xr.Dataset(
        {
            "W": ((run, "dimension", "feature"), W),
            "b": ((run, "feature"), b),
            **decoders,
            "exact_loss": (run, loss, {"long_name": "exact population loss of the learned model"}),
            "local_loss": (run, minima.loss, {"long_name": "loss of the nearest exact local minimum"}),
            "local_gap": (run, local_gap, {"long_name": "exact_loss / local_loss - 1"}),
            "optimum_gap": (run, gap, {"long_name": "exact_loss / optimum_loss - 1"}),
            "local_optimum_gap": (run, local_optimum_gap, {"long_name": "local_loss / optimum_loss - 1"}),
            "geometry": (run, [one.name for one in seen]),
            "sharing": (run, [grouping_text(one) for one in seen], {"long_name": "features of every factor"}),
            "arrangement": (run, arrangement, {"flag_meanings": "; ".join(ARRANGEMENTS)}),
            "local_geometry": (run, recognise_many(minima.W)),
            "local_converged": (run, minima.converged, {"long_name": "whether its descent reached the tolerance"}),
            "local_distance": (run, _local_distances(shape, minima)),
            "branch_geometry": (run, names[nearest]),
            "branch_distance": (run, distance),
            "dead": (run, _silent(W, b, V).sum(-1), {"long_name": "number of outputs that never fire"}),
            "verdict": (run, verdict, {"flag_meanings": "; ".join(VERDICTS)}),
            "branch_loss": ("branch", known.loss, {"long_name": "loss of the exact solution"}),
            "branch": ("branch", names),
        },
        attrs={
            "n": problem.n,
            "m": problem.m,
            "optimum_loss": float(known.loss[0]),
            "optimum_geometry": str(names[0]),
            "optimum_sharing": grouping_text(optimum),
            "optimum_kind": known.kind,
            **_task(problem),
            "seed": number,
            "verdicts": "; ".join(VERDICTS),
            "arrangements": "; ".join(ARRANGEMENTS),
            "loss_accuracy": accuracy,
            "zero_loss": unit,
        },
    )


def _task(problem: Problem) -> dict[str, object]:
    """What results are saved with, besides sizes: which problem they belong to."""
    features = problem.features
    sets = sets_of(features)
    return {
        "density": problem.density.tolist(),
        "importance": problem.importance.tolist(),
        "values": features.values.name,
        "sets": sets,
        "terms": repr(problem.terms),
        "asked": variant_told(features.values, sets, problem.terms),
    }


def _batch(
    problem: Problem, W: ArrayLike, b: ArrayLike, W_out: ArrayLike | None
) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"], Float[ndarray, "k n m"] | None]:
    """One model as a batch of one; shapes checked."""
    matrix, bias, decoder = checked_parameters(problem, W, b, W_out)
    if matrix.ndim > 3:
        raise ValueError(f"W may have one leading axis, the instances, got shape {matrix.shape}")
    V = None if decoder is None else np.array(decoder.reshape(-1, problem.n, problem.m))
    return np.array(matrix.reshape(-1, problem.m, problem.n)), np.array(bias.reshape(-1, problem.n)), V


def _relative(loss: Float[ndarray, " k"], exact: Float[ndarray, " k"] | float, unit: float) -> Float[ndarray, " k"]:
    """Excess over an exact loss, relative to it; to the zero model's if it is zero (perfect reconstruction)."""
    return (loss - exact) / _size(exact, unit)


def _size(exact: Float[ndarray, " k"] | float, unit: float) -> ndarray:
    """What losses are compared in units of."""
    return np.where(np.asarray(exact) > TINY * unit, exact, unit)


def _arrangements(
    same: Bool[ndarray, " k"], local_optimum_gap: Float[ndarray, " k"], rounding: float
) -> Int[ndarray, " k"]:
    """Index into ``ARRANGEMENTS``: the loss decides, too, since vertices of one factor may have been exchanged."""
    other = np.where(np.abs(local_optimum_gap) <= rounding, 1, 2)
    return np.where(same & (local_optimum_gap <= EQUAL), 0, other)


def _silent(
    W: Float[ndarray, "k m n"], b: Float[ndarray, "k n"], W_out: Float[ndarray, "k n m"] | None
) -> Bool[ndarray, "k n"]:
    """Outputs that no input makes fire (but for noise): gradient descent cannot move their biases."""
    G = (W.swapaxes(-1, -2) if W_out is None else W_out) @ W
    return b + np.maximum(G, 0).sum(-1) <= 0


def _local_distances(W: Float[ndarray, "k m n"], minima: "LocalMinima") -> Float[ndarray, " k"]:
    return np.array([rotated_distance(one, other) for one, other in zip(W, minima.W, strict=True)])


def _nearest_branches(
    problem: Problem, W: Float[ndarray, "k m n"], known: Reference
) -> tuple[Int[ndarray, " k"], Float[ndarray, " k"]]:
    """Number of the exact solution that each model is nearest to, and its distance."""
    if problem.n > _ORDERED:
        return np.zeros(len(W), int), np.full(len(W), np.nan)
    kinds = _alike(problem)
    distances = np.array([[embedding_distance(one, exact, kinds) for exact in known.W] for one in W])
    return distances.argmin(1), distances.min(1)


def _alike(problem: Problem) -> Int[ndarray, " n"]:
    """Kinds of features: those of one kind may change places, also within a set whose law does not tell them apart."""
    kinds = problem.exchangeable.copy()
    for members, law in problem.features.groups:
        first: dict[tuple[int, float], int] = {}
        for i, role in zip(members, alike_members(law, len(members)).tolist(), strict=True):
            kinds[i] = kinds[first.setdefault((role, float(problem.importance[i])), i)]
    return kinds


def run_verdicts(
    local_gap: Float[ndarray, " k"],
    gap: Float[ndarray, " k"],
    local_optimum_gap: Float[ndarray, " k"],
    rounding: float = ROUNDING["global optimum"],
) -> Int[ndarray, " k"]:
    """
    Classify models by how their losses compare.

    Parameters
    ----------
    local_gap : ndarray, shape (k,)
        Excess over the nearest local minimum, relative.
    gap : ndarray, shape (k,)
        Excess over the claimed optimum, relative.
    local_optimum_gap : ndarray, shape (k,)
        Excess of the nearest local minimum over the claimed optimum.
    rounding : float
        A loss lower than the claimed optimum's by more than this part refutes the claim.

    Returns
    -------
    ndarray of int, shape (k,)
        Index into ``VERDICTS``: 0 at the optimum (its loss to 0.1 %), 1 converged to another local minimum, 2 more
        than 0.5 % above the nearest one, 3 below what the theory claims is the optimum: the theory is wrong.

    Examples
    --------
    >>> run_verdicts(np.array([1e-4, 1e-4, 0.1]), np.array([1e-4, 0.2, 0.1]), np.array([0.0, 0.2, 0.0]))
    array([0, 1, 2])
    """
    verdict = np.where(local_optimum_gap > EQUAL, 1, 0)
    verdict = np.where(local_gap > CONVERGED, 2, verdict)
    return np.where(np.minimum(gap, local_optimum_gap) < -rounding, 3, verdict)
