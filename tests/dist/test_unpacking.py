"""The one file puts itself on the disk: once, whole, for its owner alone, whatever happens meanwhile."""

import contextlib
import fcntl
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.dist.built import OneFile, environment, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
IO_ERROR = 74


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock")


def test_a_start_unpacks_once_for_its_owner_alone(one: OneFile, tmp_path: Path) -> None:
    env = environment(tmp_path)
    first = run(one.path, "--unpack", env=env).stdout.strip()
    inodes = {path: path.stat().st_ino for path in Path(first).rglob("*")}
    assert Path(first).parent == tmp_path / ".cache" / "kage"
    assert run(one.path, "kaged", "--version", env=env).stdout.startswith("kaged ")
    assert {path: path.stat().st_ino for path in Path(first).rglob("*")} == inodes
    assert folders(Path(first).parent) == [Path(first).name]
    for path in (Path(first).parent, *Path(first).rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.stat().st_uid == os.geteuid()


def test_what_is_unpacked_is_what_was_packed(one: OneFile, tmp_path: Path) -> None:
    folder = Path(run(one.path, "--unpack", env=environment(tmp_path)).stdout.strip())
    there = {path.relative_to(folder) for path in folder.rglob("*")}
    assert there == {path.relative_to(one.tree) for path in one.tree.rglob("*")}
    for path in there:
        if (folder / path).is_file() and path.parts[0] != "bin":  # those name their loader
            assert (folder / path).read_bytes() == (one.tree / path).read_bytes(), path


def test_many_that_start_at_once_all_run_and_leave_one_folder(one: OneFile, tmp_path: Path) -> None:
    command = [str(one.path), "kagectl", "--help"]
    started = [subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.DEVNULL) for _ in range(6)]
    assert [process.wait(90) for process in started] == [0] * 6
    assert len(folders(tmp_path / ".cache" / "kage")) == 1


def test_a_start_that_is_killed_leaves_nothing_that_the_next_one_could_run(one: OneFile, tmp_path: Path) -> None:
    env = environment(tmp_path)
    cache = tmp_path / ".cache" / "kage"
    begun = time.monotonic()
    run(one.path, "--unpack", env=env)
    whole_s = time.monotonic() - begun
    chance = random.Random(7)
    for _ in range(5):
        shutil.rmtree(cache)
        process = subprocess.Popen([str(one.path), "--unpack"], env=env, stdout=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(whole_s * chance.random())
        process.kill()
        process.wait()
        for left in folders(cache) if cache.exists() else []:
            if left.startswith("kage-"):  # it was done before we came
                assert len(list((cache / left).rglob("*"))) == len(list(one.tree.rglob("*")))
    assert run(one.path, "kaged", "--version", env=env).returncode == 0
    (name,) = folders(cache)
    assert name.startswith("kage-")


@pytest.mark.parametrize("wrong", ["writable", "foreign", "link"])
def test_a_folder_that_somebody_else_could_write_is_not_used(one: OneFile, tmp_path: Path, wrong: str) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    if wrong == "writable":
        cache.chmod(0o777)
    elif wrong == "foreign":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(cache, 12345, 12345)
    else:
        cache.rmdir()
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        cache.symlink_to(tmp_path / "elsewhere")
    done = run(one.path, "kaged", "--version", env=environment(tmp_path, KAGE_CACHE_DIR=str(cache)), check=False)
    assert done.returncode == IO_ERROR
    assert f"{cache}: " in done.stderr
    assert "Set KAGE_CACHE_DIR" in done.stderr
    assert not list(cache.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("options", "why"), [("size=20m", "20 MB are free"), ("noexec", "noexec"), ("ro", "Read-only file system")]
)
def test_a_disk_that_will_not_do_is_named_and_the_next_place_is_used(
    one: OneFile, tmp_path: Path, options: str, why: str
) -> None:
    (tmp_path / "small").mkdir()
    script = (
        f"mount -t tmpfs -o {options} none {tmp_path}/small || exit 99\n"
        f"XDG_CACHE_HOME={tmp_path}/small {one.path} --unpack || exit\n"
        f"KAGE_CACHE_DIR={tmp_path}/small/kage {one.path} --unpack\n"
    )
    done = run("unshare", "-m", "sh", "-c", script, env=environment(tmp_path), check=False)
    assert done.returncode == IO_ERROR, done.stderr
    assert done.stdout.startswith(str(tmp_path / ".cache" / "kage"))
    assert why in done.stderr


def test_a_damaged_file_says_so_and_leaves_nothing(one: OneFile, tmp_path: Path) -> None:
    data = bytearray(one.path.read_bytes())
    place = len(data) * 2 // 3  # in the middle of what is packed
    data[place : place + 16] = bytes(16)
    broken = tmp_path / "kage"
    broken.write_bytes(data)
    broken.chmod(0o700)
    env = environment(tmp_path, KAGE_CACHE_DIR=str(tmp_path / "cache"))
    done = run(broken, "--unpack", env=env, check=False)
    assert done.returncode == IO_ERROR
    assert "damaged; copy it again" in done.stderr
    assert folders(tmp_path / "cache") == []


def test_an_old_version_goes_when_nobody_runs_from_it_and_nobody_did_for_long(one: OneFile, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    names = ["kage-old", "kage-held", "kage-young", "kage-foreign", "music"]
    for name in names:
        (cache / name / "lib").mkdir(parents=True)
        if name != "kage-foreign":
            (cache / name / ".kage-onefile").touch()
        if name != "kage-young":
            os.utime(cache / name, (0, 0))
    cache.chmod(0o700)
    held = os.open(cache / "kage-held", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)  # as each process does that runs from there
        folder = run(one.path, "--unpack", env=environment(tmp_path, KAGE_CACHE_DIR=str(cache))).stdout.strip()
    finally:
        os.close(held)
    assert folders(cache) == sorted({*names, Path(folder).name} - {"kage-old"})


def test_what_is_no_program_is_refused_with_what_there_is(one: OneFile, tmp_path: Path) -> None:
    done = run(one.path, "kagedd", env=environment(tmp_path), check=False)
    assert done.returncode == 2
    assert "no program or option 'kagedd'" in done.stderr
    assert "kage kagectl" in done.stderr
    assert run(one.path, "--version", env=environment(tmp_path)).stdout.startswith("kage ")
    assert not (tmp_path / ".cache").exists()
