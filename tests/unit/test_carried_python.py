"""The copy of a carried interpreter in the state folder: whole, shared where possible, gone when nobody uses it."""

import fcntl
import json
import os
import struct
import sys
from pathlib import Path

import pytest

from kaged.executors.carried import install_python, remove_unused, with_loader

FILES = ["lib/ld.so", "lib/python3.11/os.pyc"]


def program(loader: str = "/cache/lib/ld.so", room: int = 2000) -> bytes:
    """An ELF header, one program header (PT_INTERP), and the name that it points to."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    return (
        bytes(head)
        + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, room, room, 1)
        + loader.encode().ljust(room, b"\0")
        + b"end"
    )


@pytest.fixture
def carried(tmp_path: Path) -> Path:
    prefix = tmp_path / "cache" / "kage-1.0-abc"
    for name in FILES:
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text(name)
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3").write_bytes(program())
    (prefix / "shim.json").write_text(json.dumps({"program": "bin/python3", "loader": "lib/ld.so", "files": FILES}))
    return prefix


def test_an_installed_kage_has_none(tmp_path: Path) -> None:
    assert install_python(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_the_copy_shares_its_bytes_and_names_its_own_loader(carried: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    python = install_python(state, carried)
    assert python is not None
    folder = python.parents[1]
    assert folder.parent == state / "shim"
    assert python.read_bytes() == program(str(folder / "lib/ld.so"))
    assert os.access(python, os.X_OK)
    for name in FILES:
        assert (folder / name).samefile(carried / name)
    inode = python.stat().st_ino
    assert install_python(state, carried) == python
    assert python.stat().st_ino == inode


def test_without_links_it_is_a_copy(carried: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    python = install_python(tmp_path / "state", carried)
    assert python is not None
    assert [(python.parents[1] / name).read_text() for name in FILES] == FILES


def test_another_version_and_another_place_get_a_folder_of_their_own(carried: Path, tmp_path: Path) -> None:
    newer = carried.with_name("kage-1.1-def")
    carried.rename(newer)
    second = install_python(tmp_path / "state", newer)
    newer.rename(carried)
    first = install_python(tmp_path / "other", carried)
    third = install_python(tmp_path / "state", carried)
    assert len({first, second, third}) == 3


def test_a_copy_goes_when_no_shim_runs_from_it(carried: Path, tmp_path: Path) -> None:
    shim = tmp_path / "state" / "shim"
    for name in ("python-held", "python-free", ".draft-1-python-x"):
        (shim / name / "bin").mkdir(parents=True)
    held = os.open(shim / "python-held", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)  # as each shim does for life
        python = install_python(tmp_path / "state", carried)
        assert python is not None
        assert sorted(path.name for path in shim.iterdir()) == sorted(["python-held", python.parents[1].name])
    finally:
        os.close(held)
    remove_unused(shim, keep=python.parents[1])
    assert [path.name for path in shim.iterdir()] == [python.parents[1].name]


def test_when_no_copy_can_be_made_shims_run_on_the_original(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder must be")
    assert install_python(tmp_path / "state", carried) == carried / "bin" / "python3"


def test_half_a_copy_is_never_under_the_final_name(carried: Path, tmp_path: Path) -> None:
    (carried / FILES[1]).unlink()
    assert install_python(tmp_path / "state", carried) == carried / "bin" / "python3"
    assert not list((tmp_path / "state" / "shim").glob("python-*"))


@pytest.mark.parametrize("length", [10, 1999, 2000])
def test_a_loader_fits_or_is_refused(length: int) -> None:
    loader = "/" + "x" * (length - 1)
    if length >= 2000:  # the last byte is a 0
        with pytest.raises(OSError, match="too long"):
            with_loader(program(), loader)
    else:
        assert with_loader(program(), loader) == program(loader)


@pytest.mark.skipif(sys.platform != "linux", reason="ELF")
def test_a_real_program_with_another_loader_is_the_same_but_for_the_name() -> None:
    real = Path("/bin/sh").resolve().read_bytes()
    changed = with_loader(real, "/l")
    assert len(changed) == len(real)
    assert changed.count(b"/l\0") >= 1
    assert with_loader(changed, "/l") == changed
