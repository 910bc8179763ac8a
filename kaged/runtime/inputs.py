"""What a run was told, read back from the journal: what recovery repeats, and a run that follows may be given again."""

from kaged.domain.events import facts
from kaged.runtime.recorded import fact_in
from kaged.store.derived.views import agent_stream
from kaged.store.reading.reader import Reader
from kaged.store.reading.selection import select
from kaged.store.wire.codec import Draft


def inputs_of(reader: Reader, agent: str, run: str) -> list[facts.InputAccepted]:
    """What a run's standard input was promised, as far as it is durable."""
    drafts = inputs_after(reader, agent, run)
    return [draft.event for draft in drafts if isinstance(draft.event, facts.InputAccepted)]


def inputs_after(reader: Reader, agent: str, run: str) -> list[Draft]:
    """Facts of one run that had an effect on its folder, oldest first: what recovery repeats."""
    drafts: list[Draft] = []
    selection = select(f'run = "{run}"', now_us=0, stream=agent_stream(agent))
    after = 0
    while True:
        page = reader.page(selection, after, reader.head, 256)
        for framed in page.frames:
            event = fact_in(framed)
            if isinstance(event, facts.InputAccepted | facts.StopWanted | facts.Signalled | facts.Resized):
                drafts.append(Draft(stream="", event=event, agent=agent, run=run))
        if page.done:
            return drafts
        after = page.reached
