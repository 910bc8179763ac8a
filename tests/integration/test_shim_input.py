"""Input reaches the agent exactly once, however often the daemon has to repeat itself; terminals work."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaged.domain.run_records import Exited, ResizeOrder, SignalOrder, StopOrder, TerminalSize
from tests.fakes.runs import Runs, eventually, python

pytestmark = pytest.mark.integration


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with Runs(tmp_path) as it:
        yield it


def test_input_that_is_written_twice_arrives_once(runs: Runs) -> None:
    run = runs.start(["cat"], stdin="pipe")
    for number in range(200):
        line = b"%d " % number + b"z" * (number * 37 % 5000) + b"\n"
        offset = run.input_offset
        run.write(line)
        assert run.folder.write_input(offset, line) == run.input_offset
    run.folder.close_input(run.input_offset)
    run.folder.close_input(run.input_offset)
    sealed = run.sealed()
    assert run.output() == (run.folder.path / "in.log").read_bytes()
    assert sealed.in_consumed == run.input_offset


def test_input_written_before_the_start_is_there(runs: Runs) -> None:
    run = runs.launch(["cat"], stdin="pipe")
    run.write(b"early\n")
    run.folder.close_input(run.input_offset)
    run.open().sealed()
    assert run.output() == b"early\n"


def test_megabytes_go_in_and_come_out(runs: Runs) -> None:
    data = os.urandom(1 << 20) * 8
    run = runs.start(["cat"], stdin="pipe")
    run.write(data)
    run.folder.close_input(len(data))
    run.sealed()
    assert run.output() == data


def test_the_end_of_input_waits_for_its_bytes(runs: Runs) -> None:
    """The marker names a size: it may be there before the last bytes are (a redo in another order)."""
    run = runs.start(["cat"], stdin="pipe")
    run.write(b"one\n")
    run.folder.close_input(8)
    run.wait_output(b"one\n")
    assert run.folder.read_exit() is None
    run.write(b"two\n")
    run.sealed()
    assert run.output() == b"one\ntwo\n"


def test_an_agent_that_does_not_read_does_not_stop_the_shim(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "echo up; exec sleep 1000"], stdin="pipe")
    run.write(b"x" * 300_000)
    run.wait_output(b"up")
    run.order(StopOrder(signal=15, grace_s=20))
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.signal == 15
    assert run.sealed().in_consumed <= 65536 * 2


def test_an_agent_that_closes_its_input_ends_as_it_likes(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "exec 0<&-; echo closed; sleep 0.2; exit 9"], stdin="pipe")
    run.wait_output(b"closed")
    run.write(b"x" * 300_000)
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 9
    run.sealed()


def test_without_input_stdin_is_the_null_device(runs: Runs) -> None:
    run = runs.start(["cat"])
    run.sealed()
    assert run.output() == b""


def test_a_terminal_is_one_and_has_its_size(runs: Runs) -> None:
    size = TerminalSize(rows=33, cols=101)
    run = runs.start(["sh", "-c", "tty && stty size"], capture="pty", stdin="pipe", terminal=size)
    run.sealed()
    name, found = run.output().split(b"\r\n")[:2]
    assert name.startswith(b"/dev/")
    assert found == b"33 101"


def test_a_resize_reaches_the_agent_as_a_signal(runs: Runs) -> None:
    code = """if True:
        import os, signal, time
        signal.signal(signal.SIGWINCH, lambda *_: print(tuple(os.get_terminal_size()), flush=True))
        print('up', flush=True)
        while True: time.sleep(0.1)  # not pause(): a signal just before it would be waited for in vain"""
    run = runs.start(python(code), capture="pty", stdin="pipe")
    run.wait_output(b"up")
    run.order(ResizeOrder(rows=50, cols=120))
    run.wait_output(b"(120, 50)")
    run.order(StopOrder(signal=9, grace_s=0))
    run.sealed()


def test_typing_echoes_and_interrupts_like_at_a_terminal(runs: Runs) -> None:
    script = "trap 'echo caught; exit 6' INT; echo up; read x; echo got $x; cat"
    run = runs.start(["sh", "-c", script], capture="pty", stdin="pipe")
    run.wait_output(b"up")
    run.write(b"hello\n")
    run.wait_output(b"got hello")
    run.write(b"typed at cat\n")
    eventually(lambda: run.output().count(b"typed at cat") == 2, "the echo of the terminal, and cat's")
    run.write(b"\x03")
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 6
    run.sealed()
    assert b"caught" in run.output()


def test_the_end_of_input_on_a_terminal_is_control_d(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "stty -echo; echo up; cat; echo end"], capture="pty", stdin="pipe")
    run.wait_output(b"up")
    run.write(b"line\nunfinished")
    run.folder.close_input(run.input_offset)
    run.sealed()
    assert run.output().replace(b"\r\n", b"\n") == b"up\nline\nunfinishedend\n"


def test_a_terminals_last_words_are_not_lost(runs: Runs) -> None:
    for size in (10, 4000, 9000):
        run = runs.start(python(f"import os; b = b'x' * {size}\nwhile b: b = b[os.write(1, b):]"), capture="pty")
        run.sealed()
        assert run.output() == b"x" * size


def test_leaving_a_terminal_open_in_the_background_does_not_hold_the_run(runs: Runs) -> None:
    run = runs.start(["sh", "-c", "trap '' HUP; (trap '' HUP; sleep 1000) & exit 2"], capture="pty", linger_s=0.2)
    found = run.exit()
    assert isinstance(found, Exited)
    assert found.code == 2
    assert run.sealed().how == "killed"


def test_a_signal_order_between_inputs_keeps_both_working(runs: Runs) -> None:
    code = """if True:
        import os, signal
        signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'usr1\\n'))
        while line := os.read(0, 100): os.write(1, line)
        os.write(1, b'end\\n')"""
    run = runs.start(python(code), stdin="pipe")
    run.write(b"a\n")
    run.wait_output(b"a\n")
    run.order(SignalOrder(signal=signal.SIGUSR1))
    run.write(b"b\n")
    run.wait_output(b"usr1\n")
    run.wait_output(b"b\n")
    run.folder.close_input(run.input_offset)
    run.sealed()
    assert run.output().endswith(b"end\n")
