"""Files: written whole, never over what is somebody else's, refused before the work."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from theory.tools.storage import (
    _netcdf,
    check_outputs,
    discard_parts,
    is_damaged,
    load_result,
    results_folder,
    save_result,
    write,
)

DATA = xr.Dataset({"x": ("k", np.arange(1000.0))}, attrs={"made_by": "python -m somebody"})


def test_the_remains_of_a_dataset_are_told_from_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    save_result(DATA, path)
    content = path.read_bytes()
    assert not is_damaged(path)
    for length in (0, 3, 10, 40, 100, 200, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:length])
        assert is_damaged(path), length
        with pytest.raises(OSError, match="is damaged"):
            load_result(path)
    path.write_text("years of work")
    assert not is_damaged(path)


def test_what_is_written_is_what_xarray_writes() -> None:
    data = DATA.assign(word=("k", np.array(["a", "bc"] * 500)), count=("k", np.arange(1000)))
    assert _netcdf(data) == bytes(data.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))


@pytest.mark.parametrize("content", ["years of work", "numbers"])
def test_files_of_others_are_refused_and_own_ones_are_not(content: str, tmp_path: Path) -> None:
    numbers, names = tmp_path / "data.nc", ("data.nc", "data.png")
    if content == "numbers":
        save_result(DATA.assign_attrs(made_by="python -m somebody_else"), numbers)
    else:
        numbers.write_text(content)
    before = numbers.read_bytes()
    with pytest.raises(FileExistsError, match="ask to overwrite it"):
        check_outputs(tmp_path, names, made_by="python -m somebody ")
    check_outputs(tmp_path, names, overwrite=True, made_by="python -m somebody")
    assert numbers.read_bytes() == before
    save_result(DATA, numbers)
    check_outputs(tmp_path, names, made_by="python -m somebody")
    (tmp_path / "data.png").write_text("its picture")
    check_outputs(tmp_path, names, made_by="python -m somebody")
    numbers.write_bytes(before[:100] if content == "numbers" else b"")
    check_outputs(tmp_path, names, made_by="python -m somebody")
    numbers.unlink()
    with pytest.raises(FileExistsError, match=r"data\.png"):
        check_outputs(tmp_path, names, made_by="python -m somebody")


def test_a_folder_of_work_that_fails_is_taken_away_again_if_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed"), results_folder(tmp_path / "new" / "deep"):
        raise ValueError("failed")
    assert list(tmp_path.iterdir()) == []

    def keep_something() -> None:
        with results_folder(tmp_path / "new") as folder:
            write(folder / "something", "kept")
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        keep_something()
    assert (tmp_path / "new" / "something").read_text() == "kept"
    with pytest.raises(OSError, match="cannot write to"), results_folder("/proc/nowhere"):
        pytest.fail("worked")


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.nc"
    write(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        save_result(DATA, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("data.nc", "old")]


def test_a_file_that_cannot_be_begun_is_named_as_it_was_asked_for() -> None:
    with pytest.raises(FileNotFoundError, match=r"'/proc/nowhere\.txt'$"):
        write("/proc/nowhere.txt", "text")


def test_parts_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    node = os.uname().nodename
    dead, alive = (tmp_path / f".data.nc.{node}-{pid}.abc.part" for pid in (2**22 + 1, os.getpid()))
    elsewhere, other = (
        tmp_path / ".data.nc.another-host-4194305.abc.part",
        tmp_path / f".other.nc.{node}-4194305.a.part",
    )
    for part in (dead, alive, elsewhere, other):
        part.write_text("half")
    discard_parts(path)
    assert sorted(tmp_path.iterdir()) == sorted([alive, elsewhere, other])


def test_whole_numbers_beyond_32_bits_survive(tmp_path: Path) -> None:
    save_result(DATA.assign_attrs(seed=2**40), tmp_path / "data.nc")
    assert load_result(tmp_path / "data.nc").attrs["seed"] == str(2**40)
