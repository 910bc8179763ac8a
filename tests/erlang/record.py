"""Record what a real OTP does: `python -m tests.erlang.record`. Only needed when scenarios change.

One JSON line for each scenario: its tree, its steps, and what OTP showed after each step. The file is named
after the OTP release, so traces of several releases can stand side by side; all of them are replayed.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.erlang.otp import OtpNode
from tests.erlang.scenarios import scenario

TRACES = Path(__file__).with_name("traces")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, OtpNode(Path(folder)) as node:
        path = TRACES / f"otp{node.release()}.jsonl"
        with path.open("w", encoding="utf-8") as lines:
            for seed in range(asked.seed, asked.seed + asked.count):
                made = scenario(seed)
                trace = {"seed": seed, "tree": made.tree, "steps": made.steps, "seen": node.run(made)}
                lines.write(json.dumps(trace, separators=(",", ":")) + "\n")
    print(f"{asked.count} traces in {path.name}")


if __name__ == "__main__":
    main()
