"""One rule per file, each `judge(action, context) -> Verdict`. `kaged/guardrails/judge.py` lists them."""
