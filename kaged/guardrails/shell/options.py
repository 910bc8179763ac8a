"""Options and operands of a command's words. Pure."""

from collections.abc import Iterator

from kaged.guardrails.shell.words import Word


def operands_of(words: list[Word], values: tuple[str, ...] = ()) -> list[Word]:
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


def has_flag(words: list[Word], short: str, *long: str) -> bool:
    """Whether an option without a value is there, also among others: `-rf`."""
    return any(
        word.text in long
        or (word.text.startswith("-") and not word.text.startswith("--") and short and short in word.text[1:])
        for word in words
    )


def values_of(words: list[Word], *names: str) -> Iterator[Word]:
    """Values of an option, `-o X`, `-oX` and `--name=X`."""
    for at, word in enumerate(words):
        for name in names:
            if word.text == name and at + 1 < len(words):
                yield words[at + 1]
            elif name.startswith("--") and word.text.startswith(name + "="):
                yield Word(text=word.text[len(name) + 1 :], exact=word.exact)
            elif len(name) == 2 and word.text.startswith(name) and len(word.text) > 2 and word.text[1] != "-":
                yield Word(text=word.text[2:], exact=word.exact)
