"""Generate `kaged/api/v1` from `proto/` into a folder: `python -m tests.protogen OUT`.

`make proto` writes the committed copy with it and a test compares a fresh generation with what is committed.
The generator is grpcio-tools as pinned in constraints.txt, so that its output does not drift.
"""

import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(out: Path) -> None:
    """Write the modules for every .proto into `out`, replacing those that are there."""
    sources = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    include = str(resources.files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{include}"]
        arguments += [f"--python_out={scratch}", f"--pyi_out={scratch}", f"--grpc_python_out={scratch}"]
        if protoc.main([*arguments, *sources]) != 0:
            raise SystemExit("protoc failed")
        for pattern in GENERATED:
            for old in out.glob(pattern):
                old.unlink()
        for new in (Path(scratch) / "kaged/api/v1").iterdir():
            shutil.copy(new, out / new.name)


if __name__ == "__main__":
    generate(Path(sys.argv[1]))
