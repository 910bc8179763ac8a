"""What kaged says to a service manager, word for word, and when it keeps silent."""

import asyncio
from collections.abc import Iterator

import pytest

from kaged.domain.errors import Broken
from kaged.service import ServiceManager, headline, keep_extending, keep_watch, watchdog_interval_s

WATCHED = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "20000"}


class Heard:
    """Stands in for the manager's socket."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def notify(self, state: str) -> None:
        self.words.append(state)


def managed(environ: dict[str, str] | None = None) -> tuple[ServiceManager, list[str]]:
    heard = Heard()
    return ServiceManager(environ or {"NOTIFY_SOCKET": "/run/notify"}, heard), heard.words


def test_ready_goes_alone_and_status_is_one_line_of_ascii_sent_once() -> None:
    manager, words = managed()
    manager.status("1 agent:\n  1 running — für\tlang")
    manager.status("1 agent:\n  1 running — für\tlang")
    manager.ready()
    assert words == ["STATUS=1 agent: 1 running ? f?r lang", "READY=1"]
    manager.status("x" * 1000)
    assert len(words[-1]) == len("STATUS=") + 300


def test_a_reload_is_between_reloading_and_ready_however_it_goes() -> None:
    manager, words = managed()
    manager.ready()
    with manager.reloading(12.5):
        words.append("(reads)")
    with pytest.raises(ValueError, match="broken"), manager.reloading(13):
        raise ValueError("broken")
    assert words == [
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "(reads)",
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=13000000",
        "READY=1",
    ]


def test_a_reload_while_it_recovers_or_leaves_never_says_ready() -> None:
    manager, words = managed()
    with manager.reloading(1):
        pass
    manager.ready()
    with manager.reloading(2):
        manager.stopping(40)
    with manager.reloading(3):
        pass
    assert words == [
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=2000000",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=40000000",
    ]


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, 0),  # meant for another process
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({"WATCHDOG_USEC": "-5"}, 0),
        ({"WATCHDOG_USEC": ""}, 0),
    ],
)
def test_the_watchdog_is_asked_for_by_the_environment(environ: dict[str, str], interval_s: float) -> None:
    assert watchdog_interval_s(environ, 77) == interval_s


async def test_each_ping_follows_a_proof() -> None:
    manager, words = managed(WATCHED)
    done = asyncio.Event()

    async def prove() -> None:
        words.append("(proof)")
        if len(words) >= 8:
            done.set()

    task = asyncio.create_task(keep_watch(manager, prove))
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    assert words[:7] == ["(proof)", "WATCHDOG=1", "(proof)", "WATCHDOG=1", "(proof)", "WATCHDOG=1", "(proof)"]


async def test_a_disk_that_hangs_ends_the_pings() -> None:
    manager, words = managed(WATCHED)
    asked: Iterator[int] = iter(range(100))
    hung = asyncio.Event()

    async def prove() -> None:
        if next(asked) == 2:
            hung.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_watch(manager, prove))
    await asyncio.wait_for(hung.wait(), 10)
    for _ in range(20):  # many periods of 20 ms
        await asyncio.sleep(0.005)
    assert words == ["WATCHDOG=1"] * 2
    task.cancel()


async def test_a_journal_that_failed_is_not_vouched_for() -> None:
    manager, words = managed(WATCHED)

    async def prove() -> None:
        raise Broken("the disk is gone")

    await asyncio.wait_for(keep_watch(manager, prove), 10)
    assert words == []


async def test_nothing_is_proved_when_nobody_watches() -> None:
    manager, words = managed()

    async def prove() -> None:
        raise AssertionError("nobody asked")

    await asyncio.wait_for(keep_watch(manager, prove), 10)
    assert words == []


async def test_more_time_is_asked_for_as_long_as_work_is_done() -> None:
    manager, words = managed()
    work = iter([(0.0, 0), (0.5, 0), (0.5, 40), (0.502, 40), (0.504, 40), (0.504, 41)])
    with pytest.raises(RuntimeError):  # the end of `work`
        await asyncio.wait_for(
            keep_extending(manager, lambda: "reading the journal", every_s=0.001, work=lambda: next(work)), 10
        )
    extend = "EXTEND_TIMEOUT_USEC=20000000"
    said = [word if word == extend else "no progress" if "no progress" in word else "status" for word in words]
    # the status lines are all "for 0 s", so only a changed one is sent
    assert said == [extend, extend, "status", extend, "no progress", extend, "status"]


@pytest.mark.parametrize(
    ("states", "questions", "failed", "line"),
    [
        ({}, 0, 0, "no agents"),
        ({}, 0, 2, "no agents; 2 failed since the start"),
        ({"running": 1}, 0, 0, "1 agent: 1 running"),
        (
            {"stopping": 1, "waiting": 2, "running": 3, "paused": 1},
            1,
            0,
            "7 agents: 3 running, 2 waiting, 1 stopping, 1 paused; 1 open question",
        ),
        ({"running": 1, "pending": 0}, 2, 1, "1 agent: 1 running; 2 open questions; 1 failed since the start"),
    ],
)
def test_all_agents_fit_in_one_line(states: dict[str, int], questions: int, failed: int, line: str) -> None:
    assert headline(states, questions=questions, failed=failed) == line
