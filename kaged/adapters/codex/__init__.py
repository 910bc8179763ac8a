"""Codex over `codex app-server`: `adapter` starts and speaks, `hearing` understands. Pure."""
