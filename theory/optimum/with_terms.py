"""Local minima of problems with terms, over all free parameters, for many starts and many problems at once.

An L1 penalty has a kink wherever an entry of W vanishes, and minima sit on such kinks: entries that a descent leaves
near 0 are set to 0 and held there, the rest descends on, and what is held is let go if the loss falls to either side.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from theory.curvature.with_terms import solve_with_terms
from theory.geometry.recognition import recognise
from theory.loss.objective import Objective
from theory.model.problem import Problem
from theory.optimum import steep_outputs
from theory.optimum.kinks import left_on_kink, on_a_kink
from theory.optimum.local_minima import MOST_NODES, NODES_RTOL, LocalMinima, few_nodes
from theory.optimum.named_geometry import Optimum
from theory.optimum.steep_outputs import has_steep_outputs
from theory.tools.locking import locked
from theory.tools.quasi_newton import Minima, minimise

__all__ = ["balanced", "certified_with_terms", "optimise_with_terms", "recognised", "refine_with_terms"]

# Accuracy to which losses are certified; a gradient below this, in units of the zero model's loss, counts as zero.
_CERTIFIED, _GRADIENT = 1e-9, 1e-6
# Steps from a problem without terms to one with them: halved where Newton's method fails or leaps.
_FIRST_STEP, _LEAST_STEP, _LEAP = 0.25, 1e-3, 1.0

# Entries of W below this may belong at 0; how far those that do not are pushed off it.
_NEAR_KINK, _PUSH = 0.02, 0.02
# One-sided slopes at a kink: step, and what counts as falling, in units of the zero model's loss.
_STEP, _FALLING = 1e-5, 1e-6
_ROUNDS = 8
# Accuracy and iterations of the descent before.
_ROUGH, _ROUGH_ITERATIONS = 1e-4, 25


def refine_with_terms(
    problem: Problem,
    W: Float[ndarray, "k m n"],
    b: Float[ndarray, "k n"],
    W_out: Float[ndarray, "k n m"] | None = None,
    tolerance: float = 1e-8,
    iterations: int = 300,
    inverse: Float[ndarray, "k d d"] | None = None,
    rounds: int = steep_outputs.ROUNDS,
) -> LocalMinima:
    """
    Run every start down to a local minimum of its own problem.

    Parameters
    ----------
    problem : Problem
        A batch of k problems (one axis).
    W : ndarray, shape (k, m, n)
        Starting embeddings.
    b : ndarray, shape (k, n)
        Starting biases.
    W_out : ndarray, shape (k, n, m), optional
        Starting decoders, where they are free; W^T by default.
    tolerance : float
        Largest gradient component at the end, in units of the zero model's loss.
    iterations : int
        Most quasi-Newton iterations.
    inverse : ndarray, shape (k, d, d), optional
        What a search nearby learned of the inverse Hessians.
    rounds : int
        Most descents one after the other of a model with steep outputs.

    Returns
    -------
    LocalMinima
        One minimum per start, in the same order.

    Raises
    ------
    ValueError
        If the terms are such that the loss has no minimum.
    """
    problem.terms.require_optimum()
    descend = _Descent.of(problem)
    objective, start, every = descend.objective, descend.objective.join(W, b, W_out), np.arange(len(W))
    if problem.terms.l1:  # to where it shows which entries belong at 0: almost on a kink the engine is slow
        objective.rtol, exact = _ROUGH, objective.rtol
        found = descend(start, every, _ROUGH, min(iterations, _ROUGH_ITERATIONS), inverse)
        objective.rtol = exact
        found = _onto_kinks(descend, found, tolerance, iterations)
    elif has_steep_outputs(problem) and inverse is None:
        found = steep_outputs.descend(objective, descend.scale, start, tolerance, iterations, rounds)
    else:
        found = descend(start, every, tolerance, iterations, inverse)
    value = found.value * descend.scale
    if few_nodes(problem):
        objective.rtol, objective.most_nodes = _CERTIFIED, None
        value = objective(found.x, every)[0]
    W_, b_, V = objective.split(found.x)
    size = np.abs(found.gradient).max(-1)
    return LocalMinima(W_, b_, value, found.converged, size, found.inverse, V)


@dataclass(frozen=True, eq=False)
class _Descent:
    """Descents of a batch of problems, in units of their zero models' losses, in which some entries are held."""

    objective: Objective
    scale: Float[ndarray, " k"]
    held: Bool[ndarray, "k d"]

    @classmethod
    def of(cls, problem: Problem) -> "_Descent":
        few = few_nodes(problem)
        objective = Objective(problem, NODES_RTOL, most_nodes=MOST_NODES) if few else Objective(problem)
        scale = np.asarray(problem.zero_loss)
        return cls(objective, scale, np.zeros((len(scale), objective.size), dtype=bool))

    def __call__(
        self,
        x: Float[ndarray, "r d"],
        rows: Int[ndarray, " r"],
        tolerance: float,
        iterations: int,
        inverse: Float[ndarray, "r d d"] | None = None,
    ) -> Minima:
        """Run points of these rows of the batch down."""

        def scaled(x: ndarray, which: ndarray) -> tuple[ndarray, ndarray]:
            loss, slope = self.objective(x, rows[which])
            slope = np.where(self.held[rows[which]], 0.0, slope)
            return loss / self.scale[rows[which]], slope / self.scale[rows[which], None]

        found = minimise(scaled, x, tolerance, iterations, inverse)
        return replace(found, x=self.objective.held(found.x))


