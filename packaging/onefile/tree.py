"""The folder that the one file carries: an interpreter, its libraries down to the C library, and the packages.

    bin/kaged, kagectl, python3   one small program (python.c); names its loader by a full path, filled in when unpacked
    entry.pyc                     what bin/kaged runs first
    lib/                          the loader, the C library, libpython, all that anything here needs
    lib/pythonX.Y/                standard library (byte code, what Kage cannot use left out), site-packages
    shim.json                     the part that a shim needs (kaged/executors/carried.py copies it to the state folder)
    licenses/                     of what is carried

The rule that makes it run anywhere: no file here names a folder to find libraries in, but for bin/*, whose RPATH
(the old kind, which is asked for all libraries and before LD_LIBRARY_PATH) is `$ORIGIN/../lib`; and every library that
a file needs is in lib/. `check` proves both.
"""

import ast
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import elf

HERE = Path(__file__).parent
SLOT = "/@kage-loader@/" + "x" * 2000  # PT_INTERP of bin/*: room for a path; the kernel allows 4096
PROGRAMS = ("kaged", "kagectl", "python3")
KEEP_SOURCE = ("kaged", "kagectl")

# What neither Kage nor what it needs imports (tests/dist imports every module that is left).
_WITHOUT = """
    test idlelib tkinter turtledemo turtle ensurepip lib2to3 pydoc_data distutils site-packages sqlite3 curses dbm venv
    wsgiref xmlrpc msilib pydoc doctest cgi cgitb nntplib telnetlib imaplib poplib smtplib smtpd ftplib mailbox this
    antigravity crypt nis pipes sndhdr imghdr sunau aifc chunk wave uu xdrlib __phello__ _pyrepl _aix_support
    _osx_support
"""
WITHOUT = frozenset(_WITHOUT.split())
WITHOUT_EXTENSIONS = re.compile(
    r"(_test|_xx|xx|_ctypes_test|_tkinter|_sqlite3|_curses|_dbm|_gdbm|readline|nis|ossaudiodev|audioop|spwd|_crypt"
    r"|_lzma|_bz2|_ssl|_uuid|_codecs_|_multibytecodec|_interp|_remote_debugging|_zstd)"
)
# Loaded by name while a process runs or ends, so no file says that it needs them.
BY_NAME = ("libgcc_s.so.1",)
SHIM_NEVER = {"json.encoder", "json.scanner", "typing", "collections.abc"}  # for other Pythons, and for mypy
SHIM_ENCODINGS = ("__init__", "aliases", "utf_8", "ascii", "latin_1")

_ASK = """
import json, sys, sysconfig as c, importlib.machinery as m
json.dump({"version": "%d.%d" % sys.version_info[:2], "full": sys.version.split()[0], "stdlib": c.get_path("stdlib"),
  "dynload": c.get_config_var("DESTSHARED"), "libdir": c.get_config_var("LIBDIR"),
  "library": c.get_config_var("INSTSONAME"), "shared": bool(c.get_config_var("Py_ENABLE_SHARED")),
  "cache_tag": sys.implementation.cache_tag, "prefix": sys.base_prefix}, sys.stdout)
"""


class CannotBuild(Exception):
    """Something that this machine lacks; the text says what to install."""


@dataclass(frozen=True)
class Interpreter:
    """What an interpreter says of itself."""

    program: str
    version: str  # 3.11
    full: str  # 3.11.7
    stdlib: Path
    dynload: Path
    library: Path


def ask(program: str) -> Interpreter:
    """Raises CannotBuild when it was built without a shared library."""
    said = json.loads(subprocess.run([program, "-I", "-c", _ASK], check=True, capture_output=True, text=True).stdout)
    stdlib = Path(said["stdlib"])
    dynload = Path(said["dynload"]) if said["dynload"] and Path(said["dynload"]).is_dir() else stdlib / "lib-dynload"
    places = (Path(said["libdir"]), Path(said["prefix"]) / "lib")
    name = f"libpython{said['version']}.so.1.0"
    library = next((place / name for place in places if (place / name).exists()), None)
    if library is None:
        raise CannotBuild(
            f"{program} has no {name}: it was built without --enable-shared; make dist DIST_PYTHON=... names another"
        )
    return Interpreter(program, said["version"], said["full"], stdlib, dynload, library)


