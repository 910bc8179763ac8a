"""The common message of an append stream, cut into events in one pass over its bytes. Pure.

Most messages hold a batch number, then groups of events without checks, each length in at most three bytes. Those
are cut here, some four times as fast as field by field. Whatever else a message holds, right or wrong, is None: the
careful way in `services/events.py` takes it and says what is wrong. So this may be strict, but never lenient.
"""

_BATCH = 0x08
_GROUPS = 0x12
_EVENTS = 0x0A


def plain_groups(request: bytes) -> tuple[int, list[list[bytes]]] | None:
    """(batch, events of each group) of an AppendStreamRequest; no group is empty. None when it is not plain."""
    try:
        return _cut(request)
    except IndexError:
        return None


def _cut(request: bytes) -> tuple[int, list[list[bytes]]] | None:
    if request[0] != _BATCH:
        return None
    batch = shift = 0
    at = 1
    while (byte := request[at]) > 0x7F:
        batch |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 49:
            return None
    batch |= byte << shift
    at += 1
    groups: list[list[bytes]] = []
    length = len(request)
    while at < length:
        if request[at] != _GROUPS:
            return None
        # Three times the same few lines: a call for each length would cost more than all the rest.
        size = request[at + 1]
        at += 2
        if size > 0x7F:
            size = size & 0x7F | (byte := request[at]) << 7
            at += 1
            if byte > 0x7F:
                size = size & 0x3FFF | (byte := request[at]) << 14
                at += 1
                if byte > 0x7F:
                    return None
        end = at + size
        if end > length or not size:
            return None
        events: list[bytes] = []
        while at < end:
            if request[at] != _EVENTS:
                return None
            size = request[at + 1]
            at += 2
            if size > 0x7F:
                size = size & 0x7F | (byte := request[at]) << 7
                at += 1
                if byte > 0x7F:
                    size = size & 0x3FFF | (byte := request[at]) << 14
                    at += 1
                    if byte > 0x7F:
                        return None
            events.append(request[at : at + size])
            at += size
        if at != end:
            return None
        groups.append(events)
    return batch, groups
