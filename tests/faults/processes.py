"""Commands as processes of their own, in a session of their own, so that nothing they leave behind is overlooked."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Long enough for a busy machine, short enough to notice what hangs.
PATIENCE = 120.0


def start(arguments: Sequence[str], folder: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``python`` with arguments, with the signals of a terminal and output that is read at the end."""
    return subprocess.Popen(
        [sys.executable, *flags, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_usual_signals,
    )


def _usual_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # a shell's background job would ignore Ctrl-C


def ended(process: subprocess.Popen[str], patience: float = PATIENCE) -> tuple[int, str, str]:
    """Wait for the end: exit code, stdout, stderr."""
    try:
        out, err = process.communicate(timeout=patience)
    finally:
        clear(process)
    return process.returncode, out, err


def run(arguments: Sequence[str], folder: Path, *flags: str, **environment: str) -> tuple[int, str, str]:
    """Run ``python`` with arguments: exit code, stdout, stderr."""
    return ended(start(arguments, folder, *flags, **environment))


def session(process: subprocess.Popen[str]) -> list[int]:
    """What runs in the session of a process, itself included, zombies not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(its_session) == process.pid and state != "Z":
                found.append(int(entry.name))
    return found


def left_over(process: subprocess.Popen[str], seconds: float = 3.0) -> list[int]:
    """What is still there of its session a moment after a process has ended."""
    wait_for(lambda: not session(process), seconds)
    return session(process)


def clear(process: subprocess.Popen[str]) -> None:
    """End what is left of the session of a process."""
    if process.poll() is None:
        process.kill()
        process.wait()
    for pid in left_over(process, 2.0):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until something is the case; False if it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def is_guarded(process: subprocess.Popen[str]) -> bool:
    """Whether a command has taken over its signals (or ended): Python by itself does not catch SIGTERM."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return True
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1) or process.poll() is not None


def free_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
