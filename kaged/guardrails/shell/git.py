"""What lines of git do to history and to other machines. Pure.

`history` says whether a commit, a branch or a remote changes: what `--approve on-commit` is about. A subcommand that
git does not have is an alias, and an alias can be anything: it counts as unknown.
"""

import re
from collections.abc import Iterator
from typing import Final

from kaged.domain.frozen import frozen
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import UNKNOWN, Word, words_in

_GLOBAL_VALUES: Final = ("-c", "-C", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env")
_READS: Final = words_in(
    """
    annotate blame cat-file check-attr check-ignore check-mailmap check-ref-format cherry count-objects
    describe diff diff-files diff-index diff-tree for-each-ref for-each-repo fsck get-tar-commit-id grep help
    log ls-files ls-remote ls-tree merge-base merge-tree name-rev patch-id range-diff rev-list rev-parse
    shortlog show show-branch show-index show-ref status var verify-commit verify-pack verify-tag version
    whatchanged
    """
)
_HISTORY: Final = words_in(
    """
    am cherry-pick commit fast-import filter-branch filter-repo merge pull push rebase replace revert
    send-pack subtree svn tag update-ref symbolic-ref notes send-email request-pull receive-pack http-push p4
    citool cvsimport gui quiltimport reset branch switch-c
    """
)
_WORK: Final = words_in(
    """
    add apply archive backfill bisect bugreport bundle checkout checkout-index clean clone column commit-graph
    commit-tree config credential difftool diagnose fetch fmt-merge-msg format-patch gc hash-object hook
    index-pack init interpret-trailers lfs maintenance mailinfo mailsplit mergetool mktag mktree
    multi-pack-index mv pack-objects pack-redundant pack-refs prune prune-packed read-tree reflog refs remote
    repack rerere restore rm scalar sh-setup sparse-checkout stash stripspace submodule switch unpack-file
    unpack-objects update-index update-server-info worktree write-tree whatchanged instaweb daemon shell
    upload-pack upload-archive
    """
)


@frozen
class Git:
    """One line of git. `verb` empty: it asks for nothing, or what it does is not known (`known` false)."""

    verb: str = ""
    arguments: tuple[Word, ...] = ()
    configured: tuple[str, ...] = ()  # keys that `-c` sets
    known: bool = True


def git_line(command: Command) -> Git:
    """The subcommand and its arguments."""
    at, words, configured = 1, command.words, []
    while at < len(words):
        text = words[at].text
        if not words[at].exact:
            return Git(known=False)
        if text in _GLOBAL_VALUES:
            if text == "-c" and at + 1 < len(words):
                configured.append(words[at + 1].text.partition("=")[0].lower())
            at += 2
        elif text.startswith("-"):
            at += 1
        else:
            known = text in _READS or text in _HISTORY or text in _WORK
            return Git(verb=text, arguments=words[at + 1 :], configured=tuple(configured), known=known)
    return Git(configured=tuple(configured))


def git_harmless(command: Command) -> bool:
    """Whether it only shows something."""
    line = git_line(command)
    texts = [word.text for word in line.arguments]
    if line.configured or not line.known or not all(word.exact for word in line.arguments):
        return False
    if any(text.startswith(("--output", "--ext-diff", "-O", "--open-files", "--textconv")) for text in texts):
        return False
    plain = [text for text in texts if not text.startswith("-")]
    match line.verb:
        case "":
            return True
        case "branch":
            return not plain and all(text in _BRANCH_SHOWS for text in texts)
        case "tag":
            return not texts or texts[0] in ("-l", "--list", "-n")
        case "remote":
            return texts in ([], ["-v"]) or texts[:1] in (["show"], ["get-url"])
        case "stash":
            return texts[:1] in (["list"], ["show"])
        case "config":
            return texts[:1] in (["--get"], ["--list"], ["-l"], ["--get-all"], ["list"], ["get"])
        case "worktree" | "submodule" | "bisect" | "reflog" | "notes" | "lfs":
            return texts[:1] in (["list"], ["status"], ["log"], ["show"], ["ls-files"]) or (
                line.verb == "reflog" and not texts
            )
        case _:
            return line.verb in _READS


_BRANCH_MOVES: Final = frozenset({"--force", "--delete", "--move", "--copy"})
_BRANCH_SHOWS: Final = frozenset(
    {"-a", "-r", "-v", "-vv", "--all", "--list", "--show-current", "--verbose", "--remotes"}
)


def history_change(command: Command) -> str:
    """How a line changes commits, branches or a remote, as one word; empty: not at all."""
    line = git_line(command)
    texts = [word.text for word in line.arguments]
    if not line.known:
        return line.verb or "git"
    if git_harmless(command):
        return ""
    match line.verb:
        case "reset":
            soft = [text for text in texts if not text.startswith("-") and text != "HEAD"]
            return "reset" if (soft and "--" not in texts) or _mode(texts) else ""
        case "branch":
            return (
                "branch" if any(text in _BRANCH_MOVES or re.match(r"-[a-z]*[dDmMfcC]", text) for text in texts) else ""
            )
        case "commit-tree" | "stash":
            return ""
        case "checkout":
            return "checkout" if any(text in ("-B", "--orphan") for text in texts) else ""
        case "switch":
            return "switch" if any(text in ("-C", "--force-create", "--orphan") for text in texts) else ""
        case "worktree":
            return "worktree" if any(text == "-B" for text in texts) else ""
        case "reflog":
            return "reflog" if texts[:1] in (["expire"], ["delete"]) else ""
        case "fetch":
            return "fetch" if any(":" in text and "://" not in text and "@" not in text for text in texts) else ""
        case "hook" | "refs":
            return line.verb
        case _:
            return line.verb if line.verb in _HISTORY else ""


def _mode(texts: list[str]) -> bool:
    return any(text in ("--hard", "--soft", "--mixed", "--merge", "--keep") for text in texts) and any(
        not text.startswith("-") and text != "HEAD" for text in texts
    )


def danger(command: Command) -> tuple[str, str]:
    """(name, why) of what a line of git does that cannot be taken back; empty texts: nothing."""
    line = git_line(command)
    texts = [word.text for word in line.arguments]
    flags = [text for text in texts if text.startswith("-")]
    match line.verb:
        case "push":
            if any(_FORCE.match(text) for text in flags) or any(
                text.startswith("+") or re.match(r"^:[^/:]", text) for text in texts if not text.startswith("-")
            ):
                return "force-push", "it overwrites or takes away what is on the remote"
            if not all(word.exact for word in line.arguments):
                return "force-push", "what it pushes is not known, it may overwrite the remote"
        case "filter-branch" | "filter-repo" | "fast-import" | "replace":
            return "history-rewrite", f"git {line.verb} writes history anew"
        case "rebase" if not any(flag in ("--abort", "--quit", "--show-current-patch") for flag in flags):
            return "history-rewrite", "a rebase writes history anew"
        case "commit" if "--amend" in flags:
            return "history-rewrite", "--amend writes the last commit anew"
        case "reset" if "--hard" in flags:
            return "discard-work", "a hard reset throws away what was not committed"
        case "clean" if any("f" in flag for flag in flags if not flag.startswith("--")) or "--force" in flags:
            return "discard-work", "git clean takes away files that git does not have"
        case "checkout" | "restore" if _discards(line.verb, texts):
            return "discard-work", "it throws away what was not committed"
        case "branch" if any(flag in ("-D", "-M", "-C") or flag == "--force" for flag in flags) or (
            "-f" in flags or ("--delete" in flags and "--force" in flags)
        ):
            return "history-rewrite", "it takes a branch away, or moves it, whatever is lost with it"
        case "update-ref" | "symbolic-ref":
            return "history-rewrite", "it moves a branch by hand"
        case "reflog" if texts[:1] in (["expire"], ["delete"]):
            return "history-rewrite", "what the reflog forgets cannot be brought back"
        case "gc" | "prune" if any(flag.startswith("--prune") for flag in flags) or line.verb == "prune":
            return "history-rewrite", "what is pruned cannot be brought back"
        case "stash" if texts[:1] in (["drop"], ["clear"]):
            return "discard-work", "a stash that is dropped is gone"
        case "worktree" if texts[:1] == ["remove"] and any(flag in ("-f", "--force", "-ff") for flag in flags):
            return "discard-work", "it takes away a folder with what was not committed in it"
        case "config" | "remote" if _hooks(texts):
            return "git-config", "it changes what git runs of itself"
        case _:
            pass
    return "", ""


_FORCE: Final = re.compile(r"--(force|mirror|delete|prune)|-[a-z]*[fd][a-z]*$")


def _discards(verb: str, texts: list[str]) -> bool:
    if verb == "restore":
        return "--staged" not in texts and "-S" not in texts
    return "-f" in texts or "--force" in texts or texts[-1:] == ["."] or "--" in texts


def _hooks(texts: list[str]) -> bool:
    return any(
        re.search(
            r"core\.(hookspath|sshcommand|fsmonitor|editor|pager|askpass)|^alias\.|filter\.|credential\.", text.lower()
        )
        for text in texts
    )


def git_targets(command: Command) -> Iterator[Word]:
    """Files and folders that a line writes besides the working tree."""
    line = git_line(command)
    operands = [word for word in line.arguments if not word.text.startswith("-")]
    if line.verb == "clone":
        yield operands[1] if len(operands) > 1 else Word(text=".")
    elif line.verb == "worktree" and operands and operands[0].text in ("add", "move", "remove"):
        yield from operands[1:2] if operands[0].text != "move" else operands[1:3]
    elif line.verb == "init":
        yield operands[0] if operands else Word(text=".")
    elif line.verb in ("rm", "mv", "clean"):
        yield from operands or (Word(text="."),)
    for at, word in enumerate(line.arguments):
        if word.text.startswith("--output="):
            yield Word(text=word.text.partition("=")[2], exact=word.exact)
        elif word.text in ("-o", "--output", "--output-directory") and at + 1 < len(line.arguments):
            yield line.arguments[at + 1]
    for at, word in enumerate(command.words[1:], 1):
        if word.text == "-C" and at + 1 < len(command.words) and line.verb not in _READS:
            yield command.words[at + 1]
        elif word.text.startswith(("--git-dir=", "--work-tree=")) and line.verb not in _READS:
            yield Word(text=word.text.partition("=")[2], exact=word.exact)


_REMOTE: Final = re.compile(r"^(?:[\w.+-]+@)?([A-Za-z0-9.-]+\.[A-Za-z0-9-]+):(?!//)")


def git_hosts(command: Command) -> list[str]:
    """Hosts in the short form `user@host:path`."""
    found = [match.group(1) for word in command.words if (match := _REMOTE.match(word.text))]
    line = git_line(command)
    if not found and line.verb in ("push", "pull", "fetch", "clone") and any(UNKNOWN in w.text for w in line.arguments):
        found.append(UNKNOWN)
    return found
