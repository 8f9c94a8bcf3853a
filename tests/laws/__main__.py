"""The command ``python -m tests.laws``: measure every pair of laws, and write the page of their status."""

from collections.abc import Sequence
from pathlib import Path

from tests.laws.measure import SETS, VALUES, Status, status
from theory.tools.command import Parser, progress, run_command, tell, writable_directory

_COMMAND = "python -m tests.laws"
_HEAD = f"""# Laws of values and sets

Every value law beside every set law of five features in one dimension, density 0.3, made by `{_COMMAND} --output docs`.
Features that no set takes are independent. Each pair is measured four ways:

- its exact loss against all states in forty digits (discrete values: 1e-9), or against samples, so many that four
  standard errors are below 1 %;
- its gradient against differences of the loss (1e-5);
- its Hessian against differences of the gradient (2e-3);
- the trainer's own estimate of the loss of what it has learned against the exact loss (4.5 standard errors).

A number is the largest of the four in units of what is allowed: below 1 all four hold.
"""


def page(found: Sequence[Status]) -> str:
    """Write the table."""
    refused = [s for s in found if s.refused]
    good = sum(s.good for s in found)
    lines = [_HEAD, f"{good} of {len(found)} pairs hold; {len(refused)} are refused.", ""]
    lines += ["| values | " + " | ".join(f"`{s}`" if s else "independent" for s in SETS) + " |"]
    lines += ["|" + "---|" * (len(SETS) + 1)]
    by_pair = {(s.values, s.sets): s for s in found}
    for values in VALUES:
        cells = []
        for sets in SETS:
            one = by_pair[values, sets]
            worst = max(one.loss, one.gradient, one.hessian, one.trainer)
            measured = f"{worst:.2f}{'' if one.good else ' (too far)'}"
            cells.append(f"refused {refused.index(one) + 1}" if one.refused else measured)
        lines.append(f"| `{values}` | " + " | ".join(cells) + " |")
    lines += ["", *(f"{k}. {one.refused}" for k, one in enumerate(refused, start=1))]
    return "\n".join(lines).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser("Measure every pair of a value law and a set law.", prog=_COMMAND)
    parser.add_argument("--output", type=writable_directory, default=None, help="folder for laws.md")
    options = parser.parse_args(argv)
    pairs = [(values, sets) for values in VALUES for sets in SETS]
    text = page([status(*pair) for pair in progress(pairs, label="pairs of laws")])
    if options.output is not None:
        Path(options.output, "laws.md").write_text(text, encoding="utf-8")
    tell(text)


if __name__ == "__main__":
    run_command(main, _COMMAND)
