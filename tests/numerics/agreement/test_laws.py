"""Commands with laws of values and sets: refusals in one line, and learned phases at a correlation of one half."""

import pytest

from numerics.agreement.phases import agreement_shares, phase_agreement
from numerics.sweep.__main__ import main
from theory.model.set_names import sets_of_names
from theory.model.variant import Variant
from theory.tools.command import run_command


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--values nonsense", "values must be uniform"),
        ("--values scipy:cauchy", "must have a finite second moment"),
        ("--values normal:nan,1", "must be a finite number"),
        ("--sets 2:table:11@0.5,10@0.6", "must sum to 1"),
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


@pytest.mark.slow
def test_learned_phases_of_correlated_pairs_are_the_exact_ones() -> None:
    variant = Variant(sets=sets_of_names(["2:correlated:0.5"]))
    data = phase_agreement(2, 1, 4, 3, progress=False, variant=variant)
    shares = agreement_shares(data)
    assert shares.far_cells >= 10
    assert shares.far >= 0.95 * shares.far_cells
    assert shares.theory_wrong == 0
    assert "Equicorrelated(correlation=0.5)" in data.attrs["sets"]
