"""Models of a file, each with the problem it was trained on: densities and importances per feature or per instance."""

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from numerics.agreement.weights import Layout, Weights, read_weights
from theory.model.problem import Problem
from theory.model.variant import Variant
from theory.tools.seeds import Seed, seed_number

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["GivenModels", "given_models", "judge_each", "per_instance"]

Per = Literal["feature", "instance"]


@dataclass(frozen=True, eq=False)
class GivenModels:
    """
    Models that were trained elsewhere.

    Attributes
    ----------
    weights : Weights
        W, b and W_out; b is None if the file holds none.
    problems : tuple of Problem
        The problem of every model.
    """

    weights: Weights
    problems: tuple[Problem, ...]


def given_models(
    path: str | os.PathLike[str],
    n: int,
    m: int,
    density: Sequence[float],
    importance: Sequence[float] = (1.0,),
    decay: float = 1.0,
    per: Per | None = None,
    layout: Layout | None = None,
    names: Mapping[str, str] | None = None,
    variant: Variant | None = None,
) -> GivenModels:
    """
    Read models and give each its problem.

    Parameters
    ----------
    path : path
        A file as ``read_weights`` takes it.
    n, m : int
        Features and hidden dimensions.
    density : sequence of float
        One density p = 1 - S for all, one per feature, or one per model.
    importance : sequence of float
        One importance for all, one per feature, or one per model.
    decay : float
        Importances fall by this factor from feature to feature.
    per : {"feature", "instance"}, optional
        What lists run over; needed only where the file holds n models.
    layout, names : optional
        As for ``read_weights``.
    variant : Variant, optional
        Laws of values and sets, and terms, of every problem; independent uniform features without terms by default.

    Returns
    -------
    GivenModels
        Weights and problems.

    Raises
    ------
    ValueError
        If the file or the numbers do not fit, or it cannot be told whether a list is per feature or per model.
    """
    weights = read_weights(path, n, m, layout, names)
    models = len(weights.W)
    p = per_instance("density", density, n, models, per)
    weight = per_instance("importance", importance, n, models, per) * decay ** np.arange(n)
    build = (variant or Variant()).problem
    return GivenModels(weights, tuple(build(n, m, p[k], weight[k]) for k in range(models)))


def per_instance(
    name: str, values: Sequence[float], n: int, models: int, per: Per | None = None
) -> Float[ndarray, "k n"]:
    """
    Spread a list of numbers over models and features.

    Parameters
    ----------
    name : str
        What the numbers are, for the message.
    values : sequence of float
        One number, n, or one per model.
    n : int
        Number of features.
    models : int
        Number of models.
    per : {"feature", "instance"}, optional
        What the list runs over.

    Returns
    -------
    ndarray, shape (models, n)
        The number of every feature of every model.

    Raises
    ------
    ValueError
        If their number does not fit, or fits both and it is not said which is meant.

    Examples
    --------
    >>> per_instance("density", [0.1, 0.2], n=3, models=2)
    array([[0.1, 0.1, 0.1],
           [0.2, 0.2, 0.2]])
    """
    array = np.asarray(values, dtype=float)
    if len(array) == 1:
        return np.full((models, n), array[0])
    if per is None and len(array) == n == models:
        raise ValueError(
            f"{len(array)} numbers of {name} may be one per feature or one per instance, as the file holds {models} "
            "models: choose --per feature or --per instance"
        )
    fits: dict[Per, int] = {"feature": n, "instance": models}
    kind = per or next((kind for kind, size in fits.items() if size == len(array)), None)
    if kind is None or fits[kind] != len(array):
        wanted = f"one for each of the {n} features" if kind != "instance" else ""
        wanted += " or " if kind is None else ""
        wanted += f"one for each of the {models} models" if kind != "feature" else ""
        raise ValueError(f"{name} wants one number, or {wanted}, got {len(array)}")
    axis = array[None, :] if kind == "feature" else array[:, None]
    return np.array(np.broadcast_to(axis, (models, n)))


