"""What a figure script concludes about the claims of its docstring: findings, and the verdict that follows from them.

A script has, beside ``compute`` and ``draw``, one function

    def judge(data: xr.Dataset) -> list[Verdict]: ...

A verdict is never written down: it follows from findings, each of which compares what a document states with what was
computed. Findings on what no document states (figures/shared/documents.toml has the words) decide nothing: they stand
beside the verdict as what goes beyond the documents.

Where a finding needs a threshold or a recipe of training that no document gives, it is found for every reasonable one
(``weighed``); it decides only if all of them agree, and else depends on the choice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from figures.shared.documents import CLAIMS

__all__ = ["ANGLES", "DEPENDS", "FAILS", "HOLDS", "MUCH_BETTER", "MUCH_BIGGER", "NORMS", "PAPER", "PARTLY", "UNDECIDED",
           "Choice", "Finding", "Verdict", "by_recipe", "compare", "outcome_of", "weighed"]  # fmt: skip

# What verdicts say; PARTLY is how they begin where a claim holds in some comparisons and not in others.
HOLDS, PARTLY, FAILS, UNDECIDED = "holds", "holds in ", "does not hold", "cannot be decided"
DEPENDS = "depends on a choice"
# The paper's recipe of training (figures.shared.training) beside a figure's own.
PAPER = "the paper's recipe"
# Norms from which on a feature may count as represented; degrees by which directions may differ and count as the same.
NORMS = (0.1, 0.25, 0.5, 0.75, 0.9)
ANGLES = (3.0, 5.0, 10.0, 20.0)
# By which part a loss may have to be lower to be "much better"; from which factor on a number may be "much bigger", and
# within which there is "not much difference".
MUCH_BETTER, MUCH_BIGGER = (0.01, 0.05, 0.1), (1.5, 2.0, 4.0)

Parameter = TypeVar("Parameter")


@dataclass(frozen=True)
class Choice:
    """
    What is found with one threshold, or one recipe of training.

    Attributes
    ----------
    label : str
        The choice, as it reads in a table: "norm above 0.5".
    found : str
        What was computed, with digits.
    agrees : bool
        Whether that agrees with what is stated.
    """

    label: str
    found: str
    agrees: bool


@dataclass(frozen=True)
class Finding:
    """
    One statement of a claim beside what was computed.

    Attributes
    ----------
    stated : str
        What a document says, or, if none does, what was looked at.
    found : str
        What was computed, with digits.
    agrees : bool or None
        Whether the two agree; None if the document does not say enough to tell, or if it depends on the choice.
    choices : tuple of Choice
        What is found with each reasonable threshold or recipe; empty if nothing had to be chosen.
    """

    stated: str
    found: str
    agrees: bool | None
    choices: tuple[Choice, ...] = ()

    @property
    def depends(self) -> bool:
        """Whether some choices agree with the document and others do not."""
        return len({choice.agrees for choice in self.choices}) > 1


@dataclass(frozen=True)
class Verdict:
    """
    The verdict on one claim.

    Attributes
    ----------
    claim : int
        Its number.
    findings : tuple of Finding
        At least one; they decide the outcome.
    why : str
        The mechanism, in a sentence or two.
    """

    claim: int
    findings: tuple[Finding, ...]
    why: str

    def __post_init__(self) -> None:
        """Refuse what no document claims, and what nothing was found on."""
        if self.claim not in CLAIMS:
            raise ValueError(f"claim {self.claim} is not in figures/shared/documents.toml: write it there first")
        if not self.findings:
            raise ValueError(f"a verdict needs at least one finding, claim {self.claim} has none")

    @property
    def outcome(self) -> str:
        """What ``outcome_of`` says of the findings on what the documents state."""
        return outcome_of(self.claim, self.findings)


def outcome_of(claim: int, findings: Sequence[Finding]) -> str:
    """
    Say how much of a claim holds.

    Parameters
    ----------
    claim : int
        Its number.
    findings : sequence of Finding
        What is stated, and whether it agrees.

    Returns
    -------
    str
        Of those findings that judge a document's words and can be decided: "holds" if all agree, "does not hold" if
        none does, else in how many it holds, or does not, and how many depend on a choice.
    """
    judging = [finding for finding in findings if CLAIMS[claim].quote_of(finding.stated)]
    decided = [finding.agrees for finding in judging if finding.agrees is not None]
    open_ = sum(finding.depends for finding in judging)
    if not decided:
        return DEPENDS if open_ else UNDECIDED
    if not open_ and all(decided):
        return HOLDS
    if not open_ and not any(decided):
        return FAILS
    told = f"{PARTLY}{sum(decided)}" if any(decided) else f"{FAILS} in {len(decided)}"
    share = f"{told} of {len(decided) + open_} comparisons"
    return f"{share}, {open_} depend{'s' if open_ == 1 else ''} on a choice" if open_ else share


def by_recipe(choices: Mapping[str, Parameter]) -> dict[str, tuple[str, Parameter]]:
    """
    Offer every choice twice: for what a figure's own recipe trained, and for what the paper's did.

    Parameters
    ----------
    choices : mapping from str to object
        What each choice is called in a table, and what it stands for.

    Returns
    -------
    dict from str to tuple of str and object
        With how the names of the recipe's variables begin: "" or "paper_".
    """
    own = {label: ("", choice) for label, choice in choices.items()}
    return own | {f"{PAPER}, {label}": ("paper_", choice) for label, choice in choices.items()}


def weighed(
    stated: str, measure: Callable[[Parameter], tuple[str, bool]], choices: Mapping[str, Parameter], chosen: str
) -> Finding:
    """
    Judge a statement with every reasonable threshold or recipe.

    Parameters
    ----------
    stated : str
        What a document says.
    measure : callable
        Gives what is found with a choice, and whether it agrees.
    choices : mapping from str to object
        What each choice is called in a table, and what ``measure`` takes for it.
    chosen : str
        The one whose numbers are shown first.

    Returns
    -------
    Finding
        Agrees, or does not, if all choices say the same; else it depends.
    """
    found = tuple(Choice(label, *measure(value)) for label, value in choices.items())
    first = next(choice for choice in found if choice.label == chosen)
    same = len({choice.agrees for choice in found}) == 1
    return Finding(stated, f"{chosen}: {first.found}", first.agrees if same else None, found)


def compare(what: str, stated: float, found: float, within: float, digits: int = 4) -> Finding:
    """
    Compare a stated number with the computed one.

    Parameters
    ----------
    what : str
        What is measured, as it reads before "= 2.5".
    stated, found : float
        The document's number and ours.
    within : float
        Largest difference that the document's own precision allows, in the number's unit.
    digits : int
        Decimal places to show.

    Returns
    -------
    Finding
        Agrees if the numbers differ by no more than ``within``.
    """
    return Finding(f"{what} = {stated:g}", f"{found:.{digits}f}", bool(abs(found - stated) <= within))
