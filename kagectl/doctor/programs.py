"""The programs of agents: there, and found on the PATH that agents get."""

import shutil
from collections.abc import Callable

from kagectl.agent_kinds import KINDS
from kagectl.doctor.asking import ask
from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, ok, skip, warn

VERSION_S = 10.0  # some of them are Node programs that look for updates first
_PATH_FIX = "kagectl daemon install   # takes this shell's PATH along; then kagectl daemon restart"


def path(scene: Scene) -> Verdict:
    """What a person finds on their PATH, agents find on theirs."""
    if scene.status is None:
        return skip("a running daemon tells which PATH agents get", "kagectl daemon start")
    ours, theirs = scene.env.get("PATH", ""), scene.agent_path
    if not theirs:
        return warn("agents get no PATH at all", _PATH_FIX)
    programs = sorted({kind.command[0] for kind in KINDS.values()} | {"git", "node", "python3"})
    missing = [name for name in programs if shutil.which(name, path=ours) and not shutil.which(name, path=theirs)]
    if missing:
        return warn(f"agents do not find {', '.join(missing)}, which this shell does", _PATH_FIX)
    folders = len([folder for folder in theirs.split(":") if folder])
    return ok(f"{folders} folders; agents find what this shell does")


def program_of(kind: str) -> Callable[[Scene], Verdict]:
    """The check of one kind of agent."""
    command = KINDS[kind].command[0]

    def look(scene: Scene) -> Verdict:
        found = shutil.which(command, path=scene.agent_path) or shutil.which(command, path=scene.env.get("PATH", ""))
        if found is None:
            return skip(f"{command} is not installed")
        env = {**scene.env, "PATH": scene.agent_path or scene.env.get("PATH", "")}
        said = ask([found, "--version"], env, timeout_s=VERSION_S)
        if said.code is None:
            return warn(f"{found} --version: {said.why}", f"{found} --version")
        lines = [line.strip() for line in said.text.splitlines() if line.strip()]
        if said.code:
            return warn(
                f"{found} --version ended with {said.code}: {(lines or ['no word'])[-1][:120]}", f"{found} --version"
            )
        return ok(f"{(lines or ['some version'])[0][:80]} at {found}")

    return look
