"""What a figure script concludes about the claims of its docstring: findings, and the verdict that follows from them.

A script has, beside ``compute`` and ``draw``, one function

    def judge(data: xr.Dataset) -> list[Verdict]: ...

A verdict is never written down: it follows from findings, each of which compares what a document states with what was
computed. Findings on what no document states (figures/shared/documents.toml has the words) decide nothing: they stand
beside the verdict as what goes beyond the documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from figures.shared.documents import CLAIMS

__all__ = ["FAILS", "HOLDS", "PARTLY", "UNDECIDED", "Finding", "Verdict", "compare", "outcome_of"]

# What verdicts say; PARTLY is how they begin where a claim holds in some comparisons and not in others.
HOLDS, PARTLY, FAILS, UNDECIDED = "holds", "holds in ", "does not hold", "cannot be decided"


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
        Whether the two agree; None if the document does not say enough to tell.
    """

    stated: str
    found: str
    agrees: bool | None


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
        if not self.findings:
            raise ValueError(f"a verdict needs at least one finding, claim {self.claim} has none")

    @property
    def outcome(self) -> str:
        """What ``outcome_of`` says of the findings on what the documents state."""
        return outcome_of(self.claim, [(finding.stated, finding.agrees) for finding in self.findings])


def outcome_of(claim: int, findings: Sequence[tuple[str, bool | None]]) -> str:
    """
    Say how much of a claim holds.

    Parameters
    ----------
    claim : int
        Its number.
    findings : sequence of tuple of str and (bool or None)
        What is stated, and whether it agrees; None if that cannot be told.

    Returns
    -------
    str
        Of those findings that judge a document's words and can be decided: "holds" if all agree, "does not hold" if
        none does, else in how many it holds.
    """
    decided = [agrees for stated, agrees in findings if agrees is not None and CLAIMS[claim].quote_of(stated)]
    if not decided:
        return UNDECIDED
    if all(decided):
        return HOLDS
    return f"{PARTLY}{sum(decided)} of {len(decided)} comparisons" if any(decided) else FAILS


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
