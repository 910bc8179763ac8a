"""Pure: bytes to signals and back. A file or a folder for each kind of agent; `wire` is what they share."""
