"""The console script: every subcommand is there, and errors of the program are told from the user's."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import theory
from figures.shared.console import COMMANDS, main
from theory.tools.command import run_command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["superposition", *arguments])
    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_its_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hasattr(import_module(COMMANDS[name][0]), "main")
    assert run(monkeypatch, name, "--help") == 0
    assert "--traceback" in capsys.readouterr().out


def test_it_says_its_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == theory.__version__


def test_every_command_of_the_packages_is_a_subcommand() -> None:
    root = Path(__file__).parents[1]
    commands = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for folder in ("theory", "numerics", "figures")
        for path in (root / folder).rglob("*.py")
        if "\n    run_command(main" in path.read_text("utf-8")
    }
    assert commands == {module for module, _ in COMMANDS.values()}


def test_a_subcommand_works_and_a_wrong_one_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 0
    assert "phase-diagram" in capsys.readouterr().out
    assert run(monkeypatch, "phase-diagram", "--n", "1") == 2
    assert run(monkeypatch, "digaram") == 2
    assert "unknown command 'digaram'; give one of phase-diagram" in capsys.readouterr().err


def fails_in_a_library(argv: object) -> None:
    np.concatenate([])


def fails_in_an_operation(argv: object) -> None:
    np.ones(2) @ np.ones(3)


def fails_with_a_key(argv: object) -> None:
    {}["density"]  # type: ignore[index]


def refuses(argv: object) -> None:
    raise ValueError("density must lie in (0, 1]")


@pytest.mark.parametrize(("work", "code"), [(fails_in_a_library, 1), (fails_in_an_operation, 1), (fails_with_a_key, 1),
                                             (refuses, 2)])  # fmt: skip
def test_a_slip_of_the_program_is_no_bad_input(work: object, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        run_command(work, "command", [])  # type: ignore[arg-type]
    assert leaving.value.code == code
    told = capsys.readouterr().err
    assert ("internal error, " in told) == (code == 1)
    assert told.count("\n") == 1


def test_traceback_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(refuses, "command", ["--traceback"])
    assert "in refuses" in capsys.readouterr().err


@pytest.mark.filterwarnings("always")
def test_a_warning_is_a_line_of_the_command_and_none_of_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str] | None) -> None:
        warnings.warn("the loss is only known\nto 1e-5", stacklevel=1)

    shown = warnings.showwarning
    run_command(main, "python -m command")
    assert capsys.readouterr().err == "python -m command: the loss is only known to 1e-5\n"
    assert warnings.showwarning is shown
