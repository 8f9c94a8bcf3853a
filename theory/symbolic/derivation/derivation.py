"""What ``python -m theory.derive`` says about n features in m dimensions."""

from collections.abc import Callable, Iterable

import sympy
from sympy.logic.boolalg import Boolean

from theory.symbolic.algebra.symbols import density, relative_importance
from theory.symbolic.boundaries import Boundary, derive_boundaries, derive_meeting_points
from theory.symbolic.candidates import CandidateLoss, derive_candidates, derive_triangle
from theory.symbolic.derivation.document import Document, Equation, Section, Statement
from theory.symbolic.derivation.typeset import plain
from theory.symbolic.linear import derive_linear_loss
from theory.symbolic.one_sparse import derive_one_sparse_loss
from theory.symbolic.outputs import OutputLoss, derive_outputs
from theory.tools.command import progress

__all__ = ["MAX_REPORT_FEATURES", "derive_report"]

# Beyond this the list of pairs of candidates is too long to read, and slow to derive.
MAX_REPORT_FEATURES = 8

Item = str | Equation | Statement

_NOTATION = (
    r"Feature $i$ is active with probability $p$ (its density, 1 - sparsity), independently of the others, "
    r"and then uniform on [0, 1]; otherwise $x_i = 0$. $W$ has a column $W_i$ for each feature, "
    r"$g_{ij} = W_i \cdot W_j$ are the couplings, $w_i = |W_i|$ the norms, $b_i$ the biases, $I_i$ the "
    r"importances. The loss is "
    r"$L = E \sum_i I_i (x_i - x'_i)^2$: summed over features, averaged over the distribution."
)


def derive_report(n: int, m: int) -> Document:
    """
    Derive everything there is to say about n features in m dimensions.

    Parameters
    ----------
    n : int
        Number of features, 1 to 8.
    m : int
        Number of hidden dimensions, 1 <= m <= n.

    Returns
    -------
    Document
        The linear loss, the one-sparse loss, exact losses of the candidates, boundaries and meeting points.

    Raises
    ------
    TypeError
        If n or m is not a whole number.
    ValueError
        If n or m is out of range.
    """
    if n > MAX_REPORT_FEATURES:
        raise ValueError(f"n = {n} features are out of reach: the symbolic layer goes up to {MAX_REPORT_FEATURES}")
    candidates = list(derive_candidates(n, m).values())
    if (n, m) == (3, 2):
        candidates.append(derive_triangle())
    builders: list[Callable[[], Section]] = [
        lambda: Section("Notation", (_NOTATION,)),
        lambda: _linear_section(n),
        lambda: _one_sparse_section(n),
        lambda: _outputs_section(candidates),
        lambda: _candidates_section(candidates),
        lambda: _boundaries_section(n, m),
        lambda: _meeting_section(n, m),
    ]
    sections = tuple(build() for build in progress(builders, label="deriving"))
    return Document(f"Toy models of superposition: $n = {n}$, $m = {m}$", sections)


def _generic(part: sympy.Expr) -> sympy.Expr:
    """Call features 1 and 2 by the letters i and j."""
    letters = str.maketrans("12", "ij")
    renamed = {s: sympy.Symbol(s.name.translate(letters), **s.assumptions0) for s in part.free_symbols}
    return part.xreplace(renamed)


def _linear_section(n: int) -> Section:
    loss = derive_linear_loss(n)
    items: list[Item] = [
        r"Model $x' = W^T W x + b$; a density $p_i$ for each feature. $L$ is the sum of the feature benefits "
        r"$B_i$, the interferences $F_{ij}$ over $i \neq j$ (output $i$, active feature $j$), and the errors "
        r"of the mean $M_i$, which vanish at the best bias.",
        Equation("B_i", _generic(loss.benefit[0])),
    ]
    if n > 1:
        items.append(Equation("F_{ij}", _generic(loss.interference[0, 1])))
    items.append(Equation("M_1", loss.mean_error[0]))
    items.append(Equation("b_1", loss.optimal_bias[0]))
    return Section("Linear model: feature benefit and interference", tuple(items))


def _one_sparse_section(n: int) -> Section:
    loss, at_one = derive_one_sparse_loss(n), derive_one_sparse_loss(n, "binary")
    items: list[Item] = [
        r"Model $x' = \operatorname{ReLU}(W^T W x + b)$ with exactly one active feature. $L_1$ is the sum "
        r"of the benefits $B_i$ and the interferences $F_{ij}$ over $i \neq j$ (output $i$, active feature "
        r"$j$): a sum, not a mean, over the active feature. Then $L = (1-p)^n L_0 + p (1-p)^{n-1} L_1 + ...$",
    ]
    for title, form in (
        ("For values uniform on [0, 1]:", loss),
        ("Simplified to the value $x = 1$:", at_one),
    ):
        items += [title, _importance_outside("B_i", _generic(form.benefit[0]))]
        if n > 1:
            items.append(_importance_outside("F_{ij}", _generic(form.interference[0, 1])))
    return Section("ReLU model: one active feature", tuple(items))


