"""Commands with laws of values and sets: refusals in one line, and learned phases under each kind of law."""

import pytest

from numerics.agreement.phases import agreement_shares, phase_agreement
from numerics.sweep.__main__ import main
from theory.model.set_names import sets_of_names
from theory.model.terms import Terms
from theory.model.values import value_law
from theory.model.variant import Variant
from theory.tools.command import run_command


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--values nonsense", "values must be uniform"),
        ("--values scipy:cauchy", "must have a finite second moment"),
        ("--values normal:nan,1", "must be a finite number"),
        ("--sets 2:table:11@0.5,10@0.6", "must sum to 1"),
        ("--sets 1000000000x2", "at most 10,000 features in all"),
        ("--n 1000000000 --correlation 0.5", "must be at most 10,000"),
        ("--sets 3:exactly-one", "--sets take 3 features, but there are n = 2"),
        ("--correlation 2", "must lie in (0, 1]"),
        ("--sets 2:exactly-one --correlation 0.5", "all of them have one"),
    ],
)
def test_bad_laws_are_one_line(options: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(main, "sweep", options.split())
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


VARIANTS = {
    "sets": Variant(sets=sets_of_names(["2:correlated:0.5"])),
    "values": Variant(values=value_law("exponential")),
    "terms": Variant(terms=Terms(noise=0.1)),
}
TOLD = {"sets": "2:correlated:0.5", "values": "exponential:1", "terms": repr(Terms(noise=0.1))}


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.filterwarnings("ignore::theory.loss.accuracy.AccuracyWarning")  # bounds at the smallest couplings
def test_learned_phases_are_the_exact_ones(name: str) -> None:
    data = phase_agreement(2, 1, 4, 8, progress=False, variant=VARIANTS[name])
    shares = agreement_shares(data)
    assert shares.far_cells >= 10
    assert shares.far >= 0.95 * shares.far_cells
    assert shares.theory_wrong == 0
    assert data.attrs[name] == TOLD[name]
