"""One geometry, optimised for a problem: ``optimise(problem, "pentagon + digon")``.

A geometry is a tegum product. Each factor is first optimised under its symmetry (theory.optimum.polytope), as if its
features were equal; that is exact if they are, and features independent. Otherwise the solution is carried over to the
problem at hand along the straight line between the two problems, on which Newton's method stays with the same
stationary point. What comes out is stationary in all of (W, b): whether it is a minimum there is asked of the Hessian.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from theory.curvature.newton import StationaryPoint, solve_stationary
from theory.curvature.quick_expansion import quick_expand, separate_errors
from theory.curvature.stability import Stability, stability_of
from theory.geometry.distance import distance
from theory.geometry.pictures import solution_html
from theory.geometry.recognition import recognise
from theory.geometry.tegum import TegumProduct, parse_geometry
from theory.loss.decoupled import decoupled_errors
from theory.loss.objective import Objective
from theory.loss.population import AccuracyWarning
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.model.terms import PLAIN
from theory.model.value_units import in_units
from theory.optimum.arrangements import arrangements
from theory.optimum.kinks import left_on_kink, on_a_kink
from theory.optimum.symmetric_start import equal_problem, symmetric_start
from theory.tools.locking import Locked, locked

__all__ = ["Optimum", "certified", "optimise"]

# Relative accuracy to which a loss is certified: searches are satisfied with less.
_CERTIFIED = 1e-9
# A certified gradient below this, in units of the zero model's loss, counts as zero.
_GRADIENT = 1e-7
# Gradients at which Newton's method ends, on the way and at the end of it, in the same units; the accuracy of losses
# that are not enumerated is the limit.
_ON_THE_WAY, _STATIONARY = 1e-5, 1e-9
# Up to so many features outputs are treated one by one, beyond they are integrated together.
_SEPARATE = 12
# Steps on the way from equal to unequal features: halved where Newton's method fails or leaps.
_FIRST_STEP, _LEAST_STEP, _LEAP = 0.5, 1e-3, 0.3


@dataclass(frozen=True, eq=False)
class Optimum(Locked):
    """
    A stationary point of the population loss.

    Attributes
    ----------
    W : ndarray, shape (m, n)
        Embedding; read-only.
    b : ndarray, shape (n,)
        Output biases; read-only.
    loss : float
        Population loss, summed over features.
    geometry : str
        Name of the geometry.
    converged : bool
        Whether the gradient vanishes and the geometry is the one asked for.
    message : str
        What happened, in a sentence.
    gradient_norm : float
        Largest gradient component, in units of the loss of the zero model (W = 0, b = 0), biases in those of values
        that are far from 1 (``theory.model.value_units``).
    problem : Problem
        The problem solved.
    order : tuple of int or None
        The feature at each vertex of the geometry's factors, where ``optimise`` put them: factors in the canonical
        order of the name, vertices as in ``POLYTOPES[name].directions()`` (polygons by angle). None where no geometry
        was asked for.
    loss_error : float
        Bound on the absolute error of the loss, as far as it is more than 1e-9 of it.
    W_out : ndarray, shape (n, m), or None
        Decoder, where the problem's terms make it free; read-only.

    Examples
    --------
    >>> import theory
    >>> problem = theory.Problem(n=2, m=1, density=0.1)
    >>> best = theory.optimise(problem, "digon")
    >>> best.stability, best.W.shape, f"{best.loss:.8f}"
    ('minimum', (1, 2), '0.00331948')
    """

    W: Float[ndarray, "m n"]
    b: Float[ndarray, " n"]
    loss: float
    geometry: str
    converged: bool
    message: str
    gradient_norm: float
    problem: Problem
    order: tuple[int, ...] | None = None
    loss_error: float = 0.0
    W_out: Float[ndarray, "n m"] | None = None

    def in_problem(self, problem: Problem, size: float) -> "Optimum":
        """
        Carry the solution over from a problem whose values are measured in a unit.

        Parameters
        ----------
        problem : Problem
            The problem as it was asked.
        size : float
            The unit (``theory.model.value_units.in_units``).

        Returns
        -------
        Optimum
            The solution of that problem; the gradient stays that in the values' unit.
        """
        if size == 1:
            return self
        b, square = locked(size * self.b), size**2
        return replace(self, b=b, loss=square * self.loss, loss_error=square * self.loss_error, problem=problem)

    @cached_property
    def details(self) -> Stability:
        """Curvature at the solution; computed when first asked for."""
        return stability_of(self.W, self.b, self.problem, W_out=self.W_out)

    def _repr_html_(self) -> str:
        """What a notebook shows: geometry, loss, whether it is a minimum, and a small picture."""
        return solution_html(self.W, self._facts())

    def __str__(self) -> str:
        """Say what a notebook does, in a line."""
        return ", ".join(f"{name} {fact}" for name, fact in self._facts().items())

    def _facts(self) -> dict[str, object]:
        """What a notebook says beside the picture."""
        known = f"{self.loss:.10g}" + (f" +- {self.loss_error:.1g}" if self.loss_error else "")
        return {"geometry": self.geometry, "loss": known, "converged": "yes" if self.converged else self.message}

    @property
    def stability(self) -> str:
        """Whether the solution is a "minimum", a "saddle" or "flat"."""
        return self.details.kind

    @property
    def spectrum(self) -> Float[ndarray, " k"]:
        """Eigenvalues of the Hessian, ascending, rotations and dead directions projected out."""
        return self.details.spectrum

    @property
    def zero_modes(self) -> int:
        """How many of them vanish."""
        return self.details.zero_modes


def optimise(problem: Problem, geometry: str = "pentagon", order: ArrayLike | Sequence[int] | None = None) -> Optimum:
    """
    Optimise one geometry for a problem.

    Parameters
    ----------
    problem : Problem
        A single problem.
    geometry : str
        A tegum product such as "pentagon + digon"; features that it does not mention are unrepresented.
    order : array_like of int, shape (n,), optional
        ``order[k]`` is the feature at vertex k. Vertices are numbered factor by factor, factors in the canonical order
        of ``parse_geometry(geometry).name`` (most dimensions first), and within a factor as in its catalogue entry,
        ``POLYTOPES[name].directions()`` (polygons by angle); unrepresented features come last. By default features are
        exchanged, from several orders, until no exchange of two lowers the loss. The result says which order it is.

    Returns
    -------
    Optimum
        The geometry's stationary point in all of (W, b), certified at a relative accuracy of 1e-9.

    Raises
    ------
    TypeError
        If the geometry is not text.
    ValueError
        If the geometry is unknown or does not fit, the order is no permutation, the problem is a batch, or it has an L1
        penalty, whose optima ``global_optimum`` finds.

    Notes
    -----
    A geometry that is not a minimum of the problem is still returned, as the saddle that it is (``stability``). If it
    ceases to exist on the way to unequal features, ``converged`` is False, and the message says so. Terms of the
    problem are reached from its solution without them, features where they are there.

    Examples
    --------
    >>> optimum = optimise(Problem(n=5, m=2, density=0.05), "pentagon")
    >>> optimum.converged, optimum.geometry, optimum.stability
    (True, 'pentagon', 'minimum')
    """
    require_problem(problem)
    if problem.batch_shape:
        raise ValueError(f"optimise takes a single problem, got a batch of shape {problem.batch_shape}")
    inner, size = in_units(problem)
    return _optimised(inner, geometry, order).in_problem(problem, size)


def _optimised(problem: Problem, geometry: str, order: ArrayLike | Sequence[int] | None) -> Optimum:
    """Optimise where values are of the order of 1."""
    if not problem.terms.plain:
        from theory.optimum.with_terms import optimise_with_terms

        problem.plain("optimise", "decoder", "bias", "unit_norms", "noise", "decay")
        return optimise_with_terms(problem, optimise(replace(problem, terms=PLAIN), geometry, order))
    product = parse_geometry(geometry).filled(problem.n, problem.m)
    if order is not None:
        return _optimise_arranged(problem, product, _permutation(order, problem.n))
    choices = arrangements(problem, product)
    found = [_optimise_arranged(problem, product, choice) for choice in choices]
    return min(found, key=lambda optimum: (not optimum.converged, optimum.loss))


def _permutation(order: ArrayLike | Sequence[int], n: int) -> Int[ndarray, " n"]:
    array = np.asarray(order)
    if array.shape != (n,) or sorted(array.tolist()) != list(range(n)):
        raise ValueError(f"order must be a permutation of 0 ... {n - 1}, got {array.tolist()}")
    return array.astype(int)


def _optimise_arranged(problem: Problem, product: TegumProduct, order: Int[ndarray, " n"]) -> Optimum:
    """Optimise with every feature at its vertex."""
    equal = equal_problem(problem, product, order)
    W, b = symmetric_start(equal, product, order)
    same = problem.textbook and np.array_equal(equal.density, problem.density)
    note = ""
    # A factor's optimum depends on the ratios of importances within it only, and these are equal if they are.
    if not (same and np.array_equal(equal.importance, problem.importance)):
        W, b, note = _carried_over(equal, problem, W, b)
    return replace(certified(W, b, problem, product.name, note), order=tuple(order.tolist()))


def _carried_over(
    start: Problem, end: Problem, W: Float[ndarray, "m n"], b: Float[ndarray, " n"]
) -> tuple[Float[ndarray, "m n"], Float[ndarray, " n"], str]:
    """Follow a stationary point from one problem to another; return it, and what went wrong."""
    share, step = 0.0, _FIRST_STEP
    if not end.textbook:  # no straight line leads to another law: the first step is the whole way
        start = end.with_importance(start.importance)
    on_the_way, at_the_end = (_rough_solve, _quick_solve) if end.textbook else (solve_stationary, solve_stationary)
    first = on_the_way(W, b, start)
    W, b = first.W, first.b
    while share < 1:
        target = min(1.0, share + step)
        trial = on_the_way(W, b, _between(start, end, target))
        if trial.converged and target == 1:
            trial = at_the_end(trial.W, trial.b, end)
        if trial.converged and distance(W, b, trial.W, trial.b) < _LEAP:
            W, b, share, step = trial.W, trial.b, target, 2 * step
        else:
            step /= 2
        if step < _LEAST_STEP:
            return W, b, f"the branch was lost {share:.0%} of the way from equal features to those of the problem"
    return W, b, ""


def _rough_solve(W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: Problem) -> StationaryPoint:
    return solve_stationary(W, b, problem, expansion=partial(quick_expand, rough=True), tolerance=_ON_THE_WAY)


def _quick_solve(W: Float[ndarray, "m n"], b: Float[ndarray, " n"], problem: Problem) -> StationaryPoint:
    return solve_stationary(W, b, problem, expansion=quick_expand, tolerance=_STATIONARY)


def _between(start: Problem, end: Problem, share: float) -> Problem:
    """Problem part of the way along the straight line."""
    density = (1 - share) * start.features.density + share * end.features.density
    importance = (1 - share) * start.importance + share * end.importance
    return replace(end, features=end.features.with_density(density), importance=locked(importance))


def certified(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    problem: Problem,
    geometry: str,
    note: str = "",
    limit: float = _GRADIENT,
) -> Optimum:
    """
    Evaluate a solution at a tighter accuracy than it was found at.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    problem : Problem
        A single problem.
    geometry : str
        Name of the geometry asked for.
    note : str
        What went wrong before, if anything.
    limit : float
        Largest gradient component, in units of the zero model's loss, at which it counts as converged.

    Returns
    -------
    Optimum
        With loss and gradient at a relative accuracy of 1e-9, and a verdict.
    """
    G = W.T @ W
    with warnings.catch_warnings():  # an accuracy that is missed is part of the result
        warnings.simplefilter("ignore", AccuracyWarning)
        errors = (
            separate_errors(G, b, problem)
            if problem.textbook and problem.n <= _SEPARATE
            else decoupled_errors(G[None], b[None], problem, rtol=_CERTIFIED)
        )
    miss = 0.0 if errors.error is None else float(problem.importance @ errors.error[0])
    loss, dW, db = errors.pull_back(W[None], problem.importance)
    size = float(max(np.abs(dW).max(), np.abs(db).max()) / problem.zero_loss)
    name, notes, said = recognise(W).name, [note] if note else [], f"The gradient vanishes to {size:.1e}."
    if size > limit:
        objective = Objective(problem, _CERTIFIED, exact=True)
        left = left_on_kink(objective, objective.join(W, b))
        said = on_a_kink(left)
        if left > limit:
            notes.append(f"the largest gradient component is {size:.1e} of the zero model's loss, above {limit:g}")
    if name != geometry:
        notes.append(f"the solution has become what looks like {name!r}")
    return Optimum(
        W=locked(W),
        b=locked(b),
        loss=float(loss[0]),
        geometry=name,
        converged=not notes,
        message="; ".join(notes).capitalize() + "." if notes else said,
        gradient_norm=size,
        problem=problem,
        loss_error=miss,
    )
