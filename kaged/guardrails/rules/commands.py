"""Dangerous commands: what cannot be taken back, what reaches beyond the workspace, what is a person's to do.

Each kind has a name (`kaged/guardrails/context.py: DANGERS`), under which a policy can say another verdict for it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kaged.guardrails.action import Action, Step
from kaged.guardrails.context import Context
from kaged.guardrails.paths import below, glob_root, has_glob
from kaged.guardrails.rules.workspace import outside
from kaged.guardrails.shell.git import danger
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.words import words_in
from kaged.guardrails.shell.wrappers import PRIVILEGE
from kaged.guardrails.verdict import PASS, Verdict, strictest

Found = tuple[str, str]  # (kind of danger, what it does)

_DISK: Final = re.compile(
    r"mkfs(\..*)?|mke2fs|mkswap|fdisk|sfdisk|cfdisk|gdisk|sgdisk|parted|wipefs|blkdiscard|cryptsetup|lvremove|vgremove"
    r"|pvremove|mdadm|zpool|zfs|btrfs|hdparm|nvme|diskutil|dmsetup|losetup|badblocks|swapoff|swapon|debugfs|tune2fs"
)
_DEVICE: Final = re.compile(r"/dev/(sd|hd|vd|xvd|nvme|mmcblk|disk|loop|md|dm-|mapper/|mem|kmem|port)")
_SYSTEM: Final = words_in(
    """
    shutdown reboot halt poweroff init telinit kexec insmod rmmod modprobe sysctl iptables ip6tables nft ufw
    firewall-cmd useradd userdel usermod groupadd groupdel passwd chpasswd visudo mount umount setenforce
    crontab at batch update-grub grub-install efibootmgr launchctl systemd-run hostnamectl timedatectl
    loginctl chsh
    """
)
_SERVICES: Final = frozenset({"systemctl", "service", "rc-service", "initctl"})
_SERVICE_SHOWS: Final = words_in(
    """
    status show list-units list-unit-files list-timers is-active is-enabled cat
    """
)
_PUBLISH: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "npm": ("publish", "unpublish", "deprecate", "dist-tag", "owner", "access", "token", "adduser", "login"),
        "pnpm": ("publish",),
        "yarn": ("publish", "npm publish"),
        "bun": ("publish",),
        "lerna": ("publish",),
        "twine": ("upload",),
        "poetry": ("publish",),
        "uv": ("publish",),
        "hatch": ("publish",),
        "flit": ("publish",),
        "pdm": ("publish",),
        "cargo": ("publish", "yank", "owner", "login"),
        "gem": ("push", "yank", "owner"),
        "docker": ("push", "login", "image push", "buildx imagetools"),
        "podman": ("push", "login", "image push"),
        "buildah": ("push",),
        "skopeo": ("copy", "delete", "sync"),
        "helm": ("push", "upgrade", "install", "uninstall", "delete", "rollback"),
        "gh": ("release create", "release upload", "release delete", "repo delete", "repo create", "secret set",
               "workflow run", "auth login", "auth token", "pr merge"),
        "glab": ("release create", "repo delete"),
        "mvn": ("deploy", "release:perform"),
        "gradle": ("publish",),
        "dotnet": ("nuget push",),
        "nuget": ("push",),
        "pod": ("trunk",),
        "vsce": ("publish",),
        "conda": ("upload",),
        "anaconda": ("upload",),
        "fastlane": ("",),
        "goreleaser": ("release",),
        "vercel": ("deploy", "--prod"),
        "netlify": ("deploy",),
        "firebase": ("deploy",),
        "wrangler": ("deploy", "publish"),
        "fly": ("deploy",),
        "flyctl": ("deploy",),
        "heroku": ("",),
        "serverless": ("deploy", "remove"),
    }
)  # fmt: skip
_INFRASTRUCTURE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "terraform": ("apply", "destroy", "import", "taint", "state", "force-unlock"),
        "tofu": ("apply", "destroy", "import", "taint", "state", "force-unlock"),
        "pulumi": ("up", "destroy", "refresh", "import", "cancel"),
        "kubectl": (
            *("delete", "apply", "create", "replace", "patch", "edit", "scale", "drain", "cordon", "exec", "rollout"),
        ),
        "oc": ("delete", "apply", "create", "replace", "patch", "edit", "scale", "exec"),
        "ansible-playbook": ("",),
        "ansible": ("",),
        "aws": ("",),
        "gcloud": ("",),
        "az": ("",),
        "doctl": ("",),
        "dropdb": ("",),
        "redis-cli": ("flushall", "flushdb", "FLUSHALL", "FLUSHDB", "shutdown"),
    }
)  # fmt: skip
_SHOWS: Final = re.compile(r"^(describe|list|get|ls|show|help|version|--version|--help)")
_SQL: Final = re.compile(r"\b(drop\s+(table|database|schema)|truncate\s+|delete\s+from|alter\s+table)\b", re.IGNORECASE)
_DATABASES: Final = frozenset(
    {"psql", "mysql", "mariadb", "sqlite3", "mongosh", "mongo", "clickhouse-client", "sqlcmd"}
)
_OWNER_READS: Final = frozenset({"version", "completion"})


def judge(action: Action, context: Context) -> Verdict:
    """The strictest verdict over all commands of a line."""
    return strictest(_verdicts(action, context))


def _verdicts(action: Action, context: Context) -> Iterator[Verdict]:
    for step in action.steps:
        for look in _LOOKS:
            kind, why = look(step, context)
            word = context.policy.dangers.get(kind, "allow") if kind else "allow"
            if word != "allow":
                shown = step.command.text.replace("\ufffd", "…")
                yield Verdict(verdict=word, rule=f"commands.{kind}", why=f"{why}: {shown[:120]}")
    if action.kind == "delete" and any(_whole(path, context) for path in action.paths):
        yield Verdict(verdict=context.policy.dangers.get("recursive-delete", "deny"), rule="commands.recursive-delete",
                      why="it takes the workspace itself away")  # fmt: skip
    yield PASS


def _whole(path: str, context: Context) -> bool:
    return path == context.workspace or below(context.workspace, path)


_DESTROYERS: Final = words_in("rm rmdir unlink shred dd truncate mv find rsync chmod chown kill pkill killall")


def _deletes(step: Step, context: Context) -> Found:
    effects = step.effects
    if step.command.remote and step.command.name in _DESTROYERS:
        return "infrastructure", "it changes another machine"
    for path in effects.deletes if effects.recursive else ():
        root = glob_root(path) if has_glob(path) else path
        if _whole(root, context) and not (has_glob(path) and root == context.workspace):
            return "recursive-delete", f"it takes {path} away, with the workspace in it"
        if outside(path, context) and not root.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108  a name, not a file
            return "recursive-delete", f"it takes {path} away, outside of the workspace"
    everything = tuple(f"{context.workspace}/{pattern}" for pattern in ("*", "**"))
    if effects.recursive and any(path in everything for path in effects.deletes):
        return "discard-work", "it takes all of the workspace away"
    if effects.recursive and effects.lost and step.command.name in ("rm", "shred", "find", "rimraf", "srm"):
        return "recursive-delete", "what it takes away is not known"
    return "", ""


def _disks(step: Step, context: Context) -> Found:
    command = step.command
    if _DISK.fullmatch(command.name) and not _asks_only(command):
        return "disk", f"{command.name} changes disks or file systems"
    for path in (*step.effects.writes, *step.effects.deletes):
        if _DEVICE.match(path):
            return "disk", f"it writes to {path}"
    return "", ""


def _asks_only(command: Command) -> bool:
    texts = {word.text for word in command.words[1:]}
    return bool(texts & {"--help", "-h", "--version", "-V", "list", "status", "get", "-l", "--list", "show"})


def _privilege(step: Step, context: Context) -> Found:
    command = step.command
    name, texts = command.name, [word.text for word in command.words[1:]]
    if name in PRIVILEGE:
        return "privilege", f"{name} gives it another user's rights"
    if name == "chmod" and any(re.fullmatch(r"[0-7]?[4267][0-7]{3}|[ugoa]*\+[rwxXt]*s.*", text) for text in texts):
        return "privilege", "it sets a setuid or setgid bit"
    if name in ("chown", "chgrp") and any(text.partition(":")[0] == "root" for text in texts):
        return "privilege", "it gives files to root"
    if name == "setcap":
        return "privilege", "it gives a program capabilities"
    if name in ("docker", "podman", "nerdctl") and any(_container(text, texts) for text in texts):
        return "privilege", "a container with the rights of the machine"
    if name in ("nsenter", "unshare", "chroot"):
        return "privilege", f"{name} leaves what it runs in"
    return "", ""


def _container(text: str, texts: list[str]) -> bool:
    if text in ("--privileged", "--pid=host", "--net=host", "--network=host", "--ipc=host", "--userns=host"):
        return True
    at = texts.index(text)
    value = texts[at + 1] if text in ("-v", "--volume", "--mount") and at + 1 < len(texts) else text
    value = value.removeprefix("--volume=").removeprefix("-v").removeprefix("--mount=")
    return re.match(
        r"(/|/etc|/root|/home|/var/run/docker\.sock|/var|/usr|/proc|/sys|/dev)(:|$)", value
    ) is not None or ("docker.sock" in value)


def _publishes(step: Step, context: Context) -> Found:
    return _verbs(step.command, _PUBLISH, "publish", "it puts something before the world")


def _infrastructure(step: Step, context: Context) -> Found:
    command = step.command
    found = _verbs(command, _INFRASTRUCTURE, "infrastructure", "it changes what runs elsewhere")
    if found[0] and command.name in ("aws", "gcloud", "az", "doctl"):
        words = [word.text for word in command.words[1:] if not word.text.startswith("-")]
        if any(_SHOWS.match(text) for text in words[1:4]) or not words:
            return "", ""
    if command.name in _DATABASES and any(_SQL.search(word.text) for word in (*command.words, command.stdin_text)):
        return "infrastructure", "it takes data out of a database"
    return found


def _verbs(command: Command, table: Mapping[str, tuple[str, ...]], kind: str, why: str) -> Found:
    name, texts = command.name, [word.text for word in command.words[1:]]
    if name in ("npx", "bunx", "pnpx", "pipx") and texts:
        texts = [text for text in texts if text not in ("run", "-y", "--yes")]
        name, texts = (texts[0].partition("@")[0], texts[1:]) if texts else ("", [])
    elif re.fullmatch(r"python[\d.]*", name) and texts[:1] == ["-m"] and len(texts) > 1:
        name, texts = texts[1], texts[2:]
    elif name in ("gradlew", "mvnw"):
        name = {"gradlew": "gradle", "mvnw": "mvn"}[name]
    verbs = table.get(name)
    if verbs is None or any(text in ("--dry-run", "--help", "-h", "--version") for text in texts):
        return "", ""
    plain = [text for text in texts if not text.startswith("-")]
    joined = " ".join(plain)
    for verb in verbs:
        if not verb and plain:
            return kind, why
        if verb and (joined == verb or joined.startswith(verb + " ") or verb in plain[:3] or verb in texts[:2]):
            return kind, why
    return "", ""


def _systems(step: Step, context: Context) -> Found:
    command = step.command
    name, texts = command.name, [word.text for word in command.words[1:]]
    if name in _SYSTEM and not _asks_only(command) and (texts or name not in ("mount", "umount", "crontab")):
        return "system", f"{name} changes the machine"
    if name in _SERVICES:
        plain = [text for text in texts if not text.startswith("-")]
        if plain and not _SERVICE_SHOWS & set(plain):
            return "system", "it changes services of the machine"
    return "", ""


def _processes(step: Step, context: Context) -> Found:
    command = step.command
    name, texts = command.name, [word.text for word in command.words[1:]]
    if name in ("killall", "pkill", "killall5", "skill", "xkill"):
        return "processes", "it ends processes by their name, also those of others"
    if name == "kill" and texts[-1:] in (["-1"], ["0"], ["1"]):
        return "processes", "it ends every process that it can reach"
    if name == "fuser" and any(text.startswith("-") and "k" in text for text in texts):
        return "processes", "it ends the processes that use something"
    return "", ""


def _owner(step: Step, context: Context) -> Found:
    """kagectl inside a run acts as that agent; with another token or folder it would act as the owner."""
    command = step.command
    name, texts = command.name, [word.text for word in command.words[1:]]
    if re.fullmatch(r"python[\d.]*", name) and texts[:1] == ["-m"] and texts[1:2] in (["kaged"], ["kagectl"]):
        name, texts = texts[1], texts[2:]
    plain = [text for text in texts if not text.startswith("-")]
    if any(word.text.startswith(("KAGE_TOKEN", "KAGE_SOCKET", "KAGE_STATE")) for word in command.assigned):
        return "owner", "it talks to Kage as somebody else"
    if name == "kaged" and "--version" not in texts and "--help" not in texts:
        return "owner", "the daemon is the owner's"
    if name == "kagectl" and plain and plain[0] not in _OWNER_READS:
        if plain[0] in ("approval", "daemon", "fsck", "reindex", "config"):
            return "owner", f"kagectl {plain[0]} is the owner's"
        if any(text.startswith(("--socket", "--token", "--state-dir")) for text in texts):
            return "owner", "it talks to Kage as somebody else"
    return "", ""


def _git(step: Step, context: Context) -> Found:
    return danger(step.command) if step.command.name == "git" else ("", "")


_LOOKS: Final[tuple[Callable[[Step, Context], Found], ...]] = (
    *(_deletes, _disks, _owner, _git, _privilege, _publishes, _infrastructure, _systems, _processes),
)
