"""Protected paths: what an agent does not touch, wherever its workspace is.

Untouchable, not even to read: Kage's own state, keys and credentials of the person. Unchangeable: git's internals,
the repository's `.kage/`, and whatever patterns a policy adds.
"""

from typing import Final

from kaged.guardrails.action import WRITING, Action
from kaged.guardrails.context import Context
from kaged.guardrails.paths import below, glob_root, has_glob, inside, may_fit
from kaged.guardrails.verdict import PASS, Verdict

RULE: Final = "protected"
UNTOUCHABLE: Final = (
    *("~/.ssh", "~/.gnupg", "~/.aws", "~/.azure", "~/.config/gcloud", "~/.kube", "~/.docker/config.json", "~/.netrc"),
    *("~/.git-credentials", "~/.config/gh", "~/.npmrc", "~/.pypirc", "~/.password-store", "~/.local/share/keyrings"),
    *("~/.config/kage", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d"),
    *("/proc/*/environ", "/proc/*/mem"),
)
READABLE: Final = ("~/.ssh/*.pub", "~/.ssh/known_hosts", "~/.ssh/config")
UNCHANGEABLE: Final = (
    *(".git", ".kage", "~/.bashrc", "~/.bash_profile", "~/.profile", "~/.zshrc", "~/.zshenv", "~/.gitconfig"),
    *("~/.config/git", "~/.config/systemd", "~/.config/autostart", "~/.claude", "~/.codex", "~/.gemini"),
)
_GIT_OWN: Final = frozenset({"git"})


def judge(action: Action, context: Context) -> Verdict:
    """Deny what touches a protected path."""
    for path in dict.fromkeys(action.mentioned):
        for each in context.really(path):
            for folder in context.guarded:
                if _reaches(each, folder) and not _own(each, folder, context):
                    return _deny(each, "it belongs to Kage")
            for pattern in UNTOUCHABLE:
                if _fits(each, pattern, context) and not any(_exactly(each, allowed, context) for allowed in READABLE):
                    return _deny(each, f"{pattern} is protected")
    for path in dict.fromkeys(_changed(action)):
        for each in context.really(path):
            for pattern in (*UNCHANGEABLE, *context.policy.protected):
                if _fits(each, pattern, context):
                    return _deny(each, f"{pattern} may not be changed")
    return PASS


def _changed(action: Action) -> tuple[str, ...]:
    own = action.paths if action.kind in WRITING else ()
    steps = (step for step in action.steps if step.command.name not in _GIT_OWN)
    return (*own, *(path for step in steps for path in (*step.effects.writes, *step.effects.deletes)))


def _reaches(path: str, folder: str) -> bool:
    root = glob_root(path) if has_glob(path) else path
    return inside(root, folder) or (has_glob(path) and inside(folder, root) and root != "/" and _long(path, folder))


def _own(path: str, folder: str, context: Context) -> bool:
    """The agent's own place may lie in Kage's folder."""
    root = glob_root(path) if has_glob(path) else path
    return any(below(place, folder) and inside(root, place) for place in context.really(context.workspace))


def _long(pattern: str, folder: str) -> bool:
    """Whether a pattern can come to lie at the folder: its names fit, one by one, or it crosses folders."""
    return "**" in pattern or may_fit(folder, pattern, "/")


def _fits(path: str, pattern: str, context: Context) -> bool:
    if pattern.startswith("~") and not context.home:
        return False
    if may_fit(path, pattern, context.workspace, context.home):
        return not has_glob(path) or _could_be(path, pattern, context)
    return False


def _could_be(path: str, pattern: str, context: Context) -> bool:
    """A pattern of the shell (`~/.s*/id_rsa`) against one of ours: whether they can mean the same file."""
    if "**" in path:
        return True
    if "/" not in pattern:
        return any(may_fit("/" + name, pattern, "/") for name in path.split("/") if name)
    fixed = context.home + pattern[1:] if pattern.startswith("~") else pattern
    ours, theirs = fixed.strip("/").split("/"), path.strip("/").split("/")
    return all(
        may_fit("/" + one, "/" + other, "/") or may_fit("/" + other, "/" + one, "/")
        for one, other in zip(ours, theirs, strict=False)
    )


def _exactly(path: str, pattern: str, context: Context) -> bool:
    return not has_glob(path) and may_fit(path, pattern, context.workspace, context.home)


def _deny(path: str, why: str) -> Verdict:
    return Verdict(verdict="deny", rule=RULE, why=f"{path}: {why}")
