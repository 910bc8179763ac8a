"""What is written for systemd and launchd: from one model, as packaged, and read back as it was meant."""

import itertools
import plistlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagectl.errors import Complaint
from kagectl.service import plists, units
from kagectl.service.model import Service, captured, clean_path
from kagectl.service.seal import sealed, whose

PACKAGING = Path(__file__).parents[2] / "packaging"
ANN = Service(
    program=("/home/ann/.local/bin/kaged",),
    environment={"PATH": "/home/ann/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
    user="ann",
    home="/home/ann",
    log="/home/ann/.local/state/kage/kaged.log",
)
printable = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=30)


@pytest.mark.parametrize("name", units.packaged())
def test_the_packaged_unit_is_what_the_model_writes(name: str) -> None:
    assert (PACKAGING / "systemd" / name).read_text("utf-8") == units.packaged()[name]


@pytest.mark.parametrize("name", plists.packaged())
def test_the_packaged_property_list_is_what_the_model_writes(name: str) -> None:
    assert (PACKAGING / "launchd" / name).read_text("utf-8") == plists.packaged()[name]


def test_nothing_else_is_packaged_for_launchd() -> None:
    there = {str(path.relative_to(PACKAGING / "launchd")) for path in (PACKAGING / "launchd").rglob("*.plist")}
    assert there == set(plists.packaged())


def values(text: str, name: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [line.partition("=")[2] for line in lines if line.partition("=")[0] == name]


@pytest.mark.parametrize(
    ("version", "kind", "reload", "pause"),
    [
        (249, "notify", 1, "1"),
        (252, "notify", 1, "1"),
        (253, "notify-reload", 0, "1"),
        (254, "notify-reload", 0, "100ms"),
        (257, "notify-reload", 0, "100ms"),
    ],
)
@pytest.mark.parametrize("write", [units.user_unit, units.template_unit])
def test_a_unit_fits_the_systemd_that_is_there(
    write: Callable[..., str], version: int, kind: str, reload: int, pause: str
) -> None:
    text = write(ANN, systemd=version)
    assert values(text, "Type") == [kind]
    assert len(values(text, "ExecReload")) == reload
    assert values(text, "RestartSec") == [pause]
    assert bool(values(text, "RestartSteps")) == (version >= 254)


def test_user_and_system_units_promise_the_same() -> None:
    """Whatever is about agents and the daemon's life; only who, where and with what may differ."""
    own = {
        "Description",
        "Requires",
        "After",
        "User",
        "Environment",
        "ExecStart",
        "WorkingDirectory",
        "Slice",
        "WantedBy",
    }

    def promises(text: str) -> set[str]:
        lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
        return {line for line in lines if line.partition("=")[0] not in own}

    assert promises(units.user_unit(ANN)) == promises(units.template_unit(ANN))


def test_what_belongs_to_one_person_is_in_the_drop_in_and_not_in_the_shared_template() -> None:
    drop_in = units.instance(ANN)
    assert values(drop_in, "ExecStart") == ["", "/home/ann/.local/bin/kaged"]
    assert "Environment=PATH=/home/ann/bin:/usr/bin:/bin" in drop_in
    assert "ann" not in units.template_unit(units.PACKAGED_SYSTEM)


def read_back(word: str, *, command: bool) -> str:
    """What systemd makes of one word: quotes and backslashes, then specifiers, then variables."""
    (text,) = shlex.split(word.replace("%", "\\%") if not word.startswith('"') else word)
    text = re.sub("%%", "%", text)
    return text.replace("$$", "$") if command else text


@given(printable)
def test_any_word_comes_back_from_a_unit_as_it_was(word: str) -> None:
    for command in (False, True):
        assert read_back(units.quoted(word, command=command), command=command) == word


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), printable, max_size=4), printable)
def test_any_service_is_a_property_list_that_says_what_was_meant(environment: dict[str, str], word: str) -> None:
    service = Service(
        program=("/opt/x & y/kaged", word), environment=environment, user="ann", home="/Users/ann", log="/Users/ann/<l>"
    )
    for text in (plists.agent(service), plists.daemon(service)):
        job = plistlib.loads(text.encode())
        assert job["ProgramArguments"] == ["/opt/x & y/kaged", word]
        assert job["EnvironmentVariables"] == environment | {"HOME": "/Users/ann"}
        assert job["StandardErrorPath"] == job["StandardOutPath"] == "/Users/ann/<l>"


# launchd.plist(5): what a key may be. There is no checker for it on this system.
KINDS = {
    "Label": str,
    "UserName": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "WorkingDirectory": str,
    "RunAtLoad": bool,
    "KeepAlive": dict,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "AbandonProcessGroup": bool,
    "ProcessType": str,
    "SoftResourceLimits": dict,
    "LimitLoadToSessionType": list,
    "StandardOutPath": str,
    "StandardErrorPath": str,
}


