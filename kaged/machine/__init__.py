"""What kaged asks the operating system about processes and boots, for each kind of system: `here.py` chooses.

Everything else that only Linux has stands behind a protocol or a small function of its own; docs/platforms.md lists
all of it. Deliberately not here: starting or stopping anything of a run, and what follows from the answers.
"""
