"""What the slides state of benefit and interference, less what is derived: the symbolic comparison."""

from typing import TYPE_CHECKING

from theory import derive_linear_loss, derive_one_sparse_loss

if TYPE_CHECKING:
    import sympy

__all__ = ["remainders"]

# Features in the symbolic comparisons: enough for every kind of term.
SYMBOLIC = 3


def remainders() -> dict[str, "sympy.Expr"]:
    """
    Subtract what is derived from what the slides state, and simplify.

    Returns
    -------
    dict from str to Expr
        0 where a statement holds.
    """
    import sympy

    from theory.symbolic.algebra.symbols import ReLU, biases, couplings, importances

    g, b, importance = couplings(SYMBOLIC), biases(SYMBOLIC), importances(SYMBOLIC)
    at_one = sum(importance[i] * (1 - ReLU(g[i, i] + b[i])) ** 2 for i in range(SYMBOLIC))
    at_one += sum(importance[j] * ReLU(g[i, j] + b[j]) ** 2 for i, j in _pairs())
    return {
        "saxe": _saxe_remainder(),
        "one_sparse": sympy.Add(*(rest**2 for rest in _one_sparse_remainders())),
        "at_one": sympy.simplify(at_one - derive_one_sparse_loss(SYMBOLIC, "binary").total),
        "sharing": _sharing_remainder(),
    }


def _pairs() -> list[tuple[int, int]]:
    return [(i, j) for i in range(SYMBOLIC) for j in range(SYMBOLIC) if i != j]


def _saxe() -> "sympy.Expr":
    """Saxe's form as the slides write it."""
    from theory.symbolic.algebra.symbols import couplings, importances

    g, importance = couplings(SYMBOLIC), importances(SYMBOLIC)
    benefit = sum(importance[i] * (1 - g[i, i]) ** 2 for i in range(SYMBOLIC))
    return benefit + sum(importance[j] * g[j, i] ** 2 for i, j in _pairs())


def _saxe_remainder() -> "sympy.Expr":
    """The linear model's loss at its best bias, less (p/3 - p^2/4) times Saxe's form."""
    import sympy

    from theory.symbolic.algebra.symbols import biases, densities, density

    loss, p = derive_linear_loss(SYMBOLIC), density()
    best = loss.total.subs(dict(zip(biases(SYMBOLIC), loss.optimal_bias, strict=True)))
    best = best.subs(dict.fromkeys(densities(SYMBOLIC), p))
    return sympy.simplify(best - (p / 3 - p**2 / 4) * _saxe())


def _one_sparse_remainders() -> list["sympy.Expr"]:
    """The terms of L_1 as the slides write them, less the derived ones, for all signs of z = g x + b at x = 0 and 1."""
    import sympy

    from theory.symbolic.algebra.symbols import biases, couplings

    derived, g, b = derive_one_sparse_loss(2), couplings(2), biases(2)
    importance = next(s for s in derived.benefit[0].free_symbols if s.name == "I_1")
    x = sympy.Symbol("x", nonnegative=True)
    s, t = sympy.symbols("s t", positive=True)
    rest = []
    for start, end in ((s, t), (s, -t), (-s, t), (-s, -t)):
        z = start + (end - start) * x
        zero = s / (s + t)  # where z changes sign, if it does
        stretches = [(start, 0, zero), (end, zero, 1)]
        for own, term, coupling in ((True, derived.benefit[0], g[0, 0]), (False, derived.interference[0, 1], g[0, 1])):
            if own and (end - start).is_negative:
                continue  # |W_i|^2 is no negative coupling
            target = x if own else 0
            stated = sum(
                sympy.integrate(sympy.expand((target - (z if sign.is_positive else 0)) ** 2), (x, low, high))
                for sign, low, high in stretches
            )
            found = (term / importance).subs({coupling: end - start, b[0]: start}, simultaneous=True)
            rest.append(sympy.simplify(stated - found))
    return rest


def _sharing_remainder() -> "sympy.Expr":
    """Saxe's form for W = (cos a, sin a), less I_1 sin^2 a + I_2 cos^2 a: two features in one dimension."""
    import sympy

    from theory.symbolic.algebra.symbols import couplings, importances

    a = sympy.Symbol("a", real=True)
    W = sympy.Matrix([[sympy.cos(a), sympy.sin(a), 0]])
    G, g, importance = W.T * W, couplings(SYMBOLIC), importances(SYMBOLIC)
    point = {g[i, j]: G[i, j] for i in range(SYMBOLIC) for j in range(SYMBOLIC)}
    mixture = importance[0] * sympy.sin(a) ** 2 + importance[1] * sympy.cos(a) ** 2 + importance[2]
    return sympy.simplify(_saxe().subs(point) - mixture)
