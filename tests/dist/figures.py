"""`python -m tests.dist.figures dist/kage`: the figures of docs/one-file.md, measured in one run, taking turns.

Shown is the fastest of the rounds (what the machine can) and the processor time of that round; other programs on the
machine make the rest.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.dist import built

ROUNDS = 15


def once(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and processor milliseconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, cwd="/")
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main(file: Path) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as home:
        env = built.environment(Path(home))
        wall, cpu = once([str(file), "--unpack"], env)
        folder = Path(built.run(file, "--unpack", env=env).stdout.strip())
        plain = [sys.executable, "-I"]
        commands = {
            "python -c pass": [*plain, "-c", "pass"],
            'python -c "import grpc"': [*plain, "-c", "import grpc"],
            "python -m kaged --version": [sys.executable, "-m", "kaged", "--version"],
            "kage kaged --version": [str(file), "kaged", "--version"],
            "kage kagectl --help": [str(file), "kagectl", "--help"],
            "kage --version (the stub alone)": [str(file), "--version"],
        }
        best = dict.fromkeys(commands, (float("inf"), 0.0))
        for _ in range(ROUNDS):
            for name, command in commands.items():
                where = {**env, "PYTHONPATH": str(built.REPOSITORY)} if command[0] == sys.executable else env
                best[name] = min(best[name], once(command, where))
        print(f"| the first start | {wall:.0f} ms | {cpu:.0f} ms |")
        for name, (wall, cpu) in best.items():
            print(f"| `{name}` | {wall:.0f} ms | {cpu:.0f} ms |")
        files = [path for path in folder.rglob("*") if path.is_file()]
        print(f"file {file.stat().st_size / 1e6:.1f} MB; unpacked {sum(p.stat().st_size for p in files) / 1e6:.0f} MB")
        print(f"{len(files)} files; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
