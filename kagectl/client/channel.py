"""How a channel to kaged is set up, for both clients: options, target, key.

`grpc.http2.bdp_probe=0` keeps the window of a stream at what is asked for here, whatever a probe may think: 1 MiB
of answers that the program has not taken yet, so that a long read need not wait for a window update several times
in each message. The short back-offs find a restarted daemon within half a second; the local pool keeps one client's
line apart from another's.

`min_reconnect_backoff_ms` is a misnomer: it is how long one attempt to connect may take until the daemon's first
frame. On a busy machine that is easily more than the pause between attempts, and too short a value makes a daemon
that is merely slow look like one that is gone.
"""

from kagectl.client import loopback
from kagectl.client.address import Address

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_SLACK_BYTES = 64 * 1024  # the frame around a message that is itself exactly at the limit

OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 20),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES + _SLACK_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES + _SLACK_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # a loopback port is never a proxy's business, whatever the environment says
)


def target(address: Address) -> str:
    """What gRPC dials."""
    if (port := address.port) is not None:
        return ("ipv6:" if ":" in port[0] else "ipv4:") + loopback.authority(port)
    return "unix:" + address.socket


def key(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that opens the door."""
    return (("authorization", "Bearer " + token),)
