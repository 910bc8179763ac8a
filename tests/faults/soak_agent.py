"""The agents of the soak: what each does is computed from its kind, its seed and its attempt, so the truth is known.

Run as a program it acts (`python -I -S soak_agent.py KIND SEED MARK`); imported it tells what the journal must hold.
Standard library only, and little of it: dozens are started at a time. `MARK` is only there to be found in /proc.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator

# (what, bytes) for out and err, (what, seconds or number) for sleep, exit, signal, child.
Step = tuple[str, bytes] | tuple[str, float] | tuple[str, int]
KINDS = (
    "chatty", "silent", "binary", "quick", "crash", "grandchild", "escapee", "terminal", "restart", "ticker", "echo",
    "asker", "missing", "victim", "flood",
)  # fmt: skip
SIGNALS = (11, 6, 9, 15, 7)
ENDLESS = frozenset(("ticker", "victim"))  # somebody else ends them: a stop, or the death of their shim


def noise(*key: object, size: int) -> bytes:
    """The same bytes for the same key."""
    return hashlib.shake_128(repr(key).encode()).digest(size)


def draw(low: int, high: int, *key: object) -> int:
    """The same number for the same key, between both bounds."""
    return low + int.from_bytes(noise(*key, size=4), "big") % (high - low + 1)


def line(seed: int, attempt: int, number: int) -> bytes:
    """One line of text, a few of them long."""
    size = draw(1, 40, seed, number, "size")
    if draw(0, 30, seed, number, "long") == 0:
        size *= 400
    return b"%d.%d.%d %s\n" % (seed, attempt, number, noise(seed, attempt, number, size=size).hex().encode())


def steps(kind: str, seed: int, attempt: int) -> Iterator[Step]:
    """What an agent does. Endless ones never stop by themselves."""
    match kind:
        case "chatty":
            for number in range(draw(10, 150, seed, "lines")):
                yield ("err" if draw(0, 4, seed, number, "where") == 0 else "out"), line(seed, attempt, number)
                if number % 8 == 0:
                    yield "sleep", draw(0, 80, seed, number, "nap") / 1000
            yield "exit", seed % 100
        case "silent":
            yield "sleep", draw(100, 2500, seed) / 1000
            yield "exit", seed % 100
        case "binary":
            for number in range(draw(1, 6, seed, "chunks")):
                yield ("out", "err")[number % 2], noise(seed, attempt, number, size=draw(1, 300_000, seed, number))
                yield "sleep", draw(0, 300, seed, number, "nap") / 1000
            yield "exit", seed % 100
        case "flood":  # so much that the disk gets some of it back while it runs
            for number in range(10):
                yield "out", noise(seed, attempt, number, size=250_000)
                yield "sleep", draw(0, 100, seed, number, "nap") / 1000
            yield "exit", seed % 100
        case "quick":
            yield "out", line(seed, attempt, 0)
            yield "exit", seed % 100
        case "crash":
            yield "out", line(seed, attempt, 0)
            yield "sleep", draw(0, 700, seed) / 1000
            yield "err", line(seed, attempt, 1)[:-1]
            yield "signal", SIGNALS[seed % len(SIGNALS)]
        case "grandchild":
            yield "child", 0
            yield "err", line(seed, attempt, 1)
            yield "exit", seed % 100
        case "escapee":
            yield "out", line(seed, attempt, 0)
            yield "escape", 0
            yield "exit", seed % 100
        case "terminal":
            for number in range(draw(1, 20, seed)):
                yield "out", line(seed, attempt, number)[:4000].rstrip() + b"\n"
                yield "sleep", 0.02
            yield "exit", seed % 100
        case "restart":
            yield "out", line(seed, attempt, 0)
            yield "sleep", draw(0, 200, seed, attempt) / 1000
            yield "exit", 0 if attempt >= 3 + seed % 3 else 1
        case "ticker" | "victim":
            number = 0
            while True:
                yield "out", line(seed, attempt, number)
                yield "sleep", 0.03
                number += 1


def child_steps(seed: int, attempt: int) -> Iterator[Step]:
    """What a grandchild does after its parent has gone, to the standard output that it holds open."""
    for number in range(5):
        yield "out", line(seed, attempt, number)
        yield "sleep", 0.1


def output(kind: str, seed: int, attempt: int, channel: str) -> Iterator[bytes]:
    """What the journal must hold of a stream, in pieces."""
    for what, value in (*child_steps(seed, attempt),) if kind == "grandchild" and channel == "out" else ():
        if what == channel:
            assert isinstance(value, bytes)
            yield value
    for what, value in steps(kind, seed, attempt):
        if what == channel:
            assert isinstance(value, bytes)
            yield value.replace(b"\n", b"\r\n") if kind == "terminal" else value


def end(kind: str, seed: int, attempt: int) -> tuple[int, int]:
    """Exit code (-1: none) and signal that the journal must tell."""
    for what, value in steps(kind, seed, attempt):
        if what == "exit":
            return int(value), 0
        if what == "signal":
            return -1, int(value)
    return -1, 0


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _act(kind: str, seed: int, attempt: int) -> int:
    for what, value in steps(kind, seed, attempt):
        match what:
            case "out" | "err":
                assert isinstance(value, bytes)
                _write(1 if what == "out" else 2, value)
            case "sleep":
                time.sleep(float(value))
            case "exit":
                return int(value)
            case "signal":
                os.kill(os.getpid(), int(value))
                time.sleep(60)
            case "child":
                if not os.fork():
                    for _, (inner, data) in enumerate(child_steps(seed, attempt)):
                        if inner == "out":
                            assert isinstance(data, bytes)
                            _write(1, data)
                        else:
                            time.sleep(float(data))
                    os._exit(0)
            case "escape":
                if not os.fork():
                    os.setsid()
                    program = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)", sys.argv[3]]
                    os.execve(program[0], program, {})
    return 0


def _echo(seed: int) -> int:
    while data := os.read(0, 65536):
        _write(1, data)
    return seed % 100


def _ask(seed: int) -> int:
    """Ask, say what came back, wait for a second answer that must not come."""
    import json
    import select

    def tell(**fields: object) -> None:
        _write(1, json.dumps(fields).encode() + b"\n")

    rest = b""
    answers = 0
    tell(type="turn.started")
    tell(type="approval.request", id=f"q{seed}", title="go on?", tool="sh", input={"seed": seed})
    while True:
        patience_s = 0.4 if answers else 900.0  # its client may be held up for minutes
        if not select.select([0], [], [], patience_s)[0]:
            break
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for item in lines:
            heard = json.loads(item)
            if heard.get("type") == "approval.answer" and heard.get("id") == f"q{seed}":
                answers += 1
                tell(type="message", text=f"answer {answers} {heard['outcome']} {heard['note']}")
    tell(type="turn.ended", outcome="ok")
    return 0 if answers == 1 else 90 + answers


def main(arguments: list[str]) -> int:
    kind, seed = arguments[0], int(arguments[1])
    if kind == "echo":
        return _echo(seed)
    if kind == "asker":
        return _ask(seed)
    return _act(kind, seed, int(os.environ["KAGE_RUN_ID"].rpartition(".")[2]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
