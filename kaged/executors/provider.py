"""The executor, watch and sampler as the runtime's ports see them: by run id, under one runs folder."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kaged.domain.run_records import Channel, RunSpec
from kaged.executors.local import Launched, LocalExecutor
from kaged.executors.process_table import ProcessTable, Usage, kill_carriers
from kaged.executors.punch import Puncher
from kaged.executors.run_folder import CONSUMED, LOCK, Liveness, RunFolder, empty_trash, list_runs
from kaged.executors.scope import ManagerRefused, Scopes
from kaged.executors.watch import FolderWatch, watch_folders
from kaged.ports import RunChanges

_BY_THE_DAEMON: Final = frozenset(("wall_time_s", "idle_s", "output_bytes"))
log = logging.getLogger("kaged.executors")


_FEW: Final = 8


class Folder(RunFolder):
    """A run folder with the questions that the runtime asks."""

    __slots__ = ("_puncher",)

    def __init__(self, path: Path, puncher: Puncher) -> None:
        super().__init__(path)
        self._puncher = puncher

    def exists(self) -> bool:
        return self.path.is_dir()

    def held(self) -> bool:
        return self.is_alive() is Liveness.HELD

    def free_spool(self, channel: Channel, start: int, end: int) -> int:
        return self._puncher.punch(self.path, channel, start, end)

    def input_size(self) -> int:
        return self._size("in.log")

    def input_ended(self) -> bool:
        return (self.path / "in.eof").exists()

    def orders_size(self) -> int:
        return self._size("ctl.log")

    def _size(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return 0


class LocalRuns:
    """Runs as children under a folder, each in a scope of its own where there is somebody to ask for one. Without,
    limits that need cgroups are not enforced."""

    def __init__(
        self,
        runs_dir: Path,
        shim: Path,
        *,
        umask: int = -1,
        scopes: Scopes | None = None,
        carried: Path | None = None,
    ) -> None:
        runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._dir = runs_dir
        self._local = LocalExecutor(shim, umask=umask, carried=carried)
        self._scopes = scopes
        self._puncher = Puncher()
        self.enforces: frozenset[str] = _BY_THE_DAEMON | (scopes.enforces if scopes is not None else frozenset())

    def launch(self, run: str, spec: RunSpec) -> Launched:
        launched = self._local.launch(self.folder(run), spec)
        if self._scopes is not None:
            try:
                self._scopes.start(run, launched.pid, spec)  # while its interpreter starts
            except ManagerRefused as error:
                if spec.memory_bytes or spec.cpus or spec.processes:
                    launched.refuse(str(error))  # it was promised limits: better not at all
                log.warning("no_scope run=%s error=%s", run, error)
        return launched

    def folder(self, run: str) -> Folder:
        return Folder(self._dir / run, self._puncher)

    def runs(self) -> list[str]:
        return [folder.run_id for folder in list_runs(self._dir)]

    def kill_leftovers(self, run: str) -> list[int]:
        hit = self._scopes.kill(run) if self._scopes is not None else []
        return hit + kill_carriers(run)

    def empty_trash(self) -> None:
        empty_trash(self._dir)


class RunWatch:
    """`FolderWatch` by run id."""

    def __init__(self, runs_dir: Path) -> None:
        self._dir = runs_dir
        self._watch: FolderWatch = watch_folders()

    def add(self, run: str) -> None:
        self._watch.add(self._dir / run)

    def remove(self, run: str) -> None:
        self._watch.remove(self._dir / run)

    def fileno(self) -> int | None:
        return self._watch.fileno()

    def changed(self) -> RunChanges:
        changes = self._watch.read()
        return RunChanges(
            runs=frozenset([folder.name for folder, name in changes.names if not name.startswith(CONSUMED)]),
            let_go=frozenset([folder.name for folder, name in changes.closed if name == LOCK]),
            lost=changes.look_everywhere,
        )

    def close(self) -> None:
        self._watch.close()


class ProcSampler:
    """Reads /proc once for all runs; of a few runs it reads their processes only."""

    def sample(self, shims: Sequence[tuple[int, int]]) -> list[Usage | None]:
        few = len(shims) <= _FEW
        table = ProcessTable.read_trees([pid for pid, _ in shims]) if few else ProcessTable.read()
        return [table.usage(pid, ticks) for pid, ticks in shims]
