"""The daemon's status and figures as pages. Pure."""

from kagectl.render import words
from kagectl.render.paint import PLAIN, STATE_COLOURS, Paint, safe
from kagectl.render.table import Cell, facts
from kaged.api.v1 import daemon_service_pb2 as pb


def phase_word(status: pb.DaemonStatus) -> str:
    """The phase as a short word."""
    return words.word(pb.DaemonPhase, status.phase, "DAEMON_PHASE_")


def status_page(status: pb.DaemonStatus, *, now_s: float, paint: Paint = PLAIN) -> str:
    """How the daemon is."""
    phase = phase_word(status)
    agents = ", ".join(f"{count} {safe(state)}" for state, count in sorted(status.agents.items()) if count)
    kept = f"1 to {status.head_seq}" if status.first_seq <= 1 else f"{status.first_seq} to {status.head_seq}"
    return facts(
        [
            ("kaged", f"{status.version} (API revision {status.api_revision})"),
            ("phase", Cell(phase.replace("_", " "), STATE_COLOURS.get(phase, ""))),
            ("detail", safe(status.detail)),
            ("pid", str(status.pid)),
            ("up", words.ago(status.start_time, now_s)),
            ("agents", agents or "none"),
            ("questions", Cell(str(status.open_approvals) if status.open_approvals else "", "yellow")),
            ("trees", str(status.trees) if status.trees else ""),
            ("events", kept if status.head_seq else "none"),
            ("subscribers", str(status.subscribers)),
            ("fsync", _fsync(status)),
            ("disk free", words.size(status.disk_free_bytes) if status.disk_free_bytes else ""),
            ("state", safe(status.state_dir)),
            ("socket", safe(status.socket)),
            ("port", ", ".join(safe(place) for place in status.listen if place.startswith("tcp:"))),
            ("agents' socket", safe(status.agent_socket)),
            ("store", safe(status.store_id)),
        ],
        paint=paint,
    )


def _fsync(status: pb.DaemonStatus) -> str:
    if not status.fsync_p50_us:
        return ""
    return f"p50 {words.micros(status.fsync_p50_us)}, p99 {words.micros(status.fsync_p99_us)}"


def stats_page(stats: pb.GetStatsResponse, *, now_s: float, paint: Paint = PLAIN) -> str:
    """Figures since the start of the daemon."""
    each = stats.events_appended / stats.commits if stats.commits else 0.0
    page = facts(
        [
            ("events", f"{stats.events_appended} in {stats.commits} commits ({each:.1f} each)"),
            ("bytes of events", words.size(stats.bytes_appended)),
            ("output captured", words.size(stats.output_bytes)),
            ("runs started", str(stats.runs_started)),
            ("memory", words.size(stats.rss_bytes)),
            ("cpu", f"{stats.cpu_s:.1f}s"),
            ("loop delay p99", words.micros(stats.loop_delay_p99_us)),
            ("store on disk", words.size(stats.store_bytes)),
            ("fell behind", f"{stats.fell_behind} times" if stats.fell_behind else ""),
            ("fsync", _fsync(stats.status)),
            ("up", words.ago(stats.status.start_time, now_s)),
        ],
        paint=paint,
    )
    store = facts([(safe(key), safe(value)) for key, value in sorted(stats.store.items())], indent="  ")
    return f"{page}\n{paint('store', 'bold')}\n{store}" if store else page
