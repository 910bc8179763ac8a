"""The supervision tree against real Erlang/OTP: the same scenarios on both, and the same story expected.

kage_tree.erl   drives real `supervisor` processes
otp.py          the Erlang node, kept for many scenarios
scenarios.py    what a scenario is, and how random ones are made
ours.py         the same scenarios on kaged.domain.machines.tree
record.py       `python -m tests.erlang.record` writes traces/, which stand in where Erlang is absent
"""
