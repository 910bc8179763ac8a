"""RFC 6962 Merkle tree over leaf hashes, appended to, kept as its right edge. Pure.

`Frontier` holds at most 64 hashes, whatever the size of the log. Roots, inclusion proofs and consistency proofs
follow RFC 6962 section 2.1 (interior node: SHA-256(0x01, left, right)).
"""

from collections.abc import Callable, Iterable, Sequence
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

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes, in order."""
        subtrees, size = self._subtrees, self.size
        for leaf in leaves:
            height, root = size, leaf
            size += 1
            while height & 1:
                root = sha256(b"\x01" + subtrees.pop() + root).digest()
                height >>= 1
            subtrees.append(root)
        self.size = size

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


# --- proofs ------------------------------------------------------------------------------------------------------

RangeRoot = Callable[[int, int], bytes]  # root over the leaves from start to end (exclusive), counted from 0


def root_over(leaves: Sequence[bytes]) -> RangeRoot:
    """Range roots of leaf hashes in memory."""
    return lambda start, end: root_of(leaves[start:end])


def inclusion_proof(index: int, size: int, root: RangeRoot) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962, 2.1.1: the siblings from the leaf up. `index` counts from 0."""
    assert 0 <= index < size
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_half(end - start)
        if index < middle:
            path.append(root(middle, end))
            end = middle
        else:
            path.append(root(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, size: int, root: RangeRoot) -> list[bytes]:
    """PROOF(old, D[size]) of RFC 6962, 2.1.2: that the first `old` leaves were never changed."""
    assert 0 < old <= size
    path: list[bytes] = []
    start, end = 0, size
    while old != end:
        middle = start + _left_half(end - start)
        if old <= middle:
            path.append(root(middle, end))
            end = middle
        else:
            path.append(root(start, middle))
            start = middle
    if start:  # a subtree that the verifier does not know already
        path.append(root(start, end))
    return path[::-1]


def inclusion_holds(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistency_holds(old: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the older tree inside of the newer one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_found = found = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_found = node(sibling, old_found)
            found = node(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old_found == old_root and found == root


def _left_half(size: int) -> int:
    """The largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1