def make(interpreter: Interpreter, packages: Path, tree: Path, cc: str) -> None:
    """Fill the empty folder `tree`. `packages`: what pip installed with --target."""
    library = tree / "lib"
    standard = library / f"python{interpreter.version}"
    (tree / "bin").mkdir(parents=True)
    _copy_standard(interpreter.stdlib, standard)
    shutil.copytree(packages, standard / "site-packages", ignore=shutil.ignore_patterns("__pycache__", "bin", "*.pyi"))
    for leftover in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):  # differ by how pip was called
        for path in (standard / "site-packages").glob(f"*.dist-info/{leftover}"):
            path.unlink()
    (standard / "lib-dynload").mkdir()
    for extension in sorted(interpreter.dynload.glob("*.so")):
        if not WITHOUT_EXTENSIONS.match(extension.name):
            shutil.copy(extension, standard / "lib-dynload")
    shutil.copy(HERE / "entry.py", tree / "entry.py")
    shutil.copy(interpreter.library, library)
    origins = _collect(tree, library, interpreter)
    for path in _files(tree):
        if elf.is_elf(path) and not path.name.startswith("ld-"):
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)
            elf.without_runpath(path)
    loader = next(library.glob("ld-*"))
    _compile_programs(tree, interpreter, cc)
    shim = _shim_files(interpreter, tree)
    subprocess.run(
        [interpreter.program, "-I", str(HERE / "compile_tree.py"), str(tree), *KEEP_SOURCE],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    _write_shim_list(tree, shim, loader)
    _copy_licenses(tree / "licenses", origins, interpreter)
    (tree / ".kage-onefile").write_text(f"python {interpreter.full}\n")
    check(tree)


def check(tree: Path) -> None:
    """Raises CannotBuild when a library that something needs is not in lib/, or would be looked for elsewhere."""
    there = {path.name for path in (tree / "lib").iterdir()}
    for path in _files(tree):
        if elf.is_elf(path):
            about = elf.read(path)
            if missing := set(about.needed) - there:
                raise CannotBuild(f"{path.relative_to(tree)} needs {', '.join(sorted(missing))}, which is not in lib/")
            expected = ("$ORIGIN/../lib",) if path.parent.name == "bin" else ()
            if about.runpath != expected:
                raise CannotBuild(f"{path.relative_to(tree)} looks for libraries in {about.runpath}")


def glibc_needed(tree: Path) -> str:
    """The newest version of the C library that anything here asks for."""
    versions = {
        tuple(int(part) for part in version[6:].split("."))
        for path in _files(tree)
        if elf.is_elf(path)
        for version in elf.read(path).versions
        if re.fullmatch(r"GLIBC_[0-9.]+", version)
    }
    return ".".join(str(part) for part in max(versions))


def _files(tree: Path) -> list[Path]:
    return sorted(path for path in tree.rglob("*") if path.is_file())


def _copy_standard(source: Path, target: Path) -> None:
    def skipped(folder: str, names: list[str]) -> set[str]:
        top = Path(folder) == source
        return {
            name
            for name in names
            if name in ("__pycache__", "lib-dynload", "tests")
            or name.startswith("config-")
            or name.endswith((".pyi", ".exe", ".so"))
            or (top and (name.split(".")[0] in WITHOUT or not (name.endswith(".py") or Path(folder, name).is_dir())))
        }

    shutil.copytree(source, target, ignore=skipped)


def _collect(tree: Path, library: Path, interpreter: Interpreter) -> dict[str, Path]:
    """Copy into lib/ every library that anything in `tree` needs, and what those need. Name -> where it was."""
    origins: dict[str, Path] = {interpreter.library.name: interpreter.library}
    environ = {**os.environ, "LD_LIBRARY_PATH": str(interpreter.library.parent)}

    def resolve(path: Path) -> None:
        said = subprocess.run(["ldd", str(path)], check=True, capture_output=True, text=True, env=environ).stdout
        for line in said.splitlines():
            found = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
            if not found:
                if "not found" in line:
                    raise CannotBuild(f"{path.name}: {line.strip()}")
                continue
            name, place = Path(found[1] or found[2]).name, Path(found[2])
            if name not in origins:
                origins[name] = place.resolve()
                shutil.copy(place.resolve(), library / name)

    for path in _files(tree):
        if elf.is_elf(path):
            resolve(path)
    for name in BY_NAME:
        if name not in origins:
            raise CannotBuild(f"{name} was not found")
    return origins


def _compile_programs(tree: Path, interpreter: Interpreter, cc: str) -> None:
    first = tree / "bin" / PROGRAMS[0]
    command = [cc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(first), str(HERE / "python.c")]
    command += [
        str(tree / "lib" / interpreter.library.name),
        "-Wl,--allow-shlib-undefined",
        "-Wl,--build-id=none",
        "-s",
    ]
    command += [f"-Wl,--dynamic-linker={SLOT}", "-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/../lib"]
    subprocess.run(command, check=True)
    for name in PROGRAMS[1:]:
        shutil.copy(first, tree / "bin" / name)


def _shim_files(interpreter: Interpreter, tree: Path) -> list[str]:
    """All that a shim imports, in whichever branch, as paths below the standard library."""
    shim = next(tree.glob("lib/python*/site-packages/kaged/shim/shim.py"))
    names = set()
    for node in ast.walk(ast.parse(shim.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    names -= SHIM_NEVER
    code = (
        f"import sys, {', '.join(sorted(names))}\n"
        "print('\\n'.join(m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)))"
    )
    said = subprocess.run([interpreter.program, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    found = [Path(line) for line in said.stdout.split()]
    return [
        f"lib-dynload/{path.name}" if path.suffix == ".so" else str(path.relative_to(interpreter.stdlib)) + "c"
        for path in found
    ]


def _write_shim_list(tree: Path, modules: list[str], loader: Path) -> None:
    standard = next((tree / "lib").glob("python*"))
    names = {*modules, "os.pyc", *(f"encodings/{name}.pyc" for name in SHIM_ENCODINGS)}
    # All small extension modules: C code imports some by itself (os.wait4 does `resource`), which no list would show.
    for extension in (standard / "lib-dynload").iterdir():
        if all(name in ("libc.so.6", "libm.so.6") for name in elf.read(extension).needed):
            names.add(f"lib-dynload/{extension.name}")
    paths = [standard / name for name in sorted(names) if (standard / name).exists()]
    libraries: set[str] = set()
    waiting = [tree / "bin" / "python3", *(path for path in paths if path.suffix == ".so"), tree / "lib" / BY_NAME[0]]
    while waiting:
        for name in elf.read(waiting.pop()).needed:
            if name not in libraries:
                libraries.add(name)
                waiting.append(tree / "lib" / name)
    libraries |= {loader.name, *BY_NAME}
    listed = [str(path.relative_to(tree)) for path in paths] + [f"lib/{name}" for name in sorted(libraries)]
    (tree / "shim.json").write_text(
        json.dumps({"program": "bin/python3", "loader": f"lib/{loader.name}", "files": sorted(listed)}, indent=1) + "\n"
    )


def _copy_licenses(target: Path, origins: dict[str, Path], interpreter: Interpreter) -> None:
    """Texts of what is carried, where this machine has them; packages bring their own in *.dist-info."""
    target.mkdir()
    for place in (interpreter.stdlib / "LICENSE.txt", interpreter.stdlib.parents[1] / "LICENSE"):
        if place.exists():
            shutil.copy(place, target / "python.txt")
    for place in sorted(origins.values()):
        said = subprocess.run(["dpkg", "-S", str(place)], check=False, capture_output=True, text=True)
        package = said.stdout.split(":")[0] if said.returncode == 0 else ""
        text = Path("/usr/share/doc", package, "copyright")
        if package and text.exists():
            shutil.copy(text, target / f"{package}.txt")
