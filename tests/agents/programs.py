"""Where real agent programs are found, and what is asked of them in every test.

`KAGE_TEST_CLAUDE` and so on name a program; otherwise it is looked for in `tests/agents/cli/node_modules` (put there
by `make test-agents`) and on PATH. Where it is not found its tests are skipped and say so.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from kaged.adapters.registry import ADAPTERS
from kaged.api.v1 import agent_service_pb2, event_pb2
from kaged.api.v1 import approval_service_pb2 as approvals
from kaged.domain.assignment import UNASSIGNED
from kaged.ports import Interrupter
from tests.e2e.daemon_kit import Kaged, eventually

INSTALLED: Final = Path(__file__).parent / "cli" / "node_modules" / ".bin"
LONG_S: Final = 180.0  # for a turn of a large program; at a load of 13 on two cores whole tests took up to 56 s


def program(name: str) -> str:
    """Path of a program; empty if it is not there."""
    given = os.environ.get("KAGE_TEST_" + name.upper().replace("-", "_"))
    if given:
        return given
    installed = INSTALLED / name
    return str(installed) if installed.exists() else shutil.which(name) or ""


def needs(name: str) -> pytest.MarkDecorator:
    """Skips, loudly, where the program is not there."""
    why = f"NOT PROVED: there is no {name} here (make test-agents puts one into {INSTALLED.parent.parent})"
    return pytest.mark.skipif(not program(name), reason=why)


class Driven:
    """One agent and what was heard of it."""

    def __init__(self, kaged: Kaged, agent: str) -> None:
        self.kaged = kaged
        self.id = agent

    def events(self, kind: str = "signal.") -> list[event_pb2.Event]:
        """Its events of a kind, oldest first."""
        found = self.kaged.read(f'agent = "{self.id}"')
        return [event for event in found if event.meta.type.startswith(kind)]

    def types(self) -> list[str]:
        """Kinds of all that was heard."""
        return [event.meta.type.removeprefix("signal.") for event in self.events()]

    def heard(self, kind: str, count: int = 1) -> list[event_pb2.Event]:
        """Its signals of a kind, once there are so many."""

        def look() -> list[event_pb2.Event] | None:
            found = self.events(f"signal.{kind}")
            return found if len(found) >= count else None

        return eventually(look, f"{count} signal.{kind}; so far {self.types()}", LONG_S)

    def asked(self) -> approvals.Approval:
        """The open question, once there is one."""

        def look() -> approvals.Approval | None:
            request = approvals.ListApprovalsRequest(agent=self.id)
            found = self.kaged.approvals.ListApprovals(request, timeout=LONG_S).approvals
            assert len(found) <= 1
            return found[0] if found else None

        return eventually(look, f"a question; so far {self.types()}", LONG_S)

    def answer(self, *, approve: bool, note: str = "") -> approvals.Approval:
        """Answer the open question; what it was."""
        question = self.asked()
        request = approvals.AnswerApprovalRequest(approval=question.id, approve=approve, note=note)
        self.kaged.approvals.AnswerApproval(request, timeout=LONG_S)
        return question

    def wait(self) -> Any:
        """The agent once it has ended."""
        return self.kaged.wait(self.id, deadline_s=LONG_S)

    def say(self, text: str) -> None:
        """Words to it, in the form that it reads."""
        request = agent_service_pb2.SendInputRequest(agent=self.id, message=text)
        self.kaged.agents.SendInput(request, timeout=LONG_S)

    def interrupt(self) -> None:
        """End its turn, in the words of its adapter, from what the journal holds of the adapter's state."""
        adapter = ADAPTERS[self.kaged.agent(self.id).spec.adapter]
        assert isinstance(adapter, Interrupter)
        state = self.events("run.read")[-1].meta.fact.run_read.adapter_state
        words = adapter.interrupt(state, task=UNASSIGNED, number=0)
        assert words, "no turn is under way"
        self.kaged.send(self.id, words)

    def told(self) -> bytes:
        """All that it was told."""
        return b"".join(event.body.input for event in self.events("input.accepted"))
