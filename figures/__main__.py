"""Every figure, one after the other: ``python -m figures --output results``.

What has been made with the same settings is kept, so that an interrupted run goes on where it stopped.
"""

from figures.shared.script import SCRIPTS, Settings, check_foreign, obtain

import time
from collections.abc import Sequence
from pathlib import Path

from theory.tools.arguments import non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command, tell
from theory.tools.storage import results_folder

__all__ = ["main"]

_COMMAND = "python -m figures"


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.
    """
    parser = Parser("Every figure with its numbers; what is there already is kept.", prog=_COMMAND)
    parser.add_argument("--output", type=writable_directory, default=Path("results"), help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="small versions of the figures, a minute in all")
    parser.add_argument("--seed", type=non_negative_count, default=0, help="seed of everything random")
    parser.add_workers()
    parser.add_overwrite()
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, metavar="NAME", help="these figures instead of all")
    options = parser.parse_args(argv)
    settings = Settings(options.quick, options.seed, options.workers)
    wanted = options.only or SCRIPTS
    check_foreign(wanted, options.output, options.overwrite)
    with results_folder(options.output) as folder:
        for name in progress(wanted, label="figures"):
            began = time.perf_counter()
            _, computed = obtain(name, folder, settings)
            tell(f"{name:28}{f'{time.perf_counter() - began:.1f} s' if computed else 'kept':>9}")


if __name__ == "__main__":
    run_command(main, _COMMAND)
