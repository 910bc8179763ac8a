"""Events on one line each. Pure.

seq  time  type  stream  summary
"""

from datetime import tzinfo

from google.protobuf.message import Message

from kagectl.render import words
from kagectl.render.paint import PLAIN, Paint, safe
from kagectl.render.plain import Plain, plain
from kaged.api.v1 import event_pb2 as pb

_BAD = ("failed", "truncated", "denied", "expired", "exhausted")
MAX_SUMMARY_CHARS = 400


def event_line(
    event: pb.Event,
    *,
    paint: Paint = PLAIN,
    width: int | None = None,
    day: bool = False,
    zone: tzinfo | None = None,
) -> str:
    """One event for people; `day`: with the date; `zone` None: the machine's."""
    meta = event.meta
    parts = "%Y-%m-%d %H:%M:%S.%f" if day else "%H:%M:%S.%f"
    stamp = words.clock(event.recorded_us, zone, parts=parts)[:-3]
    kind = safe(meta.type)
    stream = _short_stream(meta)
    lead = f"{event.seq:>7}  {stamp}  {kind:<22}  {stream:<24}  "
    text = summary(event)
    if width is not None and len(lead) + len(text) > width:
        text = text[: max(width - len(lead) - 1, 12)] + "…"
    colour = "red" if any(word in meta.type or word in text[:24] for word in _BAD) else "cyan"
    return (
        f"{paint(f'{event.seq:>7}', 'dim')}  {paint(stamp, 'dim')}  {paint(f'{kind:<22}', colour)}  "
        f"{stream:<24}  {text}"
    ).rstrip()


def _short_stream(meta: pb.Meta) -> str:
    """The stream; a long id in it is cut in the middle, so that columns hold."""
    stream = safe(meta.stream)
    return stream if len(stream) <= 24 else f"{stream[:15]}…{stream[-8:]}"


def summary(event: pb.Event) -> str:
    """What happened, in a line: the body's text and the facts that matter."""
    if event.HasField("redaction"):
        return f"({event.redaction.body_bytes} bytes taken out)"
    content = event.body.WhichOneof("content")
    said = ""
    match content:
        case "custom":
            said = _octets(event.body.custom.data)
        case "output":
            said = _octets(event.body.output)
        case "input":
            said = _octets(event.body.input)
        case "agent":
            said = words.command(event.body.agent.command)
        case "note":
            said = safe(event.body.note)
        case "signal":
            said = safe(" ".join(filter(None, (event.body.signal.tool, event.body.signal.text))))
        case "question":
            question = event.body.question
            judged = event.meta.fact.WhichOneof("kind") == "guardrail_judged"
            said = safe(": ".join(filter(None, (question.title, question.why))) if judged else question.title)
        case "tree_json":
            said = ""
        case _:
            pass
    known = _fact(event.meta)
    text = "  ".join(part for part in (known, said) if part)
    return text if len(text) <= MAX_SUMMARY_CHARS else text[: MAX_SUMMARY_CHARS - 1] + "…"


def _octets(data: bytes) -> str:
    head = data[:MAX_SUMMARY_CHARS].decode(errors="replace").rstrip("\n")
    return safe(head)


_FACTS_SHOWN = {
    "output_chunk": ("channel", "length"),
    "input_accepted": ("length", "eof"),
    "run_wanted": ("attempt", "cause"),
    "run_started": ("shim_pid",),
    "run_executed": ("pid",),
    "run_ended": ("kind", "exit_code", "signal", "stopped_by"),
    "run_read": (),
    "run_set_aside": ("protocol", "spoken"),
    "output_truncated": ("channel", "expected", "found"),
    "output_dropped": ("channel", "start", "end", "limit"),
    "output_held": ("limit", "waiting_bytes", "limit_bytes"),
    "output_released": ("held_us",),
    "agent_spawned": ("supervisor",),
    "agent_ended": ("outcome", "reason", "exit_code", "signal", "limit"),
    "agent_stop_wanted": ("cause", "limit", "grace_s"),
    "agent_restart_scheduled": ("consecutive",),
    "agent_signalled": ("signal",),
    "approval_requested": ("kind", "rule"),
    "guardrail_judged": ("verdict", "rule", "after"),
    "approval_answered": ("outcome",),
    "daemon_started": ("version", "pid", "adopted", "settled"),
    "daemon_stopped": ("reason", "agents"),
    "supervisor": ("tree", "path", "data_json"),
    "signal": ("turn", "call", "outcome"),
}


def _fact(meta: pb.Meta) -> str:
    kind = meta.fact.WhichOneof("kind")
    if kind is None:
        return ""
    fact: Message = getattr(meta.fact, kind)
    values = plain(fact, sparse=True)
    shown = _FACTS_SHOWN.get(kind)
    names = values.keys() if shown is None else shown
    said = [_pair(name, values[name]) for name in names if name in values and name != "run"]
    if kind == "agent_restart_scheduled":
        said.append(f"in {words.micros(meta.fact.agent_restart_scheduled.delay_us)}")
    return " ".join(said)


def _pair(name: str, value: Plain) -> str:
    if name in ("channel", "outcome", "kind", "verdict", "tree", "path", "data_json", "cause"):
        return safe(str(value))
    return f"{name}={safe(str(value))}"
