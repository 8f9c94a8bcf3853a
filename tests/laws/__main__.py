"""The command ``python -m tests.laws``: measure every pair of choices, and write the page of their status."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.laws.measure import PAIRS, SETS, TERMS, VALUES, Status, status
from theory.tools.arguments import writable_directory
from theory.tools.command import Parser, progress, run_command, tell

_COMMAND = "python -m tests.laws"
_HEAD = f"""# Laws of values and sets, decoders and penalties

Every value law, law of sets, decoder, constraint and penalty beside every one of another kind: five features in one
dimension, density 0.3, made by `{_COMMAND} --output docs`. What a pair does not say is the usual: uniform values,
independent features (also those that no set takes), a tied decoder, a free bias, no penalty. Each pair is measured
four ways:

- its exact loss against all states in forty digits (discrete values without noise: 1e-9), or against samples, so many
  that four standard errors are below 1 %;
- its gradient against differences of the loss (1e-5);
- its Hessian against differences of the gradient (2e-3);
- the trainer's own estimate of the loss of what it has learned against the exact loss (4.5 standard errors).

A number is the largest of the four in units of what is allowed: below 1 all four hold. A letter behind it: loss,
derivatives and trainer take the pair, but `theory.optimise` refuses it, with the sentence below.
"""


def page(found: Sequence[Status]) -> str:
    """Write the table."""
    refused = sorted({s.refused for s in found if s.refused})
    reasons = sorted({s.no_optimum for s in found if s.no_optimum})
    good, without = sum(s.good for s in found), sum(bool(s.no_optimum) for s in found)
    counted = f"{good} of {len(found)} pairs hold, {sum(bool(s.refused) for s in found)} are refused"
    lines = [_HEAD, f"{counted}; of {without} `theory.optimise` refuses the optimum.", ""]
    by_pair = {(s.values, s.sets, s.terms): s for s in found}
    columns = [*((sets, "") for sets in SETS), *(("", term) for term in TERMS if term)]
    lines += ["| | " + " | ".join(f"`{a or b}`" if a or b else "independent" for a, b in columns) + " |"]
    lines += ["|" + "---|" * (len(columns) + 1)]
    for values in VALUES:
        cells = [_cell(by_pair.get((values, *column)), refused, reasons) for column in columns]
        lines.append(f"| `{values}` | " + " | ".join(cells) + " |")
    for row in (term for term in TERMS if term):
        cells = []
        for sets, term in columns:
            one = by_pair.get(("uniform", sets, row if not term else f"{row} {term}"))
            cells.append(_cell(one, refused, reasons))
        lines.append(f"| `{row}` | " + " | ".join(cells) + " |")
    lines += ["", *(f"{k}. {reason}" for k, reason in enumerate(refused, start=1))]
    lines += [f"- {_LETTERS[k]}: {reason}" for k, reason in enumerate(reasons)]
    return "\n".join(lines).rstrip() + "\n"


_LETTERS = "abcdefgh"


def _cell(one: Status | None, refused: Sequence[str], reasons: Sequence[str]) -> str:
    if one is None:
        return ""
    if one.refused:
        return f"refused {refused.index(one.refused) + 1}"
    worst = max(one.loss, one.gradient, one.hessian, one.trainer)
    letter = f" {_LETTERS[reasons.index(one.no_optimum)]}" if one.no_optimum else ""
    return f"{worst:.2f}{'' if one.good else ' (too far)'}{letter}"


def measured(kept: Path | None) -> list[Status]:
    """Measure every pair; those that a file keeps are not measured again, others are added to it one by one."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept is not None and kept.exists() else []
    known = {(one.values, one.sets, one.terms): one for one in _whole(lines)}
    for pair in progress([pair for pair in PAIRS if pair not in known], label="pairs"):
        known[pair] = status(*pair)
        if kept is not None:
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(known[pair])) + "\n")
    return [known[pair] for pair in PAIRS]


def _whole(lines: Sequence[str]) -> list[Status]:
    """Read lines, but for one that an interruption has cut."""
    found = []
    for line in lines:
        try:
            found.append(Status(**json.loads(line)))
        except json.JSONDecodeError:
            continue
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("Measure every pair of laws, decoders and penalties.", prog=_COMMAND)
    parser.add_argument(
        "--output",
        type=writable_directory,
        default=None,
        help="folder for laws.md, and for laws.jsonl, from which an interrupted run goes on; remove it to measure anew",
    )
    options = parser.parse_args(argv)
    found = measured(None if options.output is None else Path(options.output, "laws.jsonl"))
    text = page(found)
    if options.output is not None:
        Path(options.output, "laws.md").write_text(text, encoding="utf-8")
    tell(text)


if __name__ == "__main__":
    run_command(main, _COMMAND)
