"""Odd surroundings: closed streams, readers that go away, terminals that know ASCII only, ``python -OO``."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import PATIENCE, ROOT, run
from theory.tools.storage import load_result

SWEEP = ["-m", "numerics.sweep", "--resolution", "2", "--instances", "2", "--steps", "5", "--workers", "2"]
DIAGRAM = ["-m", "theory.phase_diagram", "--n", "2", "--m", "1", "--resolution", "4", "--workers", "1"]
COMMANDS = (
    "theory.derive",
    "theory.phase_diagram",
    "theory.transitions",
    "theory.search.criterion",
    "theory.search.irreducible",
    "theory.search.product_table",
    "theory.search.best_known",
    "theory.optimum.one_sparse",
    "numerics.sweep",
    "numerics.agreement",
    "figures",
    "figures.claims",
    "figures.polygons",
)


def shell(line: str, folder: Path) -> tuple[int, str, str]:
    """Run a line of bash; ``python`` is this one."""
    line = line.replace("python ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; export PYTHONPATH={ROOT}; {line}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def test_streams_that_are_closed_do_not_disturb(tmp_path: Path) -> None:
    code, _, _ = shell(f"python {' '.join(SWEEP)} --output new <&- >&- 2>&-", tmp_path)
    assert code == 0
    assert load_result(tmp_path / "new" / "sweep_n2_m1.nc").sizes["instance"] == 8
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sweep_n2_m1.nc"]


def test_a_refusal_without_stderr_still_has_its_code(tmp_path: Path) -> None:
    assert shell("python -m theory.derive --n 99 2>&-", tmp_path) == (2, "", "")


def test_a_reader_that_goes_away_does_not_stop_the_work(tmp_path: Path) -> None:
    code, out, err = shell("python -m theory.derive --n 2 --m 1 --output new | head -n 1", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("Toy models")
    assert (tmp_path / "new" / "derive_n2_m1.txt").read_text().startswith("Toy models")
    # ``true`` reads nothing: the pipe is closed before there is anything to say.
    assert shell("python -m theory.derive --n 2 --m 1 | true", tmp_path) == (0, "", "")
    assert shell("python -m theory.derive --help | true", tmp_path) == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_code_one(tmp_path: Path) -> None:
    code, _, err = shell("python -m theory.derive --n 2 --m 1 > /dev/full", tmp_path)
    assert code == 1
    assert err == "python -m theory.derive: [Errno 28] No space left on device\n"


def test_a_terminal_that_knows_ascii_only_shows_question_marks(tmp_path: Path) -> None:
    code, out, err = run(DIAGRAM, tmp_path, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert "0.1000 ? " in out


def test_the_work_is_done_without_docstrings_and_assertions(tmp_path: Path) -> None:
    code, out, err = run([*SWEEP, "--output", "new"], tmp_path, "-OO")
    assert (code, out.splitlines()[-1], err) == (0, "new/sweep_n2_m1.nc", "")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_its_help_without_docstrings(command: str, tmp_path: Path) -> None:
    code, out, err = run(["-m", command, "--help"], tmp_path, "-OO")
    assert (code, err) == (0, "")
    assert out.startswith("usage:")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["40", "1" + "0" * 24, "0", "-1", "two"])
@pytest.mark.parametrize(
    "command",
    ["theory.phase_diagram", "theory.search.product_table", "numerics.agreement", "figures", "figures.claims"],
)
def test_every_command_limits_its_workers(command: str, workers: str, tmp_path: Path) -> None:
    if command != "theory.phase_diagram" and workers not in ("40", "1" + "0" * 24):
        pytest.skip("one command shows it")
    code, out, err = run(["-m", command, "--workers", workers], tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "workers must be at most" in err or "must be a whole number >= 1" in err
