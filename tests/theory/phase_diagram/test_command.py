"""The command that draws a phase diagram: what it writes and says, what it waits for, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import theory
from theory.model.value_families import HalfNormal
from theory.model.variant import STANDARD, Variant
from theory.phase_diagram.__main__ import _useful, main
from theory.phase_diagram.text import _IDEAL_BOUNDARIES

# The search's pieces are type-checked where they are tested one by one.
pytestmark = pytest.mark.usefixtures("at_full_speed")


def test_no_processes_are_started_for_what_takes_less_time_than_their_start() -> None:
    assert _useful(2, 2, 60, STANDARD) == 1
    for wanted in ((2, 3, 60, STANDARD), (2, 2, 200, STANDARD), (2, 2, 60, Variant(values=HalfNormal()))):
        assert _useful(*wanted) == 2
    assert _useful("tcp://127.0.0.1:8786", 2, 60, STANDARD) == "tcp://127.0.0.1:8786"


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3)])
def test_closed_forms_are_those_that_are_derived(n: int, m: int) -> None:
    derived = {}
    for boundary in theory.derive_boundaries(n, m):
        if boundary.is_visible:
            solved = {"p": boundary.density, "r": boundary.importance}
            name = "p" if boundary.density is not None else "r"
            derived[f"{boundary.first} | {boundary.second}"] = f"{name} = {solved[name].expression}"  # type: ignore[union-attr]
    assert _IDEAL_BOUNDARIES[n, m] == derived


def test_the_command_waits_neither_for_sympy_nor_for_a_cluster(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom theory.phase_diagram.__main__ import main\n"
        f"main(['--n', '2', '--m', '1', '--resolution', '3', '--output', {str(tmp_path)!r}])\n"
        "print({'sympy', 'distributed', 'joblib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("\nset()\n"), done.stderr


def test_the_command_writes_picture_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "--n",
            "2",
            "--m",
            "1",
            "--resolution",
            "5",
            "--format",
            "svg",
            "--workers",
            "1",
            "--output",
            str(tmp_path),
        ]
    )
    assert "phase of the extra feature" in capsys.readouterr().out
    assert (tmp_path / "phase_diagram_n2_m1.svg").read_text().startswith("<?xml")
    with xr.open_dataset(tmp_path / "phase_diagram_n2_m1.nc", engine="scipy") as data:
        assert data.sizes["density"] == 5
        assert data.attrs["seed"] == 0
        assert set(data.data_vars) >= {
            "loss",
            "ideal_loss",
            "W",
            "b",
            "phase",
            "norm",
            "superposition",
            "geometry",
        }
        assert "boundary_order" in data


@pytest.mark.parametrize(
    "arguments",
    [
        ["--n", "three"],
        ["--n", "0"],
        ["--n", "3", "--m", "4"],
        ["--density", "0.1", "2"],
        ["--importance", "-1", "2"],
        ["--format", "gif"],
        ["--output", "/proc/nowhere"],
    ],
)
def test_bad_arguments_end_in_one_line_and_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "theory.phase_diagram", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    if "--output" in arguments:
        assert "cannot write to /proc/nowhere" in done.stderr
    assert not list(tmp_path.iterdir())
