"""Derive the theory of n features in m dimensions symbolically: ``python -m theory.derive --n 2 --m 1``."""

from collections.abc import Sequence
from contextlib import nullcontext

from theory.tools.arguments import count, writable_directory
from theory.tools.command import Parser, run_command, tell

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
    from theory.symbolic.derivation.derivation import derive_report  # SymPy is slow to import: only once it is needed
    from theory.tools.storage import results_folder, write

    name = f"derive_n{arguments.n}_m{arguments.m}.{'tex' if arguments.latex else 'txt'}"
    saving = arguments.output is not None
    with results_folder(arguments.output, [name], arguments.overwrite) if saving else nullcontext() as folder:
        document = derive_report(arguments.n, arguments.m)
        text = document.latex() if arguments.latex else document.plain()
        if folder is not None:
            write(folder / name, text)
    tell(text.removesuffix("\n"))


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
    parser.add_overwrite()
    return parser


if __name__ == "__main__":
    run_command(main, "python -m theory.derive")