def _onto_kinks(descend: _Descent, found: Minima, tolerance: float, iterations: int) -> Minima:
    """Set small entries of W to 0 and hold them while the rest descends; let go what the loss pulls off its kink."""
    objective, scale, held = descend.objective, descend.scale, descend.held
    x, value, slope, converged = (part.copy() for part in (found.x, found.value, found.gradient, found.converged))
    todo, weights = np.arange(len(x)), objective.m * objective.n
    for _ in range(_ROUNDS):
        start, held[todo] = _snapped(objective, x[todo], scale[todo], todo)
        moved = descend(start, todo, tolerance, iterations)
        x[todo], value[todo], slope[todo] = moved.x, moved.value, moved.gradient
        free = _falling(objective, x[todo], held[todo], scale[todo], todo)
        converged[todo] = moved.converged & ~free.any(1)
        # what came near its kink only now: on it there is no gradient that could vanish
        near = (np.abs(moved.x) < _NEAR_KINK) & (np.arange(moved.x.shape[1]) < weights) & ~held[todo]
        x[todo] += _PUSH * free
        todo = todo[free.any(1) | (~moved.converged & near.any(1))]
        if not len(todo):
            break
    return replace(found, x=x, value=value, gradient=slope, converged=converged)


def _snapped(
    objective: Objective, x: Float[ndarray, "k d"], scale: Float[ndarray, " k"], rows: Int[ndarray, " k"]
) -> tuple[Float[ndarray, "k d"], Bool[ndarray, "k d"]]:
    """Set those small entries of W to 0, one after the other from the smallest, that the loss lets or prefers there."""
    x, held = x.copy(), np.zeros(x.shape, dtype=bool)
    weights = objective.m * objective.n
    order = np.argsort(np.abs(x[:, :weights]), axis=1)
    loss = objective(x, rows)[0]
    for k in range(weights):
        entry = order[:, k]
        at = np.arange(len(x)), entry
        small = np.abs(x[at]) < _NEAR_KINK
        if not small.any():
            break
        trial = x.copy()
        trial[at] = np.where(small, 0.0, x[at])
        # the rest has not adapted yet: a small loss is allowed, and undone by what is let go again
        changed = objective(trial, rows)[0]
        take = small & (changed <= loss + 1e-3 * scale)
        x[take], loss = trial[take], np.where(take, changed, loss)
        held[at] = take
    return x, held


def _falling(
    objective: Objective,
    x: Float[ndarray, "k d"],
    held: Bool[ndarray, "k d"],
    scale: Float[ndarray, " k"],
    rows: Int[ndarray, " k"],
) -> Int[ndarray, "k d"]:
    """The side (-1, 1) to which the loss falls from a held entry, or 0."""
    side = np.zeros(x.shape, dtype=int)
    here = objective(x, rows)[0]
    for entry in np.flatnonzero(held.any(0)):
        for sign in (-1, 1):
            moved = x.copy()
            moved[:, entry] += sign * _STEP
            slope = (objective(moved, rows)[0] - here) / (_STEP * scale)
            side[:, entry] = np.where(held[:, entry] & (slope < -_FALLING), sign, side[:, entry])
    return side


def recognised(W: Float[ndarray, "m n"], W_out: Float[ndarray, "n m"] | None) -> str:
    """
    Name the geometry of a model.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    W_out : ndarray, shape (n, m), or None
        Decoder, where it is free.

    Returns
    -------
    str
        As ``recognise`` names W; with a free decoder, of which only the couplings W_out W matter, as it names the
        embedding sqrt(S) V^T of their singular value decomposition U S V^T, which is W where W_out is W^T.
    """
    return recognise(balanced(W, W_out)).name


