"""A model on loopback whose script is in the prompt: the only fake when real agent programs are tested.

    with ScriptedModel() as model:
        prompt = model.script({"text": "I write it.", "tool": "Write", "input": {...}}, {"text": "done"})

Lines of a user's message that begin with `@@ ` are steps, one JSON object each; the step that is played is the number
of turns of the assistant that follow the last such message. So the server keeps no state: a session that is
resumed, or retried, goes on where it was. A step has `text`, `tool` with `input`, `tools` (several at once), `sleep`
(seconds before the answer) or `status` (an HTTP error instead). A request without tools (titles, summaries) is
answered "ok". A prompt that has no steps is known by words in it: `ScriptedModel({"the bug": steps})`.
Usage is fixed: 1000 tokens and 100 more with each step read, 50 written.

Speaks Anthropic Messages, OpenAI Responses and chat completions, and Gemini's streamGenerateContent. Not here: what
an agent does with it.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any

Json = dict[str, Any]


def script(*steps: Json) -> str:
    """A prompt that makes the model play these steps."""
    return "Do what is written here.\n" + "\n".join("@@ " + json.dumps(step) for step in steps)


class ScriptedModel:
    """See the module. `asked`: (path, step) of each request, in order. `known`: words of a prompt, and its steps."""

    def __init__(self, known: Mapping[str, Sequence[Json]] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self.bodies: list[Json] = []
        model = self
        known_prompts = known or {}

        class Handler(_Handler):
            asked = model.asked
            bodies = model.bodies
            known = MappingProxyType(dict(known_prompts))

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "ScriptedModel":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _flat(content: Any) -> str:
    match content:
        case str():
            return content
        case dict():
            return _flat(content.get("text") or content.get("content") or "")
        case list():
            return "\n".join(_flat(item) for item in content)
        case _:
            return ""


def _turns(kind: str, body: Json) -> Iterator[tuple[str, str]]:
    """(role, text) in order; results of tools are ("tool", "")."""
    if kind == "responses":
        given = body.get("input", [])
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
            what = item.get("type", "message")
            if what == "message":
                yield item.get("role", ""), _flat(item.get("content"))
            elif what.endswith(("_output", "_call")):
                yield ("tool" if what.endswith("_output") else "assistant"), ""
    elif kind == "gemini":
        for item in body.get("contents", []):
            parts = item.get("parts", [])
            role = "assistant" if item.get("role") == "model" else "user"
            answers = any("functionResponse" in part for part in parts)
            yield ("tool", "") if answers else (role, _flat([part.get("text", "") for part in parts]))
    else:
        for item in body.get("messages", []):
            content = item["content"]
            results = [b for b in content if b.get("type") == "tool_result"] if isinstance(content, list) else []
            if item["role"] == "user" and results:
                yield "tool", ""
                text = _flat([block for block in content if block not in results])
                if "@@ " in text:
                    yield "user", text
            else:
                yield item["role"], _flat(content)


def _scripted(text: str, known: Mapping[str, Sequence[Json]]) -> str:
    if "@@ " in text:
        return text
    return next((f"{text}\n{script(*steps)}" for words, steps in known.items() if words in text), text)


def _step(kind: str, body: Json, known: Mapping[str, Sequence[Json]]) -> tuple[Json, int]:
    """The step to play, and its number."""
    turns = [(role, _scripted(text, known) if role == "user" else text) for role, text in _turns(kind, body)]
    scripts = [index for index, (role, text) in enumerate(turns) if role == "user" and "@@ " in text]
    if not scripts or not body.get("tools"):
        return {"text": "ok"}, 0
    lines = (line.strip() for line in turns[scripts[-1]][1].splitlines())
    steps: list[Json] = []
    for line in lines:
        if line.startswith("@@ "):
            with contextlib.suppress(ValueError):
                steps.append(json.loads(line[3:]))
    after = [role == "assistant" for role, _ in turns[scripts[-1] + 1 :]]
    number = sum(now and not before for before, now in zip([False, *after], after, strict=False))
    return (steps[number] if number < len(steps) else {"text": "the script is over"}), number


def _calls(step: Json) -> list[Json]:
    if "tools" in step:
        return list(step["tools"])
    return [{"tool": step["tool"], "input": step.get("input", {}), **step.get("extra", {})}] if "tool" in step else []


_KINDS = (
    ("/messages", "anthropic"),
    ("/responses", "responses"),
    ("/chat/completions", "chat"),
    ("enerateContent", "gemini"),
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, int]]
    bodies: list[Json]
    known: Mapping[str, Sequence[Json]] = MappingProxyType({})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name
        """Nothing: `asked` tells."""

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        model = {"id": "scripted", "type": "model", "object": "model", "display_name": "Scripted", "created_at": ""}
        self._json({"object": "list", "data": [model], "has_more": False, "models": []})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        while (self.headers.get("transfer-encoding") or "").lower() == "chunked":
            size = int(self.rfile.readline().strip() or b"0", 16)
            raw += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        path = self.path.partition("?")[0]
        kind = next((kind for word, kind in _KINDS if word in path), "")
        if path.endswith(("count_tokens", ":countTokens")):
            return self._json({"input_tokens": 1000, "totalTokens": 1000})
        if not kind:
            return self._json({})
        body: Json = json.loads(raw or b"{}")
        step, number = _step(kind, body, self.known)
        self.asked.append((path, number))
        self.bodies.append(body)
        time.sleep(step.get("sleep", 0))
        if "status" in step:
            return self._json(
                {"type": "error", "error": {"type": "overloaded_error", "message": "as scripted"}}, step["status"]
            )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{kind}")(body, step, number, len(self.asked))
        return None

    def _json(self, value: Json, code: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _event(self, value: Json | str, *, named: bool = True) -> None:
        name = f"event: {value['type']}\n" if named and isinstance(value, dict) else ""
        data = value if isinstance(value, str) else json.dumps(value)
        self.wfile.write(f"{name}data: {data}\n\n".encode())
        self.wfile.flush()

    def _anthropic(self, body: Json, step: Json, number: int, request: int) -> None:
        used = {"input_tokens": 1000 + 100 * number, "output_tokens": 50}
        used |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        blocks: list[Json] = [{"type": "text", "text": step["text"]}] if "text" in step else []
        for index, call in enumerate(_calls(step)):
            blocks.append(
                {"type": "tool_use", "id": f"toolu_{request:04d}{index}", "name": call["tool"], "input": call["input"]}
            )
        stop = {"stop_reason": "tool_use" if _calls(step) else "end_turn", "stop_sequence": None}
        message = {"id": f"msg_{request:04d}", "type": "message", "role": "assistant", "model": body.get("model")}
        if not body.get("stream"):
            return self._json({**message, **stop, "content": blocks, "usage": used})
        self._stream()
        begun = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": {**used, "output_tokens": 1}}
        self._event({"type": "message_start", "message": message | begun})
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                empty, delta = {"text": ""}, {"type": "text_delta", "text": block["text"]}
            else:
                empty, delta = {"input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            self._event({"type": "content_block_start", "index": index, "content_block": block | empty})
            self._event({"type": "content_block_delta", "index": index, "delta": delta})
            self._event({"type": "content_block_stop", "index": index})
        self._event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}})
        self._event({"type": "message_stop"})
        return None

    def _responses(self, body: Json, step: Json, number: int, request: int) -> None:
        items: list[Json] = []
        if "text" in step:
            content = [{"type": "output_text", "text": step["text"]}]
            items.append({"type": "message", "role": "assistant", "id": f"msg_{request}", "content": content})
        for index, call in enumerate(_calls(step)):
            ids = {"id": f"fc_{request}{index}", "call_id": f"call_{request}{index}", "name": call["tool"]}
            if call.get("custom"):
                items.append({"type": "custom_tool_call", **ids, "input": call["input"]})
            else:
                items.append({"type": "function_call", **ids, "arguments": json.dumps(call["input"])})
        read = 1000 + 100 * number
        used = {"input_tokens": read, "output_tokens": 50, "total_tokens": read + 50}
        used |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        answer = {"id": f"resp_{request:04d}", "object": "response", "status": "completed"}
        answer |= {"output": items, "usage": used}
        if not body.get("stream"):
            return self._json(answer)
        self._stream()
        self._event({"type": "response.created", "response": {"id": answer["id"]}})
        for index, item in enumerate(items):
            if item["type"] == "message":
                place = {"output_index": index, "item_id": item["id"], "content_index": 0}
                self._event(
                    {"type": "response.output_item.added", "output_index": index, "item": item | {"content": []}}
                )
                self._event({"type": "response.output_text.delta", **place, "delta": step["text"]})
            self._event({"type": "response.output_item.done", "output_index": index, "item": item})
        self._event({"type": "response.completed", "response": answer})
        return None

    def _chat(self, body: Json, step: Json, number: int, request: int) -> None:
        read = 1000 + 100 * number
        used = {"prompt_tokens": read, "completion_tokens": 50, "total_tokens": read + 50}
        calls = [
            {
                "index": index,
                "id": f"call_{request}{index}",
                "type": "function",
                "function": {"name": call["tool"], "arguments": json.dumps(call["input"])},
            }
            for index, call in enumerate(_calls(step))
        ]
        said: Json = {"role": "assistant", "content": step.get("text", "")} | ({"tool_calls": calls} if calls else {})
        end = "tool_calls" if calls else "stop"
        chunk = {"id": f"chat_{request}", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
        if not body.get("stream"):
            choices = [{"index": 0, "finish_reason": end, "message": said}]
            return self._json({**chunk, "object": "chat.completion", "choices": choices, "usage": used})
        self._stream()
        self._event({**chunk, "choices": [{"index": 0, "delta": said, "finish_reason": None}]}, named=False)
        choices = [{"index": 0, "delta": {}, "finish_reason": end}]
        self._event({**chunk, "choices": choices, "usage": used}, named=False)
        self._event("[DONE]", named=False)
        return None

    def _gemini(self, body: Json, step: Json, number: int, request: int) -> None:
        parts: list[Json] = [{"text": step["text"]}] if "text" in step else []
        parts += [{"functionCall": {"name": call["tool"], "args": call["input"]}} for call in _calls(step)]
        read = 1000 + 100 * number
        used = {"promptTokenCount": read, "candidatesTokenCount": 50, "totalTokenCount": read + 50}
        said = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
        answer = {"candidates": [said], "usageMetadata": used, "modelVersion": "scripted"}
        if "streamGenerate" not in self.path:
            return self._json(answer)
        self._stream()
        self._event(answer, named=False)
        return None
