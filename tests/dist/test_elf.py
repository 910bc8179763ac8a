"""What the builder reads from ELF files agrees with binutils, and what it changes still loads."""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dist import built

elf = importlib.import_module("elf")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("readelf") is None or shutil.which("cc") is None, reason="needs binutils"
)


def some_files() -> list[Path]:
    packages = Path(importlib.import_module("grpc").__file__).parents[1]
    return [Path(sys.executable).resolve(), Path("/bin/sh").resolve(), *sorted(packages.glob("*/*.so"))[:4]]


@pytest.mark.parametrize("path", some_files(), ids=lambda path: path.name)
def test_it_reads_what_readelf_reads(path: Path) -> None:
    said = subprocess.run(["readelf", "-dVW", path], capture_output=True, text=True, check=True).stdout
    about = elf.read(path)
    assert list(about.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    assert list(about.runpath) == re.findall(r"\((?:RUN|R)PATH\).*\[(.*)\]", said)
    needs = said[said.find("Version needs") :]
    assert about.versions == frozenset(re.findall(r"Name: (\S+)  Flags", needs))


def test_without_its_runpath_a_library_is_the_same_library(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int answer(void) { return 42; }\n")
    library = tmp_path / "liba.so"
    build = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-Wl,-rpath,/nowhere", "-Wl,-soname,liba.so"]
    subprocess.run(build, check=True)
    assert elf.read(library).runpath == ("/nowhere",)
    assert elf.without_runpath(library)
    assert not elf.without_runpath(library)
    about = elf.read(library)
    assert (about.runpath, about.soname) == ((), "liba.so")
    code = f"import ctypes; raise SystemExit(ctypes.CDLL({str(library)!r}).answer())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 42


def test_what_is_no_elf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    assert not elf.is_elf(tmp_path / "text")
    with pytest.raises(elf.NotElf):
        elf.read(tmp_path / "text")


def test_a_tree_that_lacks_a_library_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    shutil.copy("/bin/sh", tmp_path / "lib" / "sh")
    with pytest.raises(built.tree.CannotBuild, match=r"lib/sh needs libc\.so\.6"):
        built.tree.check(tmp_path)
