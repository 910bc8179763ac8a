"""What people let through in advance with an answer: "yes, and more of the same". Runs on the event loop.

    approval.answered + guardrail.rule_added (one commit) -> holds from the next question on -> guardrail.rule_removed

Folded from the journal when it is first asked for, and from each fact that becomes durable since. A rule answers a
level of approval only: what another rule holds back is asked about all the same, so remembering it is refused.
"""

from collections.abc import Iterator, Sequence

from kaged.api.v1 import event_pb2
from kaged.domain.errors import Invalid, NotFound, Precondition
from kaged.domain.events.rule import RuleAdded, RuleEvent, RuleRemoved
from kaged.domain.frozen import frozen
from kaged.domain.machines.agent import AgentState
from kaged.guardrails.context import PeopleRule
from kaged.runtime.engine import Caller, Engine, Receipt
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import Draft, decode
from kaged.store.wire.record import payload

STREAM = "approvals"
MAX_RULES = 1000  # each is looked at for every question
_PAGE = 256


@frozen
class Remembered:
    """A rule, and when it was added: its event's position and time in microseconds since 1970 UTC."""

    fact: RuleAdded
    seq: int
    added_us: int


class RuleNotFound(NotFound):
    """No remembered rule has this id."""

    reason = "APPROVAL_RULE_NOT_FOUND"

    def __init__(self, rule: str) -> None:
        super().__init__(f"no remembered rule {rule!r}", hint="kagectl approval rules shows them", rule=rule)


class RulesFull(Precondition):
    """So many rules are remembered that no more are taken."""

    reason = "APPROVAL_RULES_FULL"

    def __init__(self) -> None:
        super().__init__(
            f"{MAX_RULES} rules are remembered already",
            hint="remove some (kagectl approval rules remove), or write a pattern into a policy file",
        )


class RuleBook:
    """See the module."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader
        self._rules: dict[str, Remembered] | None = None

    def happened(self, draft: Draft, seq: int) -> None:
        """A fact became durable."""
        if self._rules is not None and isinstance(draft.event, RuleAdded | RuleRemoved):
            for message, event in self._facts(seq - 1, seq):
                _apply(self._rules, message, event)

    def rules(self, now_us: int) -> list[Remembered]:
        """Those that hold, oldest first."""
        if self._rules is None:
            self._rules = self._folded()
        gone = [name for name, each in self._rules.items() if 0 < each.fact.expires_us <= now_us]
        for name in gone:
            del self._rules[name]
        return list(self._rules.values())

    def of(self, state: AgentState) -> tuple[PeopleRule, ...]:
        """Those that hold for an agent."""
        return tuple(
            PeopleRule(
                verdict=fact.verdict, tool=fact.tool, path=fact.path, command=fact.command, scope=fact.scope,
                owner=fact.owner, expires_us=fact.expires_us, source="remembered with an answer", id=fact.rule,
            )
            for fact in (each.fact for each in self.rules(self._engine.journal.now_us()))
            if fact.owner == (state.id if fact.scope == "agent" else state.spec.namespace)
        )  # fmt: skip

    def drafts(self, added: Sequence[RuleAdded]) -> list[Draft]:
        """Facts that add rules. Raises RulesFull."""
        if added and len(self.rules(self._engine.journal.now_us())) + len(added) > MAX_RULES:
            raise RulesFull
        return [Draft(stream=STREAM, event=each) for each in added]

    async def remove(self, reference: str, caller: Caller) -> Remembered:
        """Take one back, named by its id or a unique prefix. Raises Invalid, RuleNotFound."""
        known = {each.fact.rule: each for each in self.rules(self._engine.journal.now_us())}
        earlier = self._engine.earlier(caller)
        fits = [name for name in known if reference and name.startswith(reference)]
        if earlier is not None:
            found = self._removed_by(earlier)
        elif not fits:
            raise RuleNotFound(reference)
        elif len(fits) > 1:
            raise Invalid(("rule", f"{reference!r} fits {', '.join(fits[:3])}"))
        else:
            found = known[fits[0]]

        def act() -> Receipt:
            return self._engine.commit([Draft(stream=STREAM, event=RuleRemoved(rule=found.fact.rule))], caller)

        await self._engine.once(caller, act)
        return found

    def _removed_by(self, receipt: Receipt) -> Remembered:
        """What an earlier request with the same id took back."""
        known: dict[str, Remembered] = {}
        last = ""
        for message, event in self._facts(0, receipt.last_seq):
            last = event.rule
            if isinstance(event, RuleAdded):
                _apply(known, message, event)
        if last not in known:
            raise RuleNotFound(last)
        return known[last]

    def _folded(self) -> dict[str, Remembered]:
        rules: dict[str, Remembered] = {}
        for message, event in self._facts(0, self._reader.head):
            _apply(rules, message, event)
        return rules

    def _facts(self, after: int, up_to: int) -> Iterator[tuple[event_pb2.Event, RuleEvent]]:
        selection = select(f'stream = "{STREAM}"', now_us=0)
        done = False
        while not done:
            page = self._reader.page(selection, after, up_to, _PAGE)
            for framed in page.frames:
                message = event_pb2.Event.FromString(payload(framed))
                event = decode(message)
                if isinstance(event, RuleAdded | RuleRemoved):
                    yield message, event
            after, done = page.reached, page.done


def _apply(rules: dict[str, Remembered], message: event_pb2.Event, event: RuleEvent) -> None:
    if isinstance(event, RuleAdded):
        rules.setdefault(event.rule, Remembered(fact=event, seq=message.seq, added_us=message.recorded_us))
    else:
        rules.pop(event.rule, None)
