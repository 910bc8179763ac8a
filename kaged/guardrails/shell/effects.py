"""What known commands read, write, take away and reach. Pure.

A program that is not known here does anything: it is not harmless, and every word of it that looks like a path is
`mentioned`. Harmless is only what is on the list of programs that read, without the options that make them write.
Paths are normal ones; a target that cannot be known is in `lost` with its text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from kaged.domain.frozen import frozen
from kaged.guardrails.paths import glob_root, has_glob, normal
from kaged.guardrails.shell.git import git_harmless, git_hosts, git_targets
from kaged.guardrails.shell.script import Command
from kaged.guardrails.shell.unwrap import SHELLS, find_roots, host_at
from kaged.guardrails.shell.words import UNKNOWN, Word

_SINKS: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})


@frozen
class Effects:
    """See the module. `recursive`: whole trees are written or taken away."""

    writes: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # texts of words that name what is written or taken away, and are not known
    hosts: tuple[str, ...] = ()
    recursive: bool = False
    harmless: bool = False


# --- programs that only read, and the options with which they do more ------------------------------------------

_READERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("ls", "cat", "head", "tail", "wc", "pwd", "echo", "printf", "which", "whereis", "type", "stat"),
                *("readlink", "realpath", "dirname", "basename", "cut", "tr", "comm", "join", "paste", "nl", "od"),
                *("strings", "cmp", "true", "false", "test", "[", "[[", ":", "id", "whoami", "uname", "groups"),
                *("uptime", "free", "ps", "pgrep", "tac", "rev", "expr", "seq", "sleep", "column", "fold", "nproc"),
                *("md5sum", "sha1sum", "sha256sum", "sha512sum", "b2sum", "cksum", "grep", "egrep", "fgrep", "zgrep"),
                *("zcat", "jq", "locale", "getconf", "arch", "lsb_release", "tty", "cd", "pushd", "popd", "dirs"),
                *("export", "set", "unset", "shopt", "local", "declare", "readonly", "typeset", "read", "return"),
                *("exit", "break", "continue", "shift", "wait", "jobs", "hash", "help", "let", "getopts", "umask"),
                *("command", "printenv", "lsof", "df", "du", "base64", "colordiff", "look", "tsort", "numfmt"),
            ),
            (),
        ),
        "rg": ("--pre", "--hostname-bin"),
        "ag": ("--pager",),
        "find": ("-delete", "-fprint", "-fprint0", "-fprintf", "-fls"),
        "fd": (),
        "sort": ("-o", "--output", "--compress-program"),
        "tree": ("-o",),
        "uniq": (),
        "file": ("-C", "--compile"),
        "date": ("-s", "--set"),
        "diff": ("--output",),
        "env": (),
        "xargs": (),
        "timeout": (),
        "time": ("-o", "--output"),
        "eval": (),
        "exec": (),
        "builtin": (),
        "trap": (),
        "nice": (),
        "nohup": (),
        "stdbuf": (),
        "watch": (),
    }
)  # fmt: skip
_SED_READS: Final = re.compile(r"(\d+|\$)?(,(\d+|\$|\+\d+))?!?[pdq=]|s(.)((?!\4).)*\4((?!\4).)*\4[gpiI0-9]*")
_HOST_LIKE: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@\s\"'`]*@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)")
_OPTION_PATH: Final = re.compile(r"^-[A-Za-z](?=[/~.])(.+)$")
_JOINTS: Final = re.compile(r"[=:,@]+")


def effects_of(command: Command, home: str) -> Effects:
    """What one command does, by what is known of its program. Never raises."""
    found = _Found(command, home)
    if command.remote:
        return Effects(hosts=found.hosts())
    name = command.name
    handler = _HANDLERS.get(name)
    harmless = False
    if handler is not None:
        handler(found, list(command.words[1:]))
    elif name == "git":
        harmless = git_harmless(command)
        for word in git_targets(command):
            found.write(word)
    elif name == "sed":
        harmless = _sed(found)
    elif name in ("find", "gfind"):
        _find(found, list(command.words[1:]))
        harmless = _only_reads(command)
    elif name in SHELLS:
        harmless = _flag(list(command.words[1:]), "c") or command.stdin == "text"  # what it runs is found by itself
    else:
        harmless = _only_reads(command)
    for redirect in command.redirects:
        if redirect.kind == "write":
            found.write(redirect.word)
        else:
            found.mention(redirect.word)
    written = bool(found.writes or found.deletes or found.lost)
    for word in command.words[1:]:
        found.mention(word)
    return Effects(
        writes=tuple(dict.fromkeys(found.writes)),
        deletes=tuple(dict.fromkeys(found.deletes)),
        mentions=tuple(dict.fromkeys(found.mentions)),
        lost=tuple(dict.fromkeys(found.lost)),
        hosts=found.hosts(),
        recursive=found.recursive,
        harmless=harmless and not written,
    )


class _Found:
    """Paths found so far."""

    def __init__(self, command: Command, home: str) -> None:
        self.command = command
        self.home = home
        self.writes: list[str] = []
        self.deletes: list[str] = []
        self.mentions: list[str] = []
        self.lost: list[str] = []
        self.recursive = False

    def paths(self, word: Word) -> tuple[str, ...]:
        """Where a word may point to; empty when it cannot be known."""
        if not word.exact and UNKNOWN in word.text:
            return ()  # also behind a known beginning: what follows may hold `..`
        if word.text.startswith("/"):
            return (normal(word.text),)
        return tuple(normal(word.text, folder, self.home if not word.quoted else "") for folder in self.command.folders)

    def write(self, word: Word) -> None:
        self._keep(word, self.writes)

    def delete(self, word: Word) -> None:
        self._keep(word, self.deletes)

    def _keep(self, word: Word, into: list[str]) -> None:
        if word.exact and word.text in _SINKS:
            return
        found = self.paths(word)
        if found:
            into += found
        else:
            self.lost.append(word.text)

    def mention(self, word: Word) -> None:
        """A word that may be a path, or has one in it."""
        if not word.text or word.text == UNKNOWN:
            return
        pieces = [word.text]
        if "://" not in word.text:  # --file=PATH, f=@PATH, PATH:PATH
            pieces += [piece for piece in _JOINTS.split(word.text)[1:] if piece[:1] in ("/", "~", ".")]
            pieces.append(_JOINTS.split(word.text)[0])
        if (option := _OPTION_PATH.match(word.text)) is not None:
            pieces.append(option.group(1))
        for piece in pieces:
            piece = piece.partition(UNKNOWN)[0] if UNKNOWN in piece else piece
            if piece and not piece.startswith("-") and "\n" not in piece and "://" not in piece and len(piece) < 4096:
                self.mentions += self.paths(Word(text=piece))

    def hosts(self) -> tuple[str, ...]:
        """Names of machines in the words."""
        command, names = self.command, []
        for word in (*command.words, command.stdin_text):
            names += _HOST_LIKE.findall(word.text)
        name = command.name
        words = command.words
        if name == "ssh" and (at := host_at(command)):
            names.append(_bare_host(words[at].text))
        elif name in ("scp", "sftp", "rsync"):
            for word in words[1:]:
                before, colon, _ = word.text.partition(":")
                if colon and "/" not in before and not word.text.startswith("-"):
                    names.append(_bare_host(before))
        elif name in ("nc", "ncat", "netcat", "telnet", "ftp", "socat", "ping", "dig", "nslookup", "host", "whois"):
            names += [_bare_host(word.text) for word in words[1:] if _BARE.fullmatch(word.text)]
        elif name in ("curl", "wget", "http", "https", "xh", "aria2c"):
            given = [word.text for word in words[1:] if "://" not in word.text and word.text[:1] not in "-./@"]
            names += [_bare_host(text.partition("/")[0]) for text in given if _BARE.match(text)]
        elif name == "git":
            names += git_hosts(command)
        if any(UNKNOWN in word.text for word in words) and name in NETWORK_PROGRAMS and not names:
            names.append(UNKNOWN)
        cleaned = [each.strip("[]").lower() for each in names]
        return tuple(dict.fromkeys(each for each in cleaned if each))


_BARE: Final = re.compile(r"(?:[\w.+-]+@)?(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+(?::\d+)?(?=$|/)|localhost(?::\d+)?(?=$|/)")
NETWORK_PROGRAMS: Final = frozenset(
    {"curl", "wget", "ssh", "scp", "sftp", "rsync", "nc", "ncat", "netcat", "telnet", "ftp", "socat", "http", "https",
     "xh", "aria2c"}
)  # fmt: skip


def _bare_host(text: str) -> str:
    host = text.rpartition("@")[2]
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _only_reads(command: Command) -> bool:
    name = command.name
    if name not in _READERS or ("/" in command.words[0].text and not command.words[0].text.startswith(_SYSTEM_FOLDERS)):
        return False
    if command.assigned:
        return False
    texts = [word.text for word in command.words[1:]]
    if name == "fd" and any(text in ("-x", "-X", "--exec", "--exec-batch") for text in texts):
        return True  # what it starts is a command of its own
    if name == "uniq" and len(_operands(list(command.words[1:]), ("-f", "-s", "-w"))) > 1:
        return False
    bad = _READERS[name]
    return not any(
        text == flag
        or text.startswith(flag + "=")
        or (len(flag) == 2 and text.startswith(flag) and flag[1] != "-" and not text.startswith("--"))
        or (len(flag) == 2 and flag[1].isalpha() and re.fullmatch(r"-[A-Za-z]+", text) and flag[1] in text)
        for text in texts
        for flag in bad
    ) and all(word.exact or not word.text.startswith((UNKNOWN, "-")) or not bad for word in command.words[1:])


_SYSTEM_FOLDERS: Final = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/")


# --- programs that write ---------------------------------------------------------------------------------------


def _operands(words: list[Word], values: tuple[str, ...] = ()) -> list[Word]:
    """Words that are no options and no values of options."""
    out: list[Word] = []
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            return out + words[at + 1 :]
        if text in values:
            at += 2
            continue
        if not text.startswith("-") or text == "-":
            out.append(words[at])
        at += 1
    return out


def _flag(words: list[Word], short: str, *long: str) -> bool:
    return any(
        word.text in long
        or (word.text.startswith("-") and not word.text.startswith("--") and short and short in word.text[1:])
        for word in words
    )


def _option(words: list[Word], *names: str) -> Iterator[Word]:
    """Values of an option, `-o X`, `-oX` and `--name=X`."""
    for at, word in enumerate(words):
        for name in names:
            if word.text == name and at + 1 < len(words):
                yield words[at + 1]
            elif name.startswith("--") and word.text.startswith(name + "="):
                yield Word(text=word.text[len(name) + 1 :], exact=word.exact)
            elif len(name) == 2 and word.text.startswith(name) and len(word.text) > 2 and word.text[1] != "-":
                yield Word(text=word.text[2:], exact=word.exact)


def _rm(found: _Found, words: list[Word]) -> None:
    found.recursive = _flag(words, "r", "--recursive") or _flag(words, "R")
    for word in _operands(words):
        found.delete(word)


def _shred(found: _Found, words: list[Word]) -> None:
    for word in _operands(words, ("-n", "-s")):
        found.delete(word)


def _mv(found: _Found, words: list[Word]) -> None:
    targets = list(_option(words, "-t", "--target-directory"))
    operands = _operands(words, ("-t", "-S"))
    for word in operands if targets else operands[:-1]:
        found.delete(word)
    for word in targets or operands[-1:]:
        found.write(word)
    found.recursive = True


def _copy(found: _Found, words: list[Word]) -> None:
    targets = list(_option(words, "-t", "--target-directory"))
    operands = _operands(words, ("-t", "-S", "-m", "-o", "-g", "-e", "--rsh", "--exclude", "--include", "-f"))
    if found.command.name == "install" and _flag(words, "d", "--directory"):
        targets = operands
    for word in targets or operands[-1:]:
        if found.command.name not in ("rsync", "scp") or not re.match(r"[^/]*:", word.text):
            found.write(word)
    if any(word.text.startswith("--delete") for word in words):
        found.recursive = True
        for word in operands[-1:]:
            found.delete(word)
    if any(word.text == "--remove-source-files" for word in words):
        for word in operands[:-1]:
            found.delete(word)


def _link(found: _Found, words: list[Word]) -> None:
    """A link writes its name, and what it points to is as good as written once it is there."""
    operands = _operands(words, ("-t", "-S"))
    for word in operands if len(operands) != 1 else ():
        found.write(word)
    for word in _option(words, "-t", "--target-directory"):
        found.write(word)


def _all_written(found: _Found, words: list[Word]) -> None:
    for word in _operands(words, ("-m", "--mode", "-s", "-r", "-d", "-t", "--reference", "--size", "--date")):
        found.write(word)


def _after_first(found: _Found, words: list[Word]) -> None:
    """chmod MODE FILES, chown OWNER FILES"""
    found.recursive = _flag(words, "R", "--recursive")
    operands = [word for word in words if not word.text.startswith("-") or "=" in word.text[:3]]
    skip = 0 if any(word.text.startswith("--reference") for word in words) else 1
    for word in operands[skip:]:
        found.write(word)


def _dd(found: _Found, words: list[Word]) -> None:
    for word in words:
        if word.text.startswith("of="):
            found.write(Word(text=word.text[3:], exact=word.exact))
        elif not word.exact:
            found.lost.append(word.text)


def _tee(found: _Found, words: list[Word]) -> None:
    for word in _operands(words):
        found.write(word)


def _find(found: _Found, words: list[Word]) -> None:
    roots = find_roots(found.command)
    texts = [word.text for word in words]
    if "-delete" in texts:
        found.recursive = True
        named = [word.text for word in _option(words, "-name") if word.exact and "/" not in word.text]
        below = f"/**/{named[0]}" if len(named) == 1 and not {"-o", "-or", ","} & set(texts) else "/**"
        for root in roots:
            found.delete(Word(text=root.text.rstrip("/") + below, exact=root.exact, glob=True))
    for word in _option(words, "-fprint", "-fprint0", "-fprintf", "-fls"):
        found.write(word)


def _download(found: _Found, words: list[Word]) -> None:
    """curl and wget: what they save, where that is said; else a name of theirs in the working directory."""
    name = found.command.name
    wanted = ("-o", "--output", "--output-dir", "-c", "--cookie-jar", "-D", "--dump-header", "--trace")
    if name == "wget":
        wanted = ("-O", "--output-document", "-P", "--directory-prefix", "-o", "--output-file", "-a", "--append-output")
    for word in _option(words, *wanted):
        if word.text != "-":
            found.write(word)
    if name == "wget" and not any(True for _ in _option(words, "-O", "-P", "--output-document")):
        found.write(Word(text="."))
    if name == "curl" and _flag([w for w in words if not w.text.startswith("--")], "O", "--remote-name"):
        found.write(Word(text="."))


def _archive(found: _Found, words: list[Word]) -> None:
    name, texts = found.command.name, [word.text for word in words]
    if name == "tar":
        mode = texts[0].lstrip("-") if texts else ""
        extracts = "x" in mode if not mode.startswith("-") else False
        extracts = extracts or _flag(words, "x", "--extract", "--get")
        where = list(_option(words, "-C", "--directory"))
        if extracts or any(
            text.startswith(("--to-command", "--checkpoint-action", "-I", "--use-compress")) for text in texts
        ):
            for word in where or [Word(text=".")]:
                found.write(word)
            if any(text in ("-P", "--absolute-names") for text in texts):
                found.lost.append("tar --absolute-names")
            if any(text.startswith(("--to-command", "--checkpoint-action")) for text in texts):
                found.lost.append("a program that tar starts")
        else:
            for word in _option(words, "-f", "--file"):
                found.write(word)
            if mode and "f" in mode and "c" in mode and len(words) > 1:
                found.write(words[1])
            if any(text == "--remove-files" for text in texts):
                found.lost.append("tar --remove-files")
    else:
        wanted = {"unzip": ("-d",), "7z": ("-o",), "bsdtar": ("-C",), "cpio": ("-D",)}.get(name, ())
        for word in list(_option(words, *wanted)) or [Word(text=".")]:
            found.write(word)


def _sed(found: _Found) -> bool:
    """True: it only reads."""
    words = list(found.command.words[1:])
    in_place = any(
        word.text.startswith(("-i", "--in-place")) or (re.fullmatch(r"-[nErsz]*i.*", word.text) is not None)
        for word in words
    )
    scripts = list(_option(words, "-e", "--expression"))
    operands = _operands(words, ("-e", "--expression", "-f", "--file", "-l"))
    if not scripts and not _flag(words, "f", "--file"):
        scripts, operands = operands[:1], operands[1:]
    if in_place:
        for word in operands:
            found.write(word)
    plain = all(word.exact and _SED_READS.fullmatch(word.text.strip()) for word in scripts)
    return not in_place and bool(scripts) and plain and not _flag(words, "f", "--file")


_HANDLERS: Final[Mapping[str, Callable[[_Found, list[Word]], None]]] = MappingProxyType(
    {
        "rm": _rm,
        "rmdir": _rm,
        "unlink": _rm,
        "trash": _rm,
        "rimraf": _rm,
        "shred": _shred,
        "wipe": _shred,
        "srm": _shred,
        "mv": _mv,
        "rename": _mv,
        "cp": _copy,
        "gcp": _copy,
        "install": _copy,
        "rsync": _copy,
        "scp": _copy,
        "ln": _link,
        "link": _link,
        "touch": _all_written,
        "mkdir": _all_written,
        "mkfifo": _all_written,
        "mknod": _all_written,
        "truncate": _all_written,
        "chmod": _after_first,
        "chown": _after_first,
        "chgrp": _after_first,
        "chattr": _after_first,
        "setfacl": _after_first,
        "dd": _dd,
        "tee": _tee,
        "sponge": _tee,
        "curl": _download,
        "wget": _download,
        "tar": _archive,
        "bsdtar": _archive,
        "unzip": _archive,
        "7z": _archive,
        "cpio": _archive,
    }
)


def outside_of(path: str) -> str:
    """The folder that a path, or everything that a pattern fits, lies in."""
    return glob_root(path) if has_glob(path) else path


def host_of(url: str) -> str:
    """The machine in a URL, in small letters; empty when there is none."""
    found = _HOST_LIKE.search(url)
    if found is not None:
        return found.group(1).strip("[]").lower()
    return _bare_host(url.partition("/")[0]).lower() if _BARE.match(url) else ""
