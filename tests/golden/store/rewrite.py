"""Writes the golden files anew: `python -m tests.golden.store.rewrite`. Look at what git says afterwards."""

from pathlib import Path

from tests.golden.store.history import segment, shown, small

HERE = Path(__file__).parent

if __name__ == "__main__":
    (HERE / "small.jsonl").write_text(shown(small(), whole=True))
    (HERE / "segment.jsonl").write_text(shown(segment(), whole=False))
