"""Policy files on this machine: found, read, reported. What they mean is in `kaged/guardrails`."""
