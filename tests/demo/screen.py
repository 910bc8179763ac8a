"""Lines on the terminal: when, who, what. Colours only on a terminal; one short line for each try of a tool."""

import os
import re
import shutil
import sys
import time

_COLOURS = ("36", "35", "33", "32", "34")


class Screen:
    """Prints at once, from one task."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 110
        self._colour_of: dict[str, str] = {}
        self._open: dict[tuple[str, str], str] = {}

    def title(self, text: str) -> None:
        """A new chapter."""
        print(f"\n{self._paint('1', '── ' + text)}", flush=True)

    def note(self, text: str) -> None:
        """The narrator."""
        print(f"   {text}", flush=True)

    def command(self, text: str, *, whole: bool = False) -> None:
        """What a person would type; `whole`: over several lines, broken before options."""
        if not whole:
            print(self._paint("2", f" $ {self._cut(text, 3)}"), flush=True)
            return
        rows = [""]
        for part in re.split(r" (?=--)", text):
            if rows[-1] and len(rows[-1]) + len(part) > self._width - 10:
                rows.append(part)
            else:
                rows[-1] = f"{rows[-1]} {part}".strip()
        print(self._paint("2", " $ " + " \\\n       ".join(rows)), flush=True)

    def fact(self, who: str, text: str, *, bright: bool = False) -> None:
        """An event."""
        self._line(who, text, "1" if bright else "")

    def say(self, who: str, text: str) -> None:
        """An agent's words."""
        for line in [line for line in text.splitlines() if line.strip()][:3]:
            self._line(who, f"“{line}”", "")

    def start(self, who: str, call: str, what: str) -> None:
        """A tool call began; it is printed when it is over."""
        self._open[who, call] = what

    def finish(self, who: str, call: str, result: str, *, ok: bool) -> None:
        """A tool call is over."""
        what = self._open.pop((who, call), call)
        self._line(who, f"{what:<46} {result}", "32" if ok else "2")

    def _line(self, who: str, text: str, style: str) -> None:
        stamp = f"{time.monotonic() - self._begun:5.1f}s"
        colour = self._colour_of.setdefault(who, _COLOURS[len(self._colour_of) % len(_COLOURS)])
        body = self._paint(style, self._cut(text, 18)) if style else self._cut(text, 18)
        print(f" {self._paint('2', stamp)}  {self._paint(colour, f'{who:<7}')}  {body}", flush=True)

    def _cut(self, text: str, used: int) -> str:
        room = self._width - used
        return text if len(text) <= room else text[: room - 1] + "…"

    def _paint(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._coloured and style else text
