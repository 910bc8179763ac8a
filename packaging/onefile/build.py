"""Build the one file: `python build.py --python PYTHON --wheel WHEEL --work FOLDER --out FILE`.

    pip install --target -> tree.make -> a tar with nothing of this machine in it -> xz -> cc -static stub.c

`make dist` calls it. It needs a C compiler, the static C library and liblzma, `strip` and `ldd`; nothing of it is
needed where the file runs. The same sources, interpreter and tools give the same bytes.
"""

import argparse
import hashlib
import json
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import tree

ROOT = tree.HERE.parents[1]


def main() -> int:
    """Build and say what was built."""
    parser = argparse.ArgumentParser(description="Build Kage as one executable file.")
    parser.add_argument("--python", required=True, help="the interpreter that is carried; pip must work in it")
    parser.add_argument("--wheel", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path, help="folder for what is in between; emptied first")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    arguments = parser.parse_args()
    try:
        build(arguments.python, arguments.wheel, arguments.work.resolve(), arguments.out, arguments.cc)
    except tree.CannotBuild as error:
        print(f"make dist: {error}", file=sys.stderr)
        return 1
    return 0


def build(python: str, wheel: Path, work: Path, out: Path, cc: str) -> None:
    """Raises CannotBuild; a tool that fails has said why itself (CalledProcessError)."""
    look_for_tools(cc)
    interpreter = tree.ask(python)
    shutil.rmtree(work, ignore_errors=True)
    packages, folder = work / "packages", work / "tree"
    packages.mkdir(parents=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(packages)]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True)
    tree.make(interpreter, packages, folder, cc)
    name = pack(folder, wheel.name.split("-")[1], work, out, cc)
    report = {
        "name": name,
        "python": interpreter.full,
        "bytes": out.stat().st_size,
        "unpacked_bytes": _bytes_on_disk(folder),
        "files": sum(1 for path in folder.rglob("*") if path.is_file()),
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
    }
    (work / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    size, unpacked = out.stat().st_size / 1e6, _bytes_on_disk(folder) / 1e6
    print(f"{out}: {size:.1f} MB, unpacked {unpacked:.0f} MB, Python {interpreter.full}, {name}")


def pack(folder: Path, version: str, work: Path, out: Path, cc: str, *, preset: int = 6) -> str:
    """Make the file `out` from a finished tree. Returns what its folder will be called, but for the path's mark."""
    archive, payload, draft = work / "tree.tar", work / "tree.tar.xz", work / "kage"
    _archive(folder, archive)
    data = archive.read_bytes()
    name = f"kage-{version}-{hashlib.sha256(data).hexdigest()[:12]}"
    payload.write_bytes(_compress(data, preset))
    defines = {
        "KAGE_VERSION": json.dumps(version),
        "KAGE_NAME": json.dumps(name),
        "KAGE_BYTES": f"{_bytes_on_disk(folder)}ULL",
        "KAGE_LOADER": json.dumps(str(next((folder / "lib").glob("ld-*")).relative_to(folder))),
        "KAGE_SLOT": json.dumps(tree.SLOT[:15]),  # its beginning tells it apart
        "KAGE_TOLD": json.dumps("_KAGE_FILE"),
        "KAGE_PAYLOAD": json.dumps(str(payload)),
    }
    (work / "build.h").write_text("".join(f"#define {key} {value}\n" for key, value in defines.items()))
    command = [cc, "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-Wl,--build-id=none", f"-I{work}"]
    subprocess.run([*command, "-o", str(draft), str(tree.HERE / "stub.c"), "-llzma"], check=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    shutil.copy(draft, out)
    return name


def look_for_tools(cc: str) -> None:
    """Raises CannotBuild with what to install."""
    if sys.platform != "linux":
        raise tree.CannotBuild("the one file is for Linux")
    for tool in (cc, "strip", "ldd"):
        if not shutil.which(tool):
            raise tree.CannotBuild(f"there is no {tool} (Debian: apt install gcc libc6-dev liblzma-dev)")
    with tempfile.TemporaryDirectory() as folder:
        probe = subprocess.run(
            [cc, "-static", "-x", "c", "-", "-x", "none", "-llzma", "-o", f"{folder}/probe"],
            input="#include <lzma.h>\nint main(void) { return lzma_version_number() == 0; }\n",
            text=True,
            capture_output=True,
            check=False,
        )
    if probe.returncode:
        raise tree.CannotBuild(
            f"{cc} cannot link statically with liblzma (Debian: apt install libc6-dev liblzma-dev):\n{probe.stderr}"
        )


def _archive(folder: Path, target: Path) -> None:
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            about = tarfile.TarInfo(str(path.relative_to(folder)))
            if path.is_dir():
                about.type, about.mode = tarfile.DIRTYPE, 0o700
                archive.addfile(about)
                continue
            about.size = path.stat().st_size
            about.mode = 0o700 if path.parent.name == "bin" or path.name.startswith("ld-") else 0o600
            with path.open("rb") as file:
                archive.addfile(about, file)


def _compress(data: bytes, preset: int) -> bytes:
    filters: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "preset": preset}]
    if platform.machine() == "x86_64":
        filters.insert(0, {"id": lzma.FILTER_X86})
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=filters)


def _bytes_on_disk(folder: Path) -> int:
    """In blocks of 4 KiB, as most file systems have them."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*"))


if __name__ == "__main__":
    sys.exit(main())
