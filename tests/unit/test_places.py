"""Where the daemon may listen: its own socket and loopback ports, and nothing that another machine could reach."""

import pytest

from kaged.domain.errors import Invalid
from kaged.domain.places import LoopbackPlace, UnixPlace, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("unix:/run/kaged.sock", UnixPlace(path="/run/kaged.sock")),
        ("unix:///run/kaged.sock", UnixPlace(path="/run/kaged.sock")),
        ("tcp:127.0.0.1:0", LoopbackPlace(host="127.0.0.1", port=0)),
        ("tcp:127.9.8.7:65535", LoopbackPlace(host="127.9.8.7", port=65535)),
        ("tcp:localhost:7777", LoopbackPlace(host="127.0.0.1", port=7777)),
        ("tcp:[::1]:7777", LoopbackPlace(host="::1", port=7777)),
    ],
)
def test_a_place_is_read_as_it_is_written(text: str, place: UnixPlace | LoopbackPlace) -> None:
    assert parse_place(text, field="listen") == place


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.4",
        "128.0.0.1",
        "126.255.255.255",
        "255.255.255.255",
        "[::]",
        "[::2]",
        "[fe80::1%lo]",
        "[::ffff:127.0.0.1]",
        "[2001:db8::1]",
    ],
)
def test_an_address_that_others_can_reach_is_refused_with_what_to_do_instead(host: str) -> None:
    with pytest.raises(Invalid, match="not a loopback address") as refused:
        parse_place(f"tcp:{host}:7777", field="listen")
    assert "127.0.0.1" in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "tcp",
        "tcp:",
        "unix:",
        "/run/kaged.sock",
        "udp:127.0.0.1:1",
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:",
        "tcp::0",
        "tcp:127.0.0.1:65536",
        "tcp:127.0.0.1:-1",
        "tcp:127.0.0.1:x",
        "tcp:127.0.0.1:٣",
        "tcp:127.1:1",
        "tcp:::1:1",
        "tcp:127.0.0.01:1",
        "tcp:0177.0.0.1:1",
        "tcp:2130706433:1",
        "tcp:example.org:1",
        "tcp:127.0.0.1.evil.org:1",
    ],
)
def test_what_is_no_place_or_could_be_read_as_another_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="listen"):
        parse_place(text, field="listen")
