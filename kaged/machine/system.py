"""The seam: what a system must be able to tell, and what a process is. Unknown is an empty answer, never a guess."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from kaged.domain.frozen import frozen


@frozen
class Process:
    """One process. `cpu_s` is its own, `waited_cpu_s` that of its ended children (0 where the system does not tell);
    (pid, start_ticks) is unique within one boot, or `start_ticks` is 0: nothing told apart."""

    pid: int
    parent: int
    session: int
    state: str
    start_ticks: int
    cpu_s: float
    waited_cpu_s: float
    rss_bytes: int


class System(Protocol):
    """One kind of operating system."""

    def boot_id(self) -> str:
        """Names this boot, and no other; empty where there is no such name."""

    def pids(self) -> list[int]:
        """All process ids now."""

    def processes(self) -> Mapping[int, Process]:
        """All processes now; one that ends meanwhile is left out."""

    def trees(self, roots: Iterable[int]) -> Mapping[int, Process]:
        """At least these processes and all below them."""

    def environment(self, pid: int) -> list[bytes]:
        """`NAME=value` of a process of ours; empty when it cannot be told."""

    def kill_if(self, pid: int, carries: bytes) -> bool:
        """SIGKILL a process if its environment holds that entry; whether it was hit."""

    def rss_bytes(self) -> int:
        """Memory of this process."""
