"""A verdict on given models: exact loss and its parts, distance from the best known, geometry, every feature's part."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.geometry.grouping import grouping_text, same_grouping
from theory.geometry.metrics import dimensionality, feature_norms, superposition
from theory.geometry.recognition import Recognition, recognise
from theory.loss.certified import loss_estimate
from theory.model.problem import Problem
from theory.optimum.biases import best_bias
from theory.optimum.with_terms import balanced
from theory.search.record import ZERO
from theory.search.report_parts import loss_parts
from theory.tools.arrays import detached
from theory.tools.command import progress
from theory.tools.seeds import Seed, seed_number
from theory.tools.threads import one_blas_thread

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["ModelReport", "report"]

# Up to so many features the optimum is searched for, with terms up to so many; beyond, where features are equal and
# there are no terms, the best arrangement of polytopes, codes and, up to so many features, even frames stands in.
_SEARCHED, _SEARCHED_WITH_TERMS, _FRAMED = 20, 12, 400


@dataclass(frozen=True, eq=False)
class ModelReport:
    """
    What the exact theory says about given models.

    Attributes
    ----------
    data : xarray.Dataset
        Per ``instance``: ``loss``, its error ``loss_error`` and its parts ``own_error``, ``interference``,
        ``collective`` and, where the problem has such terms, ``noise``, ``decay`` and ``l1``, which sum to it;
        ``best_loss``, ``best_geometry``, ``status`` ("proved", "repeated", "best known" or "not
        searched") and ``gap`` = loss / best_loss - 1, in units of the zero model's loss where the best loss is zero;
        ``geometry`` and ``residual``; ``sharing`` and ``best_sharing``, which features share a factor (up to twelve
        features), and ``arrangement``: "as the best" where a relabelling that changes nothing in the problem makes them
        the same, "other features" where only the geometries are, "another geometry", "not determined" where the best
        loss is zero, which more than one geometry may have, or "" if nothing was searched. Per instance and
        ``feature``: ``norm``, ``bias``, ``dimensionality``, ``superposition``, ``polytope`` (the factor it belongs
        to), ``benefit``, ``interference_received``, ``feature_loss`` (they sum to the loss), and ``worth``, by how much
        the loss would rise if the feature were left out (W_i = 0 and b_i = E x_i unless it is given, the rest as it
        is): negative where leaving it out would gain. ``W``, and ``W_out`` where given. Of models with a decoder of
        their own only the couplings W_out W matter: ``geometry``, ``dimensionality`` and ``superposition`` are those of
        sqrt(S) V^T of their singular value decomposition U S V^T.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> verdict = theory.report([[1.0, -1.0]], [0.0, 0.0], problem)
    >>> sorted(verdict.data["worth"].values[0].round(4).tolist())
    [0.0275, 0.0275]
    """

    data: "xr.Dataset"

    def __str__(self) -> str:
        """Verdict in lines of text."""
        return "\n".join(self._line(k) for k in range(self.data.sizes["instance"]))

    def _line(self, k: int) -> str:
        one = self.data.isel(instance=k)
        gap, status = float(one["gap"]), str(one["status"].values)
        name, arrangement = str(one["best_geometry"].values), str(one["arrangement"].values)
        known = "best known" if status == "best known" else "the optimum"
        share, note = f"{round(gap, 6) + 0.0:+.2%}", ""
        above = f"{share} against {known} ({name}, {status})"
        if status == "not searched":
            above = "no optimum was searched for"
        elif arrangement == "not determined":
            above = f"{share} of the zero model's loss against {known}, which is zero ({name}, {status})"
            note = "; a loss of zero need not determine one"
        elif arrangement == "other features":
            shared = (
                f": {one['sharing'].values} instead of {one['best_sharing'].values}" if one["sharing"] != "" else ""
            )
            note = f" of other features{shared}"
        return (
            f"model {k}: loss {float(one['loss']):.8g} +- {float(one['loss_error']):.1g}, {above}; geometry "
            f"{one['geometry'].values}{note}"
        )

    def table(self) -> Any:
        """
        Give one row per instance and feature.

        Returns
        -------
        pandas.DataFrame
            The features' numbers.
        """
        names = [name for name, array in self.data.items() if array.dims == ("instance", "feature")]
        return self.data[names].to_dataframe()

    def draw(self, first: int = 6) -> "Figure":
        """
        Draw W, W^T W, dimensionalities, and what every feature saves and suffers, one row per instance.

        Parameters
        ----------
        first : int
            Instances to draw at most.

        Returns
        -------
        matplotlib.figure.Figure
            The picture.
        """
        from theory.search.report_picture import draw_report

        return draw_report(self.data, first)

    def save(self, folder: "str | Path", name: str = "report") -> "list[Path]":
        """
        Write picture (PNG, SVG), table (CSV), numbers (NetCDF) and a self-contained HTML page.

        Parameters
        ----------
        folder : path
            Where to; made if it is not there.
        name : str
            File name without ending; files of these names are replaced.

        Returns
        -------
        list of Path
            The files.
        """
        from theory.search.report_page import save_report

        return save_report(self, folder, name)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from theory.search.report_page import summary_html

        return summary_html(self)


def report(
    W: ArrayLike,
    b: ArrayLike | None,
    problem: Problem | Sequence[Problem],
    W_out: ArrayLike | None = None,
    seed: Seed = 0,
) -> ModelReport:
    """
    Judge models that were trained anywhere.

    Parameters
    ----------
    W : array_like, shape (m, n) or (k, m, n)
        Embeddings; column i is feature i's direction.
    b : array_like, shape (n,) or (k, n), or None
        Output biases, added before the ReLU; None for the best ones of every W.
    problem : Problem or sequence of Problem
        What the models were trained on: a single problem, a batch of k, or k single ones.
    W_out : array_like, shape (n, m) or (k, n, m), optional
        Decoders of their own. Where the problem's terms do not say that decoders are untied, the model is compared with
        the optimum of tied weights.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the search for the optimum.

    Returns
    -------
    ModelReport
        ``print`` it, ``draw()`` it, ``save(folder)`` it; a notebook shows it.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, or a model is not what the problem's terms prescribe.
    TypeError
        If ``problem`` holds what is no Problem, or W, b or W_out is no array of numbers.

    Notes
    -----
    Up to 20 features (12 with terms) losses are compared with ``global_optimum``; beyond, where features are equal and
    there are no terms, with the best arrangement of polytopes, codes and, up to 400 features, even frames that are
    descended for it (a minute at n = 400), and with nothing otherwise. Beyond 20 features ``worth`` is put
    together from pairs of features.

    Examples
    --------
    >>> print(report([[1.0, -1.0]], [0.0, 0.0], Problem(n=2, m=1, density=0.1)))
    model 0: loss 0.0033333333 +- 3e-14, +0.42% against the optimum (digon, repeated); geometry digon
    """
    import xarray as xr

    number = seed_number(seed)
    matrices = _numbers("W", W)
    if matrices.ndim not in (2, 3):
        raise ValueError(f"W must have shape (m, n) or (k, m, n), got shape {matrices.shape}")
    matrices = matrices[None] if matrices.ndim == 2 else matrices
    models = len(matrices)
    problems = _problems(problem, models)
    decoders = _each("W_out", W_out, models, 2)
    biases = _each("b", b, models, 1)
    best: dict[Hashable, _Best] = {}
    parts = []
    for k in progress(range(models), label="models"):
        one = problems[k]
        if one.key not in best:
            with one_blas_thread():  # many products of small matrices
                best[one.key] = _best(one, number)
        bias = best_bias(matrices[k], one, decoders[k]) if biases[k] is None else biases[k]
        parts.append(_judged(matrices[k], np.asarray(bias), one, decoders[k], best[one.key]))
    return ModelReport(xr.concat(parts, dim="instance").assign_attrs(best_bias=int(b is None), seed=number))


def _numbers(name: str, values: ArrayLike) -> ndarray:
    array = detached(values)
    if np.ma.isMaskedArray(array) or np.iscomplexobj(array):  # a mask or an imaginary part would get lost silently
        raise TypeError(f"{name} must be an array of real numbers, got a masked or complex one")
    try:
        return np.asarray(array, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be an array of numbers, got {values!r:.60}; models of a file are judged by "
            "python -m numerics.agreement --weights FILE"
        ) from None


def _each(name: str, values: ArrayLike | None, models: int, axes: int) -> list[Any]:
    """One array per model, or None for each."""
    if values is None:
        return [None] * models
    array = _numbers(name, values)
    if array.ndim == axes:
        return [array] * models
    if array.ndim != axes + 1 or len(array) != models:
        wanted = ("(n,)", "(k, n)") if axes == 1 else ("(n, m)", "(k, n, m)")
        raise ValueError(
            f"{name} must have shape {wanted[0]}, or {wanted[1]} with one for each of the {models} model(s) of W, "
            f"got shape {array.shape}"
        )
    return list(array)


def _problems(problem: Problem | Sequence[Problem], models: int) -> list[Problem]:
    """One single problem per model."""
    if isinstance(problem, Problem):
        if not problem.batch_shape:
            return [problem] * models
        flat = problem.repeated(1)
        singles, features = [], flat.features
        for k in range(len(flat.importance)):
            p = features.density[k] if features.batch_shape else features.density
            singles.append(replace(flat, features=features.with_density(p), importance=flat.importance[k]))
    else:
        singles = list(problem) if isinstance(problem, Iterable) else [problem]
        wrong = [type(one).__name__ for one in singles if not isinstance(one, Problem)]
        if wrong:
            raise TypeError(f"problem must be a Problem, or a sequence of one for each model, got {wrong[0]}")
    if len(singles) != models:
        raise ValueError(f"{len(singles)} problems for {models} model(s): give one, or one for each")
    return singles


class _Best(NamedTuple):
    """The best known solution: what it looks like where it was searched for, else its name alone."""

    loss: float
    geometry: str
    status: str
    seen: Recognition | None = None


def _best(problem: Problem, seed: int) -> _Best:
    """Find the best known solution."""
    if not problem.terms.plain and (problem.n > _SEARCHED_WITH_TERMS or not _has_optimum(problem)):
        return _Best(np.nan, "", "not searched")
    if problem.n <= _SEARCHED:
        from theory.search.global_search import global_optimum

        found = global_optimum(problem, seed)
        return _Best(found.loss, found.geometry, found.status, recognise(balanced(found.W, found.W_out)))
    equal = np.ptp(problem.density) == 0 and np.ptp(problem.importance) == 0
    if not (equal and problem.textbook):
        return _Best(np.nan, "", "not searched")
    from theory.packing.mixtures import best_mixture, frames_of_parts

    at = problem.n, problem.m, float(problem.density[0])
    packed = best_mixture(*at, frames_of_parts(*at, seed=seed) if problem.n <= _FRAMED and problem.m > 1 else ())
    return _Best(packed.loss * float(problem.importance[0]), packed.name, "best known")


def _arrangement(problem: Problem, seen: Recognition, best: _Best) -> str:
    """How the features that share a factor compare with the best solution's."""
    if best.status == "not searched":
        return ""
    if best.loss <= ZERO * float(problem.zero_loss):
        return "not determined"
    if seen.name != best.geometry:
        return "another geometry"
    return "as the best" if best.seen is None or same_grouping(problem, seen, best.seen) else "other features"


def _has_optimum(problem: Problem) -> bool:
    """Whether weights do not run away to escape a term."""
    try:
        problem.terms.require_optimum()
    except ValueError:
        return False
    return True


def _judged(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    W_out: ndarray | None,
    best: _Best,
) -> "xr.Dataset":
    """One model's numbers."""
    import xarray as xr

    found = loss_estimate(W, b, problem, W_out=W_out)
    shape = balanced(W, W_out)
    seen = recognise(shape)
    factor = np.full(problem.n, "", dtype=object)
    for part in seen.factors:
        factor[list(part.features)] = part.name
    n, parts = problem.n, loss_parts(W, b, problem, W_out, found.value)
    unit = float(problem.zero_loss)
    gap = found.value / best.loss - 1 if best.loss > ZERO * unit else (found.value - best.loss) / unit
    per = {
        "density": problem.density, "importance": problem.importance, "norm": feature_norms(W), "bias": b,
        "dimensionality": dimensionality(shape), "superposition": superposition(shape),
        "polytope": factor.astype(str), "benefit": parts.benefit, "interference_received": parts.interference,
        "feature_loss": parts.feature_loss, "worth": parts.worth,
    }  # fmt: skip
    return xr.Dataset(
        {
            "loss": found.value,
            "loss_error": found.error,
            **{name: getattr(parts, name).sum() for name in ("own_error", "interference", "collective")},
            **{name: getattr(parts, name).sum() for name in ("noise", "decay", "l1") if getattr(problem.terms, name)},
            "best_loss": best.loss,
            "best_geometry": best.geometry,
            "best_sharing": "" if best.seen is None else grouping_text(best.seen),
            "status": best.status,
            "gap": gap,
            "geometry": seen.name,
            "sharing": grouping_text(seen),
            "arrangement": _arrangement(problem, seen, best),
            "residual": seen.residual,
            **{name: ("feature", values) for name, values in per.items()},
            "W": (("dimension", "feature"), W),
            **({} if W_out is None else {"W_out": (("feature", "dimension"), W_out)}),
        },
        coords={"feature": np.arange(n)},
    )
