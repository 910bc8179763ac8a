"""How people are told: the table [notify], what becomes a notice, what may be posted where."""

import pytest

from kaged.domain.errors import Invalid
from kaged.domain.notice import REASONS, Notifying
from kaged.domain.notify_table import parse_notifying, webhook_problem


def test_a_table_says_how_people_are_told():
    url = "http://127.0.0.1:80/x"
    table = {
        "command": "say hello",
        "desktop": True,
        "webhook": url,
        "reasons": ["failed", "approval"],
        "timeout": "5s",
    }
    reasons = ("approval", "failed")
    told = Notifying(command="say hello", desktop=True, webhook=url, reasons=reasons, timeout_s=5.0)
    assert parse_notifying(table, "kaged.toml: notify") == told
    assert parse_notifying({}, "x") == Notifying()
    assert Notifying().silent
    assert Notifying().reasons == REASONS


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("yes", "n"),
        ({"comand": "x"}, "n.comand"),
        ({"command": 5}, "n.command"),
        ({"desktop": "yes"}, "n.desktop"),
        ({"webhook": "http://example.org/"}, "n.webhook"),
        ({"reasons": "failed"}, "n.reasons"),
        ({"reasons": ["fail"]}, "n.reasons"),
        ({"reasons": [["failed"]]}, "n.reasons"),
        ({"timeout": 0}, "n.timeout"),
        ({"timeout": "2h"}, "n.timeout"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_key(table, field):
    with pytest.raises(Invalid) as refused:
        parse_notifying(table, "n")
    assert refused.value.violations[0][0] == field


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://127.0.0.1:8080/hook?x=1", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("https://hooks.example.org/kage", True),
        ("http://192.168.1.2/", False),
        ("http://127.0.0.1.example.org/", False),
        ("https://user:word@example.org/", False),
        ("ftp://127.0.0.1/", False),
        ("http://127.0.0.1:0/", False),
        ("http://127.0.0.1:99999/", False),
        ("http://", False),
        ("http://127.0.0.1/a b", False),
        ("http://127.0.0.1/a\r\nX: y", False),
    ],
)
def test_a_webhook_in_the_open_is_on_this_machine(url, good):
    assert (webhook_problem(url) == "") is good
