"""RFC 6962 Merkle tree over leaf hashes, appended to, kept as its right edge. Pure.

`Frontier` holds at most 64 hashes, whatever the size of the log. Roots, inclusion proofs and consistency proofs
follow RFC 6962 section 2.1 (interior node: SHA-256(0x01, left, right)).
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

EMPTY_ROOT: Final = sha256(b"").digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an interior node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one perfect subtree for each bit of its size, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        self.append_subtree(leaf, 1)

    def append_subtree(self, root: bytes, leaves: int) -> None:
        """Add a perfect subtree; the size so far must be a multiple of `leaves`, a power of two."""
        assert self.size % leaves == 0
        height = self.size // leaves
        self.size += leaves
        while height & 1:
            root = node(self._subtrees.pop(), root)
            height >>= 1
        self._subtrees.append(root)

    def root(self) -> bytes:
        """The tree head over everything appended."""
        if not self._subtrees:
            return EMPTY_ROOT
        root = self._subtrees[-1]
        for subtree in reversed(self._subtrees[:-1]):
            root = node(subtree, root)
        return root

    def copy(self) -> "Frontier":
        """Another frontier over the same leaves."""
        twin = Frontier()
        twin.size = self.size
        twin._subtrees = list(self._subtrees)
        return twin


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Tree head over some leaf hashes."""
    level, frontier = list(leaves), Frontier()
    if len(level) & (len(level) - 1) == 0 and level:
        while len(level) > 1:  # a perfect tree goes level by level, twice as fast as leaf by leaf
            level = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)
            ]
        return level[0]
    for leaf in level:
        frontier.append(leaf)
    return frontier.root()
