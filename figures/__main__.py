"""Every figure, one after the other: ``python -m figures --output results``.

What has been made with the same settings is kept, so that an interrupted run goes on where it stopped.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from figures.shared.script import SCRIPTS, Settings, obtain
from theory.tools.command import (
    Parser,
    count,
    make_folder,
    non_negative_count,
    progress,
    run_command,
    writable_directory,
)

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
    parser.add_argument("--workers", type=count, default=2, help="processes")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, metavar="NAME", help="these figures instead of all")
    options = parser.parse_args(argv)
    make_folder(options.output)
    settings = Settings(options.quick, options.seed, options.workers)
    for name in progress(options.only or SCRIPTS, label="figures"):
        began = time.perf_counter()
        _, computed = obtain(name, options.output, settings)
        print(f"{name:28}{f'{time.perf_counter() - began:.1f} s' if computed else 'kept':>9}", flush=True)


if __name__ == "__main__":
    run_command(main, _COMMAND)
