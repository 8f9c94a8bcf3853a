"""Text is never executed: numbers and SymPy's own expressions only."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sympy

from theory import Formula, derive_boundaries, derive_expansion
from theory.model.affine_values import Affine
from theory.model.discrete_values import Discrete
from theory.model.value_families import Gamma, HalfNormal, Normal
from theory.model.values import Binary, Symmetrised, Uniform
from theory.symbolic.active_sets import derive_output
from theory.symbolic.algebra.formula import exact
from theory.symbolic.algebra.intervals import where
from theory.symbolic.algebra.regions import on_region, shortest
from theory.symbolic.algebra.symbols import ReLU
from theory.symbolic.derivation.typeset import condition_plain
from theory.symbolic.moments import expect_polynomial, expect_value, feature_moment
from theory.symbolic.one_sparse import derive_one_sparse_loss
from theory.symbolic.outputs import derive_outputs

P, U = sympy.Symbol("p", positive=True), sympy.Symbol("u")
CALLS: dict[str, Callable[[str], object]] = {
    "Formula.at, by keyword": lambda text: Formula(P**2).at(p=text),
    "Formula.at, by mapping": lambda text: Formula(P**2).at({"p": text}),
    "exact": exact,
    "a point of a boundary": lambda text: derive_boundaries(2, 1)[0].point(text),  # type: ignore[arg-type]
    "a bias": lambda text: derive_expansion(sympy.Matrix([[P]]), [text], [1]),  # type: ignore[list-item]
    "an importance": lambda text: derive_expansion(sympy.Matrix([[P]]), [0], [text]),  # type: ignore[list-item]
    "a coupling": lambda text: derive_output(text, [], 0),
    "another coupling": lambda text: derive_output(P, [text], 0),
    "an integrand": lambda text: expect_value(text, U),
    "a density": lambda text: feature_moment(1, text),
    "a polynomial": lambda text: expect_polynomial(text, [U], [P]),
    "a condition": lambda text: where(P, sympy.Interval(0, 1), positive=[text]),
    "a value of a region's point": lambda text: on_region([ReLU(U)], {U: text}),
    "an expression in a region": lambda text: on_region([text], {}),
    "one of several forms": lambda text: shortest([text]),
    "the argument of a ReLU": ReLU,
    "a norm of an output": lambda text: derive_outputs()["D"].at(text, 0),
    "a norm near the ideal one": lambda text: derive_outputs()["D"].near_ideal_at(text, 0),
    "a bias of the one-sparse loss": lambda text: derive_one_sparse_loss(1).for_parameters(
        sympy.Matrix([[1]]), _Column(text)
    ),
}


VALUES = (Uniform(), Binary(), Gamma(2), Normal(), HalfNormal(), Affine(Uniform(), 0.5, 0.5), Symmetrised(Uniform()),
          Discrete((1.0, 2.0)))  # fmt: skip
# What else takes expressions: formulas as they are made, and the public records of value laws.
LAWS: dict[str, Callable[[str], object]] = {
    "a formula itself": lambda text: Formula(text),  # type: ignore[arg-type]
    "a formula's condition": lambda text: Formula(P, text),  # type: ignore[arg-type]
    "a condition in plain text": condition_plain,  # type: ignore[dict-item]
    **{f"an integrand of {law.name} values": lambda text, law=law: law.expect(text, U) for law in VALUES},  # type: ignore[misc]
    **{f"the value of {law.name} values": lambda text, law=law: law.expect(U, text) for law in VALUES},  # type: ignore[misc]
}  # fmt: skip


class _Column(list):
    """A column that is no SymPy matrix, which would have read its text before."""

    def __init__(self, *entries: str) -> None:
        super().__init__(entries)
        self.shape = (len(entries), 1)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("call", [*CALLS.values(), *LAWS.values()], ids=[*CALLS, *LAWS])
def test_text_is_refused_and_not_executed(call: Callable[[str], object], tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    with pytest.raises(TypeError, match="text is not executed"):
        call(f"__import__('pathlib').Path({str(trace)!r}).touch()")
    assert not trace.exists()
    with pytest.raises(TypeError, match="text is not executed"):
        call("9**9**9**9")  # which would take forever, and more memory than there is
    with pytest.raises(TypeError, match="text is not executed"):
        call("1/2")


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "wrapped",
    [lambda text: (text,), lambda text: ((text, 1),), lambda text: {"p": text}],
    ids=["tuple", "pairs", "dict"],
)
@pytest.mark.parametrize("call", [*CALLS.values(), *LAWS.values()], ids=[*CALLS, *LAWS])
def test_text_inside_a_container_is_not_executed(
    call: Callable[[object], object], wrapped: Callable[[str], object], tmp_path: Path
) -> None:
    trace = tmp_path / "executed"
    with pytest.raises(TypeError):
        call(wrapped(f"__import__('pathlib').Path({str(trace)!r}).touch()"))
    assert not trace.exists()