def judge_each(given: GivenModels, seed: Seed = 0) -> "tuple[xr.Dataset, str]":
    """
    Put models beside the exact theory of their own problems.

    Parameters
    ----------
    given : GivenModels
        Models with their problems; where biases are missing, the best for every W are taken.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the searches for the optima.

    Returns
    -------
    data : xarray.Dataset
        As from ``judge``. Where problems differ, over all instances in their order, with ``optimum_loss``,
        ``optimum_geometry``, ``optimum_sharing``, ``optimum_kind``, ``density`` and ``importance`` of each, and without
        the other branches.
    text : str
        The tables, one per problem.

    Raises
    ------
    ValueError
        If the file holds decoders and the problems' are tied, or the other way round.
    """
    import xarray as xr

    from numerics.agreement.tables import describe_runs
    from numerics.agreement.verdicts import judge

    V = given.weights.W_out
    if V is not None and given.problems[0].terms.tied:
        raise ValueError("the decoder is not W^T: judge such models with --decoder untied")
    W, b, note = *with_biases(given), ""
    if given.weights.b is None:
        note = "the file holds no b: every model has the best biases for its W\n"
    elif not b.any():
        note = "all biases are zero\n"
    groups, number = _groups(given.problems), seed_number(seed)
    done = [
        judge(given.problems[rows[0]], W[rows], b[rows], number, W_out=None if V is None else V[rows], progress=True)
        for rows in groups
    ]
    if len(groups) == 1:
        return done[0].assign_attrs(best_bias=int(given.weights.b is None)), note + describe_runs(done[0])
    texts = [f"{_listed(rows)}, density {_told(given.problems[rows[0]].density)}\n{describe_runs(data)}"
             for rows, data in zip(groups, done, strict=True)]  # fmt: skip
    parts = []
    for rows, data in zip(groups, done, strict=True):
        attrs = {name: ("instance", [data.attrs[name]] * len(rows))
                 for name in ("optimum_loss", "optimum_geometry", "optimum_sharing", "optimum_kind")}  # fmt: skip
        problem = given.problems[rows[0]]
        laws = {name: (("instance", "feature"), np.tile(getattr(problem, name), (len(rows), 1)))
                for name in ("density", "importance")}  # fmt: skip
        parts.append(data.drop_vars(["branch", "branch_loss"]).assign(attrs | laws).drop_attrs(deep=False))
    joined = xr.concat(parts, dim="instance").isel(instance=np.argsort(np.concatenate(groups)))
    kept = {name: done[0].attrs[name] for name in ("n", "m", "verdicts", "arrangements", "seed")}
    return joined.assign_attrs(kept, best_bias=int(given.weights.b is None)), note + "\n\n".join(texts)


def with_biases(given: GivenModels) -> tuple[Float[ndarray, "k m n"], Float[ndarray, "k n"]]:
    """Embeddings, and biases: the file's own, or the best for every W."""
    from theory.optimum.biases import best_bias

    W, b, W_out = given.weights
    if b is None:
        decoders = [None] * len(W) if W_out is None else list(W_out)
        b = np.array([best_bias(*one) for one in zip(W, given.problems, decoders, strict=True)])
    return W, b


def _groups(problems: Sequence[Problem]) -> list[list[int]]:
    """Models of the same problem."""
    found: dict[Hashable, list[int]] = {}
    for k, problem in enumerate(problems):
        found.setdefault(problem.key, []).append(k)
    return list(found.values())


def _listed(rows: list[int]) -> str:
    kind = "model" if len(rows) == 1 else "models"
    return f"{kind} {', '.join(map(str, rows[:8]))}" + (f", ... ({len(rows)})" if len(rows) > 8 else "")


def _told(density: ndarray) -> str:
    return f"{density[0]:g}" if np.ptp(density) == 0 else f"{density.min():g} to {density.max():g}"