def balanced(W: Float[ndarray, "*k m n"], W_out: Float[ndarray, "*k n m"] | None) -> Float[ndarray, "*k m n"]:
    """
    Give the embeddings that stand for models with a free decoder: half of the couplings' size is theirs.

    Parameters
    ----------
    W : ndarray, shape (*k, m, n)
        Embeddings.
    W_out : ndarray, shape (*k, n, m), or None
        Decoders, where they are free.

    Returns
    -------
    ndarray, shape (*k, m, n)
        W where there is no decoder, else sqrt(S) V^T of W_out W = U S V^T.
    """
    if W_out is None:
        return W
    m = W.shape[-2]
    _, size, right = np.linalg.svd(W_out @ W)
    return np.sqrt(size[..., :m, None]) * right[..., :m, :]


def certified_with_terms(
    W: Float[ndarray, "m n"],
    b: Float[ndarray, " n"],
    W_out: Float[ndarray, "n m"] | None,
    problem: Problem,
    geometry: str | None = None,
    note: str = "",
    converged: bool | None = None,
) -> Optimum:
    """
    Evaluate a solution at a tighter accuracy than it was found at.

    Parameters
    ----------
    W : ndarray, shape (m, n)
        Embedding.
    b : ndarray, shape (n,)
        Biases.
    W_out : ndarray, shape (n, m), or None
        Decoder, where it is free.
    problem : Problem
        A single problem.
    geometry : str, optional
        Name of the geometry asked for.
    note : str
        What went wrong before, if anything.
    converged : bool, optional
        Whether the search converged, where entries at a kink of the L1 penalty have no gradient.

    Returns
    -------
    Optimum
        With its loss, gradient and a verdict.
    """
    objective = Objective(problem, _CERTIFIED, exact=True)
    x = objective.join(W, b, W_out)
    found, slope = objective.evaluate(x[None]), objective(x[None])[1][0]
    W, b, W_out = objective.split(x)
    if problem.terms.l1:  # at a kink 0 is among the slopes, which the search has seen to
        slope = np.where(x == 0, 0.0, slope)
    size = float(np.abs(slope).max() / problem.zero_loss)
    name, notes = recognised(W, W_out), [note] if note else []
    said, left = f"The gradient vanishes to {size:.1e}.", np.inf
    if size > _GRADIENT or converged is False:
        left = left_on_kink(objective, x, (x == 0) & bool(problem.terms.l1))
    if left <= _GRADIENT:
        said = on_a_kink(left)
    elif size > _GRADIENT:
        notes.append(f"the largest gradient component is {size:.1e} of the zero model's loss, above {_GRADIENT:g}")
    elif converged is False:
        notes.append("the descent stopped short of its tolerance at the kinks of the L1 penalty")
    if geometry is not None and name != geometry:
        notes.append(f"the solution has become what looks like {name!r}")
    return Optimum(
        W=locked(W),
        b=locked(b),
        loss=float(found.loss[0]),
        geometry=name,
        converged=not notes,
        message="; ".join(notes).capitalize() + "." if notes else said,
        gradient_norm=size,
        problem=problem,
        loss_error=float(found.error[0]),
        W_out=None if W_out is None else locked(W_out),
    )


def optimise_with_terms(problem: Problem, plain: Optimum) -> Optimum:
    """
    Carry a geometry's solution over to the same problem with terms.

    Parameters
    ----------
    problem : Problem
        A single problem with terms other than an L1 penalty.
    plain : Optimum
        Solution of the problem without terms.

    Returns
    -------
    Optimum
        The stationary point reached as noise and decay grow, and biases move, from none to what they are.

    Raises
    ------
    ValueError
        If the loss has no minimum, the terms are not known, or features that are left out cannot have norm 1.
    """
    terms = problem.terms
    problem.plain("optimise", "decoder", "bias", "unit_norms", "noise", "decay")
    terms.require_optimum()
    if terms.unit_norms and not np.linalg.norm(plain.W, axis=0).all():
        raise ValueError("with unit_norms every feature has a direction: the geometry must have as many vertices")
    W, b, W_out, share, step, note = plain.W, plain.b, None, 0.0, _FIRST_STEP, ""
    while share < 1:
        target = min(1.0, share + step)
        bias = None if terms.bias is None else tuple((plain.b + target * (terms.bias_of(problem.n) - plain.b)).tolist())
        some = replace(terms, noise=target * terms.noise, decay=target * terms.decay, bias=bias)
        if target == 1:
            some = terms
        objective = Objective(replace(problem, terms=some), _CERTIFIED, exact=True)
        x = objective.join(W, b, W_out)
        trial = solve_with_terms(objective, x)
        if trial.converged and np.linalg.norm(trial.x - x) < _LEAP:
            (W, b, W_out), share, step = objective.split(trial.x), target, 2 * step
        else:
            step /= 2
        if step < _LEAST_STEP:
            note = f"the branch was lost {share:.0%} of the way to the terms of the problem"
            break
    found = certified_with_terms(
        W, b, W_out, problem, plain.geometry, note or ("" if plain.converged else plain.message)
    )
    return replace(found, order=plain.order)
