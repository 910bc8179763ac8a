"""The tree against RFC 6962 written down again, naively, and against the vectors that log servers publish."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaged.store.log.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    root_of,
    root_over,
)
from tests.search import examples

# The eight leaves and roots of the Certificate Transparency reference implementation.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


def split_at(size: int) -> int:
    half = 1
    while half * 2 < size:
        half *= 2
    return half


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split_at(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split_at(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], complete: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = split_at(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


LEAVES = [leaf(number.to_bytes(2, "big")) for number in range(70)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    leaves = [leaf(data) for data in INPUTS[:size]]
    assert root_of(leaves).hex() == mth(leaves).hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert Frontier().root() == root_of([]) == mth([]) == EMPTY_ROOT


@given(sizes=st.lists(st.integers(0, 6), max_size=12))
def test_subtrees_and_leaves_grow_the_same_tree(sizes: list[int]) -> None:
    frontier, leaves = Frontier(), list[bytes]()
    for power in sizes:
        count = 1 << power
        if frontier.size % count:
            count = 1
        more = [leaf(bytes((len(leaves) % 256, at % 256))) for at in range(count)]
        leaves += more
        frontier.append_subtree(mth(more), count)
        assert frontier.root() == mth(leaves) == root_of(leaves)
    twin = frontier.copy()
    twin.append(leaf(b"more"))
    assert frontier.root() == mth(leaves)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 31, 32, 33, 70])
def test_inclusion_proofs_are_those_of_the_rfc_and_hold_for_nothing_else(size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    for index in range(size):
        proof = inclusion_proof(index, size, root_over(leaves))
        assert proof == path(index, leaves)
        assert inclusion_holds(leaves[index], index, size, proof, root)
        assert not inclusion_holds(leaf(b"other"), index, size, proof, root)
        assert not inclusion_holds(leaves[index], index, size, [*proof, root], root)
        if proof:
            assert not inclusion_holds(leaves[index], index, size, proof[:-1], root)
            assert not inclusion_holds(leaves[index], (index + 1) % size, size, proof, root)
    assert not inclusion_holds(leaves[0], size, size, [], root)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 9, 16, 31, 70])
def test_consistency_proofs_are_those_of_the_rfc_and_hold_for_nothing_else(size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    for old in range(1, size + 1):
        old_root = mth(leaves[:old])
        proof = consistency_proof(old, size, root_over(leaves))
        assert proof == subproof(old, leaves, True)
        assert consistency_holds(old, size, old_root, root, proof)
        assert not consistency_holds(old, size, leaf(b"other"), root, proof)
        assert not consistency_holds(old, size, old_root, leaf(b"other"), proof)
        assert not consistency_holds(old, size, old_root, root, [*proof, root])
        if proof:
            assert not consistency_holds(old, size, old_root, root, proof[:-1])
    assert not consistency_holds(0, size, EMPTY_ROOT, root, [])
    assert not consistency_holds(size + 1, size, root, root, [])


@given(size=st.integers(2, 70), data=st.data())
@settings(max_examples=examples(200))
def test_a_changed_leaf_breaks_every_proof_that_crosses_it(size: int, data: st.DataObject) -> None:
    leaves = LEAVES[:size]
    changed = data.draw(st.integers(0, size - 1))
    forged = [*leaves[:changed], leaf(b"forged"), *leaves[changed + 1 :]]
    old = data.draw(st.integers(changed + 1, size))
    proof = consistency_proof(old, size, root_over(forged))
    assert not consistency_holds(old, size, mth(leaves[:old]), mth(forged), proof)
