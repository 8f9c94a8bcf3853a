"""Kill and interrupt a sweep and a phase diagram at random moments, and run them again.

``python -m tests.faults --kills 50 --signals 30`` compares every result with that of an undisturbed run, bit by bit,
and looks for processes and half-written files that were left behind. It prints a table, and ends with 1 if anything is
wrong. About ten minutes on two cores.
"""

import argparse
import math
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

import numpy as np

from tests.faults.processes import PATIENCE, ended, is_guarded, left_over, start, wait_for

_JOBS = {
    "sweep": ["-m", "numerics.sweep", "--resolution", "4", "--instances", "16", "--steps", "1500", "--workers", "2"],
    "phase diagram": ["-m", "theory.phase_diagram", "--n", "3", "--m", "2", "--resolution", "4", "--workers", "2"],
}
# Seconds that a machine on which many others work may take for a job of a few.
_LONG = 600.0
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "its terminal was closed"}
_CODES = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@dataclass
class Outcome:
    """What one fault led to."""

    job: str
    number: signal.Signals
    moment: float
    too_late: bool
    complaints: list[str]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _struck(job: str, number: signal.Signals, share: float, seconds: float, folder: Path) -> Outcome:
    """Run a job, send it a signal after a share of its time, see what is left, and run it to its end."""
    process = start([*_JOBS[job], "--output", str(folder)], folder.parent)
    if number != signal.SIGKILL:
        wait_for(lambda: is_guarded(process))  # before, the interpreter itself is starting
    moment = share * seconds
    wait_for(lambda: process.poll() is not None, moment)
    too_late = process.poll() is not None
    process.send_signal(number)
    process.wait(PATIENCE)
    complaints = []
    if pids := left_over(process):
        complaints.append(f"{len(pids)} processes left")
    code, _, err = ended(process)
    if not too_late:
        if code != _CODES[number] and code != 0:  # 0: the work was done, and the process about to end
            complaints.append(f"exit code {code}")
        if number in _WORDS and code and (err.count("\n") != 1 or _WORDS[number] not in err):
            complaints.append(f"said {err!r}")
        if number in _WORDS and list(folder.rglob("*.part")):
            complaints.append("part file left by a signal")
    return Outcome(job, number, moment, too_late, complaints)


def _completed(outcome: Outcome, folder: Path, whole: dict[str, bytes]) -> None:
    try:
        code, _, err = ended(start([*_JOBS[outcome.job], "--output", str(folder)], folder.parent), _LONG)
    except TimeoutExpired:
        outcome.complaints.append(f"the same command again is not done after {_LONG:.0f} s")
        return
    if code or err:
        outcome.complaints.append(f"the same command again: exit code {code}, {err!r}")
    found = _files(folder)
    if found.keys() != whole.keys():
        outcome.complaints.append(f"files {sorted(found)}")
    elif found != whole:
        outcome.complaints.append("other results")


def strike(kills: int, signals: int, seed: int) -> list[Outcome]:
    """Strike so many times; the moments follow from the seed and from how long the jobs take."""
    rng = np.random.default_rng(seed)
    numbers = [signal.SIGKILL] * kills + [(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[k % 3] for k in range(signals)]
    outcomes = []
    with tempfile.TemporaryDirectory() as place:
        whole, seconds = {}, {}
        for job in _JOBS:
            folder = Path(place) / f"whole {job}"
            for _ in range(2):  # the second without the compilation of a first import
                for path in folder.glob("*"):
                    path.unlink()
                began = time.monotonic()
                code, _, err = ended(start([*_JOBS[job], "--output", str(folder)], Path(place)), _LONG)
                seconds[job] = min(time.monotonic() - began, seconds.get(job, math.inf))
                if code:
                    raise RuntimeError(f"{job}, undisturbed: {err}")
            whole[job] = _files(folder)
        for k, number in enumerate(numbers):
            job = list(_JOBS)[k // 2 % 2]
            share, outcome = float(rng.uniform(0, 1)), None
            while outcome is None or outcome.too_late:  # the machine may have become faster meanwhile
                folder = Path(place) / f"{k} {share}"
                outcome = _struck(job, number, share, seconds[job], folder)
                share *= 0.7
            _completed(outcome, folder, whole[job])
            outcomes.append(outcome)
            if outcome.complaints:
                print(
                    f"{k}: {job}, {number.name} after {outcome.moment:.2f} s: {'; '.join(outcome.complaints)}",
                    flush=True,
                )
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """The outcomes, counted."""
    lines = [f"{'job':16}{'signal':>9}{'sent':>6}{'moments':>18}{'complaints':>12}"]
    for job in _JOBS:
        for number in _CODES:
            some = [o for o in outcomes if (o.job, o.number) == (job, number)]
            if some:
                moments = f"{min(o.moment for o in some):.2f} to {max(o.moment for o in some):.2f} s"
                wrong = sum(bool(o.complaints) for o in some)
                lines.append(f"{job:16}{number.name:>9}{len(some):>6}{moments:>18}{wrong:>12}")
    return "\n".join(lines)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Kill and interrupt commands at random moments.")
    parser.add_argument("--kills", type=int, default=50, help="how often kill -9")
    parser.add_argument("--signals", type=int, default=30, help="how often Ctrl-C, SIGTERM or SIGHUP, by turns")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    options = parser.parse_args()
    outcomes = strike(options.kills, options.signals, options.seed)
    print(table(outcomes))
    return int(any(outcome.complaints for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