@pytest.mark.parametrize("name", plists.packaged())
def test_a_property_list_holds_only_keys_of_launchd_with_values_of_their_kinds(name: str) -> None:
    with open(PACKAGING / "launchd" / name, "rb") as file:
        job = plistlib.load(file)
    assert {key: KINDS.get(key) for key in job} == {key: type(value) for key, value in job.items()}
    assert f"{job['Label']}.plist" == Path(name).name
    assert job["KeepAlive"] == {"SuccessfulExit": False}  # plain true would bring a stopped daemon back
    assert job["AbandonProcessGroup"] is True  # else launchd ends agents with the daemon
    assert job["ExitTimeOut"] > 25  # so long kaged may stop agents
    assert job["ProgramArguments"][0].startswith("/")
    assert "Umask" not in job  # agents would inherit it
    assert ("UserName" in job) == name.startswith("LaunchDaemons/")


def test_each_key_of_a_property_list_says_why() -> None:
    """Two follow from the one before."""
    lines = plists.agent(ANN).splitlines()
    silent = [
        line.strip()[5:-6]
        for before, line in itertools.pairwise(lines)
        if line.startswith("  <key>") and "<!--" not in before
    ]
    assert silent == ["WorkingDirectory", "StandardErrorPath"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize("odd", ["/tmp", "/tmp/a b%c", "/tmp/dollar$HOME\"q'", "/tmp/bäck\\slash"])
def test_systemd_finds_nothing_wrong_with_any_form(tmp_path: Path, odd: str) -> None:
    program = tmp_path / odd.lstrip("/") / "kaged"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = Service(program=(str(program), "-x", "a b$c%d"), environment={"PATH": f"{odd}:/usr/bin", "X": "'\"\\ %n"})
    unit = tmp_path / "kaged.service"
    unit.write_text(sealed(units.user_unit(service)), "utf-8")
    (tmp_path / "kage-agents.slice").write_text(sealed(units.agents_slice()), "utf-8")
    (tmp_path / "run").mkdir()
    said = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", str(unit), str(tmp_path / "kage-agents.slice")],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.stdout + said.stderr, said.returncode) == ("", 0)


def test_a_path_for_a_service_has_absolute_folders_once_each_and_the_standard_ones() -> None:
    assert clean_path("/a:.:/b/:/a::bin:/usr/bin") == "/a:/b:/usr/bin:/usr/local/bin:/bin"
    assert clean_path("") == "/usr/local/bin:/usr/bin:/bin"


def test_only_what_agents_take_over_and_what_moves_the_daemon_is_captured() -> None:
    environ = {
        "PATH": "/x",
        "LANG": "de_DE.UTF-8",
        "API_KEY": "hush",
        "KAGE_STATE_DIR": "/srv/kage",
        "HOME": "/home/ann",
    }
    found = captured(environ, extra={"KAGED_LOG_LEVEL": "debug"})
    assert found == {
        "PATH": "/x:/usr/local/bin:/usr/bin:/bin",
        "LANG": "de_DE.UTF-8",
        "KAGE_STATE_DIR": "/srv/kage",
        "KAGED_LOG_LEVEL": "debug",
    }
    assert captured(environ, path="/y")["PATH"].startswith("/y:")


def test_a_state_folder_that_is_not_absolute_is_refused() -> None:
    with pytest.raises(Complaint, match="not absolute"):
        captured({"KAGE_STATE_DIR": "state"})


@pytest.mark.parametrize("word", ["line\nfeed", "nul\0", "\udcff", "esc\x1b"])
def test_what_no_unit_can_carry_is_refused_before_anything_is_written(word: str) -> None:
    with pytest.raises(Complaint, match="no unit can carry"):
        Service(program=("/bin/kaged",), environment={"PATH": word})
    with pytest.raises(Complaint):
        Service(program=("/bin/kaged",), environment={word: "x"})


TEXTS = [units.user_unit(ANN), plists.agent(ANN), units.agents_slice()]


@pytest.mark.parametrize("text", TEXTS)
def test_a_seal_tells_an_untouched_file_from_a_changed_one(text: str) -> None:
    written = sealed(text)
    assert whose(None, text) == "absent"
    assert whose(written, text) == "same"
    assert whose(written, text.replace("ann", "bob") + "\n") == "ours"  # an older one, as we wrote it
    assert whose(text, text) == "ours"  # a packaged one, copied by hand
    for changed in (
        written.replace("Kage", "KAGE"),
        written + "# mine\n",
        written.replace("kage", "kage ", 1),
        "",
        "x",
    ):
        if changed != written:
            assert whose(changed, text) == "edited"


@given(st.integers(min_value=0), st.characters(exclude_categories=("Cs",)))
def test_no_single_changed_letter_goes_unnoticed(at: int, letter: str) -> None:
    written = sealed(TEXTS[0])
    at %= len(written)
    changed = written[:at] + letter + written[at + 1 :]
    inside_the_remark = at < written.index("\n")  # of the words around the hash nothing depends on
    if changed != written and not inside_the_remark:
        assert whose(changed, TEXTS[0]) == "edited"


def test_a_sealed_property_list_is_still_one() -> None:
    assert plistlib.loads(sealed(plists.agent(ANN)).encode()) == plistlib.loads(plists.agent(ANN).encode())
