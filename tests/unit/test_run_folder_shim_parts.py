"""The pure parts of the shim: its small JSON, its order reader, its spec."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaged.domain.run_records import RunSpec, SignalOrder, StopOrder, TerminalSize, order_line
from kaged.shim import shim
from tests.e2e.daemon_kit import eventually

TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_its_json_is_json(value: object) -> None:
    assert json.loads(shim.dumps(value)) == value
    assert shim.loads(json.dumps(value)) == value


@given(st.text(max_size=60) | st.sampled_from(["", "{", '{"n":', "[1,", '"', "tru", "-", "{]", "1 2"]))
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    try:
        shim.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r".*"):
            json.loads(text.strip(), strict=False)


@given(
    env=st.dictionaries(st.text(st.characters(exclude_characters="\0=", codec="utf-8"), min_size=1), TEXT, max_size=4),
    odd=st.binary(max_size=20).filter(lambda raw: b"\0" not in raw),
)
def test_a_spec_arrives_as_it_was_written(env: dict[str, str], odd: bytes) -> None:
    env = {name: value for name, value in env.items() if value.isprintable()}
    env["ODD"] = odd.decode("utf-8", "surrogateescape")
    env.pop("KAGE_RUN_ID", None)
    sent = RunSpec(
        run_id="r-1",
        agent_id="a",
        argv=("x", env["ODD"]),
        env=env,
        cwd="/tmp/é",
        stdin="pipe",
        capture="pty",
        terminal=TerminalSize(rows=1, cols=2),
        wall_s=1.5,
        grace_s=0,
    )
    got = shim.Spec(sent.to_json().decode())
    assert got.argv == [b"x", odd]
    assert got.env == {
        **{name.encode(): value.encode("utf-8", "surrogateescape") for name, value in env.items()},
        b"KAGE_RUN_ID": b"r-1",
    }
    assert (got.cwd, got.stdin, got.capture, got.rows, got.cols) == ("/tmp/é".encode(), "pipe", "pty", 1, 2)
    assert (got.wall_s, got.grace_s, got.linger_s, got.stop_signal) == (1.5, 0, 2, 15)


@pytest.mark.parametrize("change", [{"argv": []}, {"argv": ["a\0b"]}, {"stdin": "tty"}, {"env": []}, {"cwd": None}])
def test_a_spec_that_cannot_be_run_is_refused(change: dict[str, object]) -> None:
    raw = json.loads(RunSpec(run_id="r", agent_id="a", argv=("x",), env={}, cwd="/").to_json())
    with pytest.raises(shim.BadSpecError):
        shim.Spec(json.dumps(raw | change))


@given(st.data())
def test_orders_do_not_depend_on_how_the_file_grew(data: st.DataObject) -> None:
    garbage = st.sampled_from(
        [b"\n", b"{}\n", b'{"n":true}\n', b'{"n":"1"}\n', b"\0\0\n", b"[" * 500 + b"\n", b"\xff\n"]
    )
    count = data.draw(st.integers(0, 5))
    text = b""
    for n in range(1, count + 1):
        text += b"".join(data.draw(st.lists(garbage, max_size=2)))
        order = order_line(n, data.draw(st.sampled_from([SignalOrder(signal=n), StopOrder(grace_s=n)])))
        text += order * data.draw(st.integers(1, 2))  # a line that appears twice is obeyed once
    reader = shim.Control()
    numbers = []
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        numbers += [order["n"] for order in reader.feed(rest[:size])]
        rest = rest[size:]
    assert numbers == list(range(1, count + 1))
    assert reader.offset == len(text)


def test_an_endless_line_is_not_kept() -> None:
    reader = shim.Control()
    for _ in range(100):
        assert reader.feed(b"x" * 60_000) == []
    assert len(reader._rest) < 200_000
    (order,) = reader.feed(b"\n" + order_line(1, SignalOrder(signal=1)))
    assert order["n"] == 1


def test_a_shim_without_proc_finds_its_tree_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; this ps is that of Linux, which knows the same columns."""
    if not Path("/bin/ps").exists():
        pytest.skip("no ps here")
    monkeypatch.setattr(shim, "process_ids", list)
    monkeypatch.setattr(shim, "exists", lambda path: False)
    with subprocess.Popen(["sh", "-c", "sleep 600 & exec sleep 600"], start_new_session=True) as tree:
        try:
            eventually(lambda: tree.pid in [parent for parent, _ in shim.table().values()], "its child")
            (child,) = [pid for pid, (parent, _) in shim.table().items() if parent == tree.pid]
            assert {tree.pid, child} <= set(shim.descendants())
        finally:
            os.killpg(tree.pid, signal.SIGKILL)
    assert tree.pid not in shim.descendants()


def test_what_cannot_be_asked_has_said_nothing() -> None:
    assert shim.said("/nowhere/ps", "-x") == b""
    assert shim.said("/bin/echo", "-n", "a b") == b"a b"
