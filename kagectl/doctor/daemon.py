"""The daemon: it answers, fits this kagectl and its own shims, and its store takes writes."""

import json

from kagectl.doctor.scene import Scene
from kagectl.doctor.verdict import Verdict, fail, ok, skip, warn
from kagectl.errors import told
from kagectl.render import words
from kaged.api.v1 import daemon_service_pb2 as pb
from kaged.version import __version__


def reachable(scene: Scene) -> Verdict:
    """Somebody answers, with our token, and serves."""
    status = scene.status
    if status is None:
        why = scene.silence
        if why is None:
            return fail("no daemon answers", "kagectl daemon start")
        what, _, hint = told(why).partition(" — ")
        if why.reason == "TOKEN_INVALID":
            token = scene.env.get("KAGE_TOKEN_FILE")
            return fail(
                f"it does not take the token in {token or (scene.address and scene.address.token_file)}",
                "unset KAGE_TOKEN_FILE" if token else "kagectl doctor --check secrets",
            )
        return fail(what, hint.removeprefix("start it with: ") or "kagectl daemon logs")
    who = f"kaged {status.version} (pid {status.pid})"
    match status.phase:
        case pb.DAEMON_PHASE_SERVING:
            return ok(f"{who} serves, up {words.ago(status.start_time, scene.now_s)}")
        case pb.DAEMON_PHASE_READ_ONLY:
            return fail(f"{who} is read-only: {status.detail}", "free some space on its disk; it goes on by itself")
        case pb.DAEMON_PHASE_RECOVERING:
            return warn(f"{who} is still starting: {status.detail}", "kagectl daemon status --watch")
        case _:
            return warn(f"{who} is on its way out: {status.detail}", "kagectl daemon start, when it is gone")


def versions(scene: Scene) -> Verdict:
    """kagectl and kaged are of one release."""
    if scene.status is None:
        return skip(f"kagectl is {__version__}; there is no daemon to compare with")
    if (theirs := scene.status.version) == __version__:
        return ok(f"kagectl and kaged are both {__version__}")
    newer = _numbers(__version__) > _numbers(theirs)
    return warn(
        f"kagectl is {__version__}, the daemon {theirs}",
        "kagectl daemon restart (agents go on)" if newer else "upgrade kagectl to the daemon's release",
    )


def shims(scene: Scene) -> Verdict:
    """The shims of live runs speak a protocol that the daemon knows."""
    if scene.status is None:
        return skip("there is no daemon to compare with")
    ours = scene.status.shim_protocol
    by_protocol: dict[int, int] = {}
    try:
        records = list((scene.state_dir / "runs").glob("*/meta.json"))
    except OSError as error:
        return skip(f"the runs cannot be listed: {error.strerror}")
    for record in records:
        try:
            protocol = int(json.loads(record.read_bytes())["protocol"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # just being taken away; the daemon names what is damaged
        by_protocol[protocol] = by_protocol.get(protocol, 0) + 1
    if not by_protocol:
        return ok(f"new runs get protocol {ours}; there are none now")
    if (newest := max(by_protocol)) > ours:
        return fail(
            f"{by_protocol[newest]} runs were started by a newer kaged (protocol {newest}; this one speaks {ours})",
            "go back to the newer kaged: kagectl daemon restart after the upgrade",
        )
    older = sum(count for protocol, count in by_protocol.items() if protocol < ours)
    note = f", {older} of them of an older release, which go on as they are" if older else ""
    return ok(f"{sum(by_protocol.values())} runs, protocol {ours}{note}")


def store(scene: Scene) -> Verdict:
    """The journal takes writes. Whether all of it is sound only fsck tells."""
    status = scene.status
    if status is None:
        if not (scene.state_dir / "db").is_dir():
            return skip("there is no store yet")
        return skip("no daemon tells; the whole store can be checked", "kagectl fsck")
    if status.phase == pb.DAEMON_PHASE_READ_ONLY:
        return fail(f"takes no writes: {status.detail}", "kagectl daemon status")
    if not status.store_id:
        return skip("the daemon is still reading it")
    return ok(f"{status.head_seq:,} events, store {status.store_id[:8]}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.partition("+")[0].split("."))
