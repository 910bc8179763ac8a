"""What is said of a place where an agent works: the plan, what was made, what was kept, what changed. Pure.

Paths are texts as `os.fsdecode` gives them. Not here: how a place is made (`kaged/workspace`), when (`runtime`), the
wish itself (`place_spec`).
"""

from collections.abc import Sequence
from typing import Literal

from kaged.domain.errors import Broken, Invalid, Precondition
from kaged.domain.frozen import frozen
from kaged.domain.place_spec import WorkspaceKind

MergeMode = Literal["auto", "ff", "commit", "squash"]
MergeKind = Literal["nothing", "fast_forward", "merge", "squash"]


@frozen
class Plan:
    """What is to be made: recorded before anything is, so that a crash in between is met by doing it again.

    `path`: the root of the place; `cwd`: where runs start, inside of it. Of `kind` "here" both are the user's own
    folder. `git_dir` is what all worktrees of a repository share; empty: no repository. `base` is the branch that
    the work is for (empty: a commit without a name), `base_commit` what it is compared with, `start_commit` where
    the branch begins. `fresh`: the branch is the agent's own and was not there.
    """

    kind: WorkspaceKind
    path: str
    cwd: str
    repository: str = ""
    git_dir: str = ""
    branch: str = ""
    base: str = ""
    base_commit: str = ""
    start_commit: str = ""
    fresh: bool = False


@frozen
class Made:
    """What making it came to. `note`: for people, such as what setup printed at its end."""

    copied: int = 0
    note: str = ""


@frozen
class Snapshot:
    """All files of a place at a moment, kept under a ref. `repository`: which git directory has it.

    `unkept`: paths that could not be read or are neither files, links nor folders.
    """

    repository: str
    ref: str
    number: int
    commit: str
    tree: str
    files: int
    nested: tuple[str, ...] = ()
    unkept: tuple[str, ...] = ()


@frozen
class KeptSnapshot:
    """A snapshot as its repository has it. `why`: the first line of its message; times in seconds since 1970."""

    number: int
    ref: str
    commit: str
    taken_s: int
    why: str


@frozen
class Change:
    """One file that differs. `status`: `added`, `modified`, `deleted`, `renamed` or `type`; -1: binary."""

    path: str
    status: str
    old_path: str = ""
    added: int = 0
    removed: int = 0


@frozen
class Difference:
    """A place against its base. `patch` is cut at `truncated`; `left_out`: repositories in the place, not compared."""

    base_commit: str
    head_commit: str
    changes: tuple[Change, ...] = ()
    patch: bytes = b""
    truncated: bool = False
    commits: int = 0
    uncommitted: int = 0
    left_out: tuple[str, ...] = ()


@frozen
class Merged:
    """What a merge did. `commit`: where `into` stands now; `included_uncommitted`: files that had no commit."""

    kind: MergeKind
    into: str
    commit: str
    before: str = ""
    included_uncommitted: int = 0
    left_out: tuple[str, ...] = ()


@frozen
class Removal:
    """What became of a place. `snapshot` None: all of it is in `branch` or in others. `kept_branch`: it stays."""

    snapshot: Snapshot | None = None
    kept_branch: str = ""
    note: str = ""


class WorkspaceRefused(Precondition):
    """The place cannot be made, or the question does not fit it, as things stand."""

    reason = "WORKSPACE_REFUSED"


class WorkspaceInvalid(Invalid):
    """The wish for a place names something that is not there."""

    reason = "WORKSPACE_INVALID"


class MergeConflict(Precondition):
    """Both sides changed the same lines. Nothing was changed."""

    reason = "MERGE_CONFLICT"

    def __init__(self, into: str, branch: str, files: Sequence[str]) -> None:
        shown = ", ".join(files[:10]) + (f" and {len(files) - 10} more" if len(files) > 10 else "")
        super().__init__(
            f"{branch} and {into} changed the same lines of {shown}; nothing was changed",
            hint=f"merge {into} into the agent's branch first (the agent can do it), then merge again",
            into=into,
            files="\n".join(files),
        )
        self.files = tuple(files)


class GitFailed(Broken):
    """git ended with an error that is none of the expected ones."""

    reason = "GIT_FAILED"

    def __init__(self, words: Sequence[str], code: int, said: str) -> None:
        super().__init__(
            f"git {' '.join(words[:3])} failed ({code}): {said or 'it said nothing'}",
            hint="run it by hand in the repository; the message is git's own",
            exit_code=code,
        )
        self.said = said
        self.code = code


class HookFailed(Broken):
    """The setup line of a workspace failed, took too long or was cancelled."""

    reason = "WORKSPACE_HOOK_FAILED"

    def __init__(self, name: str, why: str, output: str) -> None:
        super().__init__(
            f"{name} {why}" + (f":\n{output}" if output else ""),
            hint=f"the workspace stays; correct the {name} line, or restart the agent to try again",
        )
        self.output = output


class Cancelled(Broken):
    """Whoever wanted it does not any more."""

    reason = "WORKSPACE_CANCELLED"

    def __init__(self) -> None:
        super().__init__("stopped while its workspace was made", hint="restart the agent to begin again")
