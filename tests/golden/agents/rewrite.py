"""Writes what recorded runs are heard as anew: `python -m tests.golden.agents.rewrite`. Look at what git says."""

from tests.golden.agents.recorded import HERE, hear, names, shown

if __name__ == "__main__":
    for name in names():
        (HERE / f"{name}.heard").write_text(shown(hear(name)))
