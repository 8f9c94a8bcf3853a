"""What a figure script concludes about the claims of its docstring: findings, and the verdict that follows from them.

A script has, beside ``compute`` and ``draw``, one function

    def judge(data: xr.Dataset) -> list[Verdict]: ...

A verdict is never written down: it follows from findings, each of which compares what a document states with what was
computed.
"""

from dataclasses import dataclass

__all__ = ["FAILS", "HOLDS", "PARTLY", "UNDECIDED", "Finding", "Verdict", "compare"]

HOLDS, PARTLY, FAILS, UNDECIDED = "holds", "holds with a correction", "does not hold", "cannot be decided"


@dataclass(frozen=True)
class Finding:
    """
    One statement of a claim beside what was computed.

    Attributes
    ----------
    stated : str
        What the document says.
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
        """Holds if every finding that can be decided agrees, does not hold if none does, else holds in part."""
        decided = [finding.agrees for finding in self.findings if finding.agrees is not None]
        if not decided:
            return UNDECIDED
        return HOLDS if all(decided) else PARTLY if any(decided) else FAILS


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
