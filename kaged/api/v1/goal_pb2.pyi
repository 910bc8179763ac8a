from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GoalLoop(_message.Message):
    __slots__ = ("success", "any", "abort", "limits", "check_timeout_s", "checkpoint_every", "run_is_turn")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ANY_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CHECK_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_FIELD_NUMBER: _ClassVar[int]
    RUN_IS_TURN_FIELD_NUMBER: _ClassVar[int]
    success: _containers.RepeatedCompositeFieldContainer[Criterion]
    any: bool
    abort: AbortCriteria
    limits: GoalLimits
    check_timeout_s: float
    checkpoint_every: int
    run_is_turn: bool
    def __init__(self, success: _Optional[_Iterable[_Union[Criterion, _Mapping]]] = ..., any: bool = ..., abort: _Optional[_Union[AbortCriteria, _Mapping]] = ..., limits: _Optional[_Union[GoalLimits, _Mapping]] = ..., check_timeout_s: _Optional[float] = ..., checkpoint_every: _Optional[int] = ..., run_is_turn: bool = ...) -> None: ...

class Criterion(_message.Message):
    __slots__ = ("command", "file_exists", "file_contains", "output_matches", "tests", "agent_says_done")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    FILE_EXISTS_FIELD_NUMBER: _ClassVar[int]
    FILE_CONTAINS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MATCHES_FIELD_NUMBER: _ClassVar[int]
    TESTS_FIELD_NUMBER: _ClassVar[int]
    AGENT_SAYS_DONE_FIELD_NUMBER: _ClassVar[int]
    command: str
    file_exists: str
    file_contains: FileContains
    output_matches: str
    tests: bool
    agent_says_done: bool
    def __init__(self, command: _Optional[str] = ..., file_exists: _Optional[str] = ..., file_contains: _Optional[_Union[FileContains, _Mapping]] = ..., output_matches: _Optional[str] = ..., tests: bool = ..., agent_says_done: bool = ...) -> None: ...

class FileContains(_message.Message):
    __slots__ = ("path", "pattern")
    PATH_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    path: str
    pattern: str
    def __init__(self, path: _Optional[str] = ..., pattern: _Optional[str] = ...) -> None: ...

class AbortCriteria(_message.Message):
    __slots__ = ("errors", "repeats", "no_progress", "output_matches")
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    NO_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MATCHES_FIELD_NUMBER: _ClassVar[int]
    errors: int
    repeats: int
    no_progress: int
    output_matches: str
    def __init__(self, errors: _Optional[int] = ..., repeats: _Optional[int] = ..., no_progress: _Optional[int] = ..., output_matches: _Optional[str] = ...) -> None: ...

class GoalLimits(_message.Message):
    __slots__ = ("iterations", "tokens", "cost_microusd", "time_s")
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROUSD_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    iterations: int
    tokens: int
    cost_microusd: int
    time_s: float
    def __init__(self, iterations: _Optional[int] = ..., tokens: _Optional[int] = ..., cost_microusd: _Optional[int] = ..., time_s: _Optional[float] = ...) -> None: ...
