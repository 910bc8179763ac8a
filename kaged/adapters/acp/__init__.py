"""The Agent Client Protocol: `adapter` starts and speaks, `hearing` understands. Pure."""
