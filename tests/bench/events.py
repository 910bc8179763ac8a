"""The 300-byte event that everything here is measured with: two tags, JSON about as compressible as agents' is."""

import random
import time

from kagectl.client.frames import frame_event
from kagectl.client.ids import uuid7_bytes

EVENT_BYTES = 300
STREAMS = 16
_TEXT = """
read write test build failed passed module package request answer token context file line column merge branch commit
review plan step retry timeout error warning trace value field record schema client server stream batch
"""
_WORDS = _TEXT.split()


def payloads(count: int, seed: int = 1) -> list[bytes]:
    """Bodies that make a framed event of about `EVENT_BYTES` with two tags."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        head = (
            f'{{"step":{number},"file":"src/{rng.choice(_WORDS)}/{rng.choice(_WORDS)}.py","ms":{rng.randint(1, 9999)}'
        )
        text = " ".join(rng.choice(_WORDS) for _ in range(20))
        found.append(f'{head},"text":"{text}'[:185].encode() + b'"}')
    return found


def stream_of(number: int) -> str:
    """Its stream: bench/00 to bench/15."""
    return f"bench/{number % STREAMS:02d}"


def framed(bodies: list[bytes], start: int, count: int, at_us: int = 0) -> list[bytes]:
    """New `NewEvent`s with fresh ids."""
    occurred_us = at_us or time.time_ns() // 1000
    return [
        frame_event(
            event_id=uuid7_bytes(),
            occurred_us=occurred_us,
            stream=stream_of(number),
            event_type="bench.step_done",
            data=bodies[number % len(bodies)],
            tags={"project": "kage", "kind": f"k{number % 4}"},
        )
        for number in range(start, start + count)
    ]
