"""Ctrl-C and SIGTERM: one line, the code that shells expect, and nothing left running."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.__main__ import strike, table
from tests.faults.processes import ended, is_guarded, left_over, session, start, wait_for
from theory.tools.interruption import uninterrupted
from theory.tools.parallel import Failure, spread
from theory.tools.storage import write

WORKING = {
    "sweep": ["-m", "numerics.sweep", "--resolution", "8", "--steps", "30000", "--workers", "2"],
    "phase diagram": ["-m", "theory.phase_diagram", "--n", "5", "--m", "2", "--workers", "2"],
    "figures": ["-m", "figures", "--only", "polygons", "--workers", "2"],
}
ENDS = {
    signal.SIGINT: (130, "interrupted"),
    signal.SIGTERM: (143, "terminated"),
    signal.SIGHUP: (129, "its terminal was closed"),
}


@pytest.mark.parametrize("command", ["numerics.sweep", "theory.derive", "figures", "numerics.agreement"])
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_during_the_imports_is_one_line(command: str, number: signal.Signals, tmp_path: Path) -> None:
    process = start(["-m", command], tmp_path)
    assert wait_for(lambda: is_guarded(process))
    time.sleep(0.05)
    process.send_signal(number)
    code, word = ENDS[number]
    assert ended(process) == (code, "", f"python -m {command}: {word}\n")


def test_a_signal_during_the_imports_of_a_script_is_one_line(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    process = start([str(root / "figures" / "polygons.py")], tmp_path)
    assert wait_for(lambda: is_guarded(process))
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "figures/polygons.py: interrupted\n")


CONSOLE = Path(sys.executable).with_name("superposition")
STARTS = {
    "console script": ([str(CONSOLE), "phase-diagram"], [], "superposition phase-diagram"),
    "a figure by the console script": ([str(CONSOLE), "polygons"], [], "superposition polygons"),
    "attached module": (["-mtheory.derive"], [], "python -m theory.derive"),
    "among other options": (["-m", "theory.derive"], ["-W", "error::SyntaxWarning", "-OO"], "python -m theory.derive"),
}


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("way", STARTS)
def test_a_signal_is_one_line_however_the_command_was_started(way: str, number: signal.Signals, tmp_path: Path) -> None:
    arguments, flags, name = STARTS[way]
    if arguments[0] == str(CONSOLE) and not CONSOLE.exists():
        pytest.skip("the package is not installed")
    process = start([*arguments, "--output", "new"], tmp_path, *flags)
    assert wait_for(lambda: is_guarded(process))
    time.sleep(0.05)
    process.send_signal(number)
    code, word = ENDS[number]
    assert ended(process) == (code, "", f"{name}: {word}\n")


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True], ids=["to the command", "to all of its processes, as a terminal does"])
@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("job", WORKING)
def test_a_signal_during_the_work_leaves_no_workers(
    job: str, number: signal.Signals, to_all: bool, tmp_path: Path
) -> None:
    if to_all and job == "figures":
        pytest.skip("two jobs show it")
    process = start([*WORKING[job], "--output", "new"], tmp_path)
    assert wait_for(lambda: len(session(process)) >= 5)  # itself, its workers, and what tracks their resources
    time.sleep(1)
    if to_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait(10)
    assert left_over(process) == []
    code, word = ENDS[number]
    assert ended(process) == (code, "", f"python {' '.join(WORKING[job][:2])}: {word}\n")


@pytest.mark.slow
def test_six_strikes_at_random_moments_change_nothing() -> None:
    outcomes = strike(kills=3, signals=3, seed=3)
    print(table(outcomes))
    assert [outcome for outcome in outcomes if outcome.complaints] == []


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where a shell started these tests in its background, with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_a_result_is_written_whole_before_a_signal_takes_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> int:  # asked for when the content is in the part, not yet in its place
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        return 0o022

    monkeypatch.setattr("theory.tools.storage._umask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "result.txt", "whole")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("result.txt", "whole")]


@pytest.mark.usefixtures("ctrl_c")
def test_a_file_is_finished_before_a_signal_takes_effect() -> None:
    done = []

    def write() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_importing_the_packages_leaves_the_signals_of_other_programs_alone(tmp_path: Path) -> None:
    program = "import signal, theory, numerics, figures; print(signal.getsignal(signal.SIGTERM).name)"
    assert ended(start(["-c", program], tmp_path)) == (0, "SIG_DFL\n", "")


def test_a_package_that_imports_these_keeps_its_signals(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "__init__.py").write_text("import theory, numerics, figures")
    (tmp_path / "users" / "__main__.py").write_text(
        "import signal; print(*(signal.getsignal(n).__class__.__name__ for n in (signal.SIGTERM, signal.SIGHUP)))"
    )
    assert ended(start(["-m", "users"], tmp_path)) == (0, "Handlers Handlers\n", "")


def test_a_job_in_the_background_of_a_shell_goes_on_ignoring_ctrl_c(tmp_path: Path) -> None:
    ignoring = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, "
    process = start(["-c", f"{ignoring}[sys.executable, '-m', 'theory.derive', '--n', '2', '--m', '1'])"], tmp_path)
    assert wait_for(lambda: is_guarded(process))
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 0


def test_a_signal_after_the_work_changes_nothing(tmp_path: Path) -> None:
    program = (
        "import atexit, sys, time; sys.orig_argv = ['python', '-m', 'theory.nothing']\n"
        "import theory; from theory.tools.command import run_command\n"
        "atexit.register(lambda: (print('ending', flush=True), time.sleep(1)))\n"
        "run_command(lambda argv: None, 'nothing')\n"
    )
    process = start(["-c", program], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


@pytest.mark.slow
def test_a_worker_that_dies_is_said_in_a_sentence() -> None:
    with pytest.raises(Failure, match="a worker process died"):
        list(spread(os.kill, [(_Own(), signal.SIGKILL)] * 2, 2))


class _Own:
    """The number of the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return os.getpid, ()
