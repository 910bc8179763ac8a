"""Programs that write or take away, and what. Pure."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kaged.guardrails.shell.found import Found
from kaged.guardrails.shell.operands import find_roots
from kaged.guardrails.shell.options import has_flag, operands_of, values_of
from kaged.guardrails.shell.words import Word


def _rm(found: Found, words: list[Word]) -> None:
    found.recursive = has_flag(words, "r", "--recursive") or has_flag(words, "R")
    for word in operands_of(words):
        found.delete(word)


def _shred(found: Found, words: list[Word]) -> None:
    for word in operands_of(words, ("-n", "-s")):
        found.delete(word)


def _mv(found: Found, words: list[Word]) -> None:
    targets = list(values_of(words, "-t", "--target-directory"))
    operands = operands_of(words, ("-t", "-S"))
    for word in operands if targets else operands[:-1]:
        found.delete(word)
    for word in targets or operands[-1:]:
        found.write(word)
    found.recursive = True


def _copy(found: Found, words: list[Word]) -> None:
    targets = list(values_of(words, "-t", "--target-directory"))
    operands = operands_of(words, ("-t", "-S", "-m", "-o", "-g", "-e", "--rsh", "--exclude", "--include", "-f"))
    if found.command.name == "install" and has_flag(words, "d", "--directory"):
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


def _link(found: Found, words: list[Word]) -> None:
    """A link writes its name, and what it points to is as good as written once it is there."""
    operands = operands_of(words, ("-t", "-S"))
    for word in operands if len(operands) != 1 else ():
        found.write(word)
    for word in values_of(words, "-t", "--target-directory"):
        found.write(word)


def _all_written(found: Found, words: list[Word]) -> None:
    for word in operands_of(words, ("-m", "--mode", "-s", "-r", "-d", "-t", "--reference", "--size", "--date")):
        found.write(word)


def _after_first(found: Found, words: list[Word]) -> None:
    """chmod MODE FILES, chown OWNER FILES"""
    found.recursive = has_flag(words, "R", "--recursive")
    operands = [word for word in words if not word.text.startswith("-") or "=" in word.text[:3]]
    skip = 0 if any(word.text.startswith("--reference") for word in words) else 1
    for word in operands[skip:]:
        found.write(word)


def _dd(found: Found, words: list[Word]) -> None:
    for word in words:
        if word.text.startswith("of="):
            found.write(Word(text=word.text[3:], exact=word.exact))
        elif not word.exact:
            found.lost.append(word.text)


def _tee(found: Found, words: list[Word]) -> None:
    for word in operands_of(words):
        found.write(word)


def find_writes(found: Found, words: list[Word]) -> None:
    """What `find` takes away and writes by itself."""
    roots = find_roots(found.command)
    texts = [word.text for word in words]
    if "-delete" in texts:
        found.recursive = True
        named = [word.text for word in values_of(words, "-name") if word.exact and "/" not in word.text]
        below = f"/**/{named[0]}" if len(named) == 1 and not {"-o", "-or", ","} & set(texts) else "/**"
        for root in roots:
            found.delete(Word(text=root.text.rstrip("/") + below, exact=root.exact, glob=True))
    for word in values_of(words, "-fprint", "-fprint0", "-fprintf", "-fls"):
        found.write(word)


def _download(found: Found, words: list[Word]) -> None:
    """curl and wget: what they save, where that is said; else a name of theirs in the working directory."""
    name = found.command.name
    wanted = ("-o", "--output", "--output-dir", "-c", "--cookie-jar", "-D", "--dump-header", "--trace")
    if name == "wget":
        wanted = ("-O", "--output-document", "-P", "--directory-prefix", "-o", "--output-file", "-a", "--append-output")
    for word in values_of(words, *wanted):
        if word.text != "-":
            found.write(word)
    if name == "wget" and not any(True for _ in values_of(words, "-O", "-P", "--output-document")):
        found.write(Word(text="."))
    if name == "curl" and has_flag([w for w in words if not w.text.startswith("--")], "O", "--remote-name"):
        found.write(Word(text="."))


def _archive(found: Found, words: list[Word]) -> None:
    name, texts = found.command.name, [word.text for word in words]
    if name == "tar":
        mode = texts[0].lstrip("-") if texts else ""
        extracts = "x" in mode if not mode.startswith("-") else False
        extracts = extracts or has_flag(words, "x", "--extract", "--get")
        where = list(values_of(words, "-C", "--directory"))
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
            for word in values_of(words, "-f", "--file"):
                found.write(word)
            if mode and "f" in mode and "c" in mode and len(words) > 1:
                found.write(words[1])
            if any(text == "--remove-files" for text in texts):
                found.lost.append("tar --remove-files")
    else:
        wanted = {"unzip": ("-d",), "7z": ("-o",), "bsdtar": ("-C",), "cpio": ("-D",)}.get(name, ())
        for word in list(values_of(words, *wanted)) or [Word(text=".")]:
            found.write(word)


_SED_READS: Final = re.compile(r"(\d+|\$)?(,(\d+|\$|\+\d+))?!?[pdq=]|s(.)((?!\4).)*\4((?!\4).)*\4[gpiI0-9]*")


def sed_reads(found: Found) -> bool:
    """True: it only reads."""
    words = list(found.command.words[1:])
    in_place = any(
        word.text.startswith(("-i", "--in-place")) or (re.fullmatch(r"-[nErsz]*i.*", word.text) is not None)
        for word in words
    )
    scripts = list(values_of(words, "-e", "--expression"))
    operands = operands_of(words, ("-e", "--expression", "-f", "--file", "-l"))
    if not scripts and not has_flag(words, "f", "--file"):
        scripts, operands = operands[:1], operands[1:]
    if in_place:
        for word in operands:
            found.write(word)
    plain = all(word.exact and _SED_READS.fullmatch(word.text.strip()) for word in scripts)
    return not in_place and bool(scripts) and plain and not has_flag(words, "f", "--file")


WRITERS: Final[Mapping[str, Callable[[Found, list[Word]], None]]] = MappingProxyType(
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
