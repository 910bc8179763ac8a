"""The wire contract: clean, compatible with what was released, and generated as committed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

from kaged.rpc.server import SERVICES
from tests.protogen import GENERATED, ROOT, generate

BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
_REPEATABLE_WITHOUT_AN_ID = {"AppendStream"}  # each event has an id
_READS = ("Get", "List", "Watch", "Stream", "Wait", "Read", "Subscribe")


def _buf(*words: str) -> str:
    if BUF is None:
        pytest.skip("needs buf (a dev dependency)")
    done = subprocess.run([BUF, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


def test_the_protos_are_clean_and_every_part_has_a_comment():
    assert _buf("lint", "proto") == ""


def test_nothing_breaks_a_client_of_the_last_release():
    assert _buf("breaking", "proto", "--against", "proto/released.binpb") == ""


def test_a_breaking_change_would_be_seen(tmp_path):
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    file = tmp_path / "proto/kaged/api/v1/event_service.proto"
    file.write_text(file.read_text().replace("uint64 head_seq = 2;", "uint64 head_seq = 22;"))
    assert "head_seq" in _buf("breaking", str(tmp_path / "proto"), "--against", "proto/released.binpb")


def test_a_fresh_generation_is_what_is_committed(tmp_path):
    generate(tmp_path)
    committed = ROOT / "kaged/api/v1"
    names = sorted(path.name for pattern in GENERATED for path in committed.glob(pattern))
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_text() == (committed / name).read_text(), f"run `make proto`: {name} differs"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_method_that_changes_something_takes_a_request_id(service: ServiceDescriptor):
    for method in service.methods:
        takes = "request_id" in method.input_type.fields_by_name
        reads = method.name.startswith(_READS)
        assert takes is not (reads or method.name in _REPEATABLE_WITHOUT_AN_ID), method.full_name


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_list_is_paged(service: ServiceDescriptor):
    for method in service.methods:
        if method.name.startswith("List"):
            assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name)
            assert "next_page_token" in method.output_type.fields_by_name


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_numbers_say_their_unit_and_times_are_timestamps(service: ServiceDescriptor):
    seen: set[str] = set()

    def look(message: Descriptor) -> None:
        if message.full_name in seen or not message.full_name.startswith("kaged."):
            return
        seen.add(message.full_name)
        for field in message.fields:
            if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
                assert field.name.endswith("_s") or field.name == "cpus", field.full_name
            if field.message_type is not None:
                look(field.message_type)

    for method in service.methods:
        look(method.input_type)
        look(method.output_type)
