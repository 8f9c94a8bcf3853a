"""Derive the theory of n features in m dimensions symbolically: ``python -m theory.derive --n 2 --m 1``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from theory.tools.command import Parser, count, make_folder, run_command, writable_directory

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """
    Print exact losses, boundaries and triple points, derived with SymPy.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Raises
    ------
    SystemExit
        With code 2 if an argument is refused.
    ValueError
        If n and m are out of reach.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    from theory.symbolic.report.report import derive_report  # SymPy is slow to import: only once it is needed

    document = derive_report(arguments.n, arguments.m)
    text = document.latex() if arguments.latex else document.plain()
    sys.stdout.write(text)
    if arguments.output is not None:
        suffix = "tex" if arguments.latex else "txt"
        _write(arguments.output, f"derive_n{arguments.n}_m{arguments.m}.{suffix}", text)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m theory.derive",
        description="Derive, with SymPy, the exact losses of linear and ReLU models, those of the named "
        "candidates for an extra feature, and the boundaries between the idealised ones.",
    )
    parser.add_argument("--n", type=count, default=2, help="number of features, 1 to 8")
    parser.add_argument("--m", type=count, default=1, help="number of hidden dimensions, 1 to n")
    parser.add_argument("--latex", action="store_true", help="print a complete LaTeX document")
    parser.add_argument(
        "--output",
        type=writable_directory,
        metavar="DIR",
        help="also write the text to DIR/derive_n<n>_m<m>.txt (.tex with --latex)",
    )
    return parser


def _write(folder: Path, name: str, text: str) -> None:
    make_folder(folder)
    (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(main, "python -m theory.derive")
