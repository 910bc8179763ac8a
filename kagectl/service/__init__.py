"""kaged as a service of this machine: what it is (`model`), how systemd and launchd write that down (`units`,
`plists`), what they are told (`systemd`, `launchd`), which of them is here (`machine`), and what an installation
does, step by step (`steps`). Without any of them: `detached`.
"""