def _importance_outside(left: str, part: sympy.Expr) -> Equation:
    """Move the importance to the left, so that the cases of a piecewise formula stand alone."""
    importance = next(symbol for symbol in part.free_symbols if symbol.name == "I_i")
    return Equation(f"{left} / I_i", part / importance)


def _outputs_section(candidates: Iterable[CandidateLoss]) -> Section:
    used = {output.letter for candidate in candidates for output, _ in candidate.outputs}
    items: list[Item] = [
        r"Loss of one output, $E (x_i - \operatorname{ReLU}(z))^2 = \sum_k p^k (1-p)^{c-k} A_k$, by the "
        r"number $k$ of active features among the $c$ that matter to it: itself and those it is coupled to.",
    ]
    for letter, kind in derive_outputs().items():
        if letter in used:
            items += _output_items(kind)
    return Section("ReLU model: exact losses of single outputs", tuple(items))


def _output_items(kind: OutputLoss) -> Iterable[Item]:
    arguments = ", ".join(symbol.name for symbol in kind.arguments)
    terms = kind.expansion.terms
    kind_of = f"${kind.letter}({arguments})$: {kind.title}; $c = {len(terms) - 1}$."
    yield f"{kind_of} For all norms $> 0$ and every bias:"
    yield from (Equation(f"A_{k}", term) for k, term in enumerate(terms))
    piece = kind.near_ideal
    yield Statement("Around the idealised solution, without ReLUs,", piece[0].holds, end=":")
    yield from (Equation(f"A_{k}", formula.expression) for k, formula in enumerate(piece))
    ideal = ", ".join(plain(value) for value in kind.ideal)
    yield "Idealised:"
    yield Equation(f"{kind.letter}({ideal})", sympy.expand(kind.at(*kind.ideal)))


def _candidates_section(candidates: Iterable[CandidateLoss]) -> Section:
    items: list[Item] = [
        r"The last feature is the extra one, of importance $r$; the others have importance 1. Idealised: "
        r"norm 1 and bias 0 for represented features, norm 0 and bias $E x_i$ for the rest.",
    ]
    for candidate in candidates:
        items.append(f"{candidate.name[0].upper()}{candidate.name[1:]} (phase: {candidate.phase}).")
        items.append(Equation("W", candidate.embedding))
        items.append(Equation("L", _by_letters(candidate)))
        items.append(Equation(r"L_{\mathrm{ideal}}", candidate.ideal.expression))
    return Section("ReLU model: exact losses of the candidates", tuple(items))


def _by_letters(candidate: CandidateLoss) -> tuple[sympy.Expr, ...]:
    """Write a candidate's loss as a sum of the named losses of its outputs."""
    return tuple(
        weight * sympy.Function(output.letter)(*arguments)
        for weight, (output, arguments) in zip(candidate.importance, candidate.outputs, strict=True)
    )


def _boundaries_section(n: int, m: int) -> Section:
    groups: dict[tuple[sympy.Expr, sympy.Set], list[Boundary]] = {}
    for boundary in derive_boundaries(n, m):
        groups.setdefault((boundary.equation, boundary.visible), []).append(boundary)
    shown = [group for group in groups.values() if group[0].is_visible]
    hidden = [group for group in groups.values() if not group[0].is_visible]
    items: list[Item] = []
    if not groups:
        items.append("There is one candidate only, and so no boundary.")
    for group in shown:
        items += _boundary_items(group)
        items.append(Statement("A phase boundary", group[0].visible.as_relational(group[0].along)))
    if hidden:
        items.append("Equal losses, but a third candidate is lower:")
    for group in hidden:
        items += _boundary_items(group)
    return Section("Boundaries between the idealised candidates", tuple(items))


def _boundary_items(group: list[Boundary]) -> Iterable[Item]:
    yield "; ".join(f"[{boundary.first}] = [{boundary.second}]" for boundary in group) + ":"
    if group[0].density is not None:
        yield Equation("p", group[0].density.expression, _beyond_domain(group[0].density.holds))
    if group[0].importance is not None:
        yield Equation("r", group[0].importance.expression, _beyond_domain(group[0].importance.holds))


def _beyond_domain(holds: Boolean) -> Boolean:
    """Leave unsaid that a density is at most 1."""
    return sympy.true if holds == (density() <= 1) else holds


def _meeting_section(n: int, m: int) -> Section:
    items: list[Item] = []
    for point in derive_meeting_points(n, m):
        items.append(f"{len(point.candidates)} candidates meet: [{']; ['.join(point.candidates)}]:")
        items.append(Equation(str(density()), point.density, decimal=True))
        items.append(Equation(str(relative_importance()), point.importance, decimal=True))
        items.append(Equation("L", point.loss, decimal=True))
    if not items:
        items.append("No three candidates are lowest together.")
    return Section("Points where three or more candidates meet", tuple(items))
