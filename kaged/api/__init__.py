"""The API as generated from proto/: `v1`, written by `make proto`. Importing this makes importing it cheaper.

protobuf loads its implementation in pure Python, and a parser of its text format with it, also where it runs on the
one in C and nobody will ever use them: a tenth of `kagectl ps`, 4 % of a start of kaged (measured). Here it is loaded
without; whoever wants these modules later gets them.
"""

import contextlib
import importlib
import sys
from types import ModuleType
from typing import Final

from google.protobuf.internal import api_implementation

_PURE: Final = "google.protobuf.internal.python_message"

if api_implementation.Type() != "python" and _PURE not in sys.modules:
    sys.modules[_PURE] = ModuleType(_PURE)
    try:
        # A release of protobuf that uses the module while it is imported fails here, and is then imported whole.
        with contextlib.suppress(AttributeError, ImportError):
            importlib.import_module("google.protobuf.internal.builder")
    finally:
        del sys.modules[_PURE]
