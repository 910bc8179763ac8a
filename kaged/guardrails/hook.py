"""`--approve on-commit` where the agent's words do not tell: a `reference-transaction` hook in its own worktree.

A script that the agent starts may commit without saying so. Git runs this hook before any branch or tag moves, whoever
asked for it, and takes a status other than 0 as a refusal. It lets pass: what no agent does (no `KAGE_RUN_ID`), refs of
Kage's own, a new branch at a commit that is there already, and one transaction for each grant, a file that the daemon
puts down when a person has approved. Installing it is the workspace's; a hostile process of the same user can take it
away, and nothing here says otherwise (docs/security.md).
"""

import shlex
from typing import Final

_SCRIPT: Final = """\
#!/bin/sh
# Written by kaged: this agent commits with a person's approval (kagectl approval list).
# Called by git as: reference-transaction prepared|committed|aborted, with "old new ref" lines on standard input.
grants={grants}
[ "$1" = prepared ] || exit 0
[ -n "${{KAGE_RUN_ID:-}}" ] || exit 0
wanted=
while read -r _ new ref; do
  case $ref in
    refs/heads/*|refs/tags/*) ;;
    HEAD) # its branch has a line of its own; without a branch HEAD itself may only go to what is there
      git symbolic-ref -q HEAD >/dev/null 2>&1 && continue ;;
    *) continue ;;
  esac
  # Not "old": that is zero also when git was not told to compare (branch -f, update-ref -d).
  now=$(git rev-parse -q --verify "$ref" 2>/dev/null)
  [ "$now" = "$new" ] && continue
  if [ -z "$now" ] || [ "$ref" = HEAD ]; then
    # A new name, or another place to stand, for a commit that a name holds already: nothing is lost or added.
    [ -n "$(git for-each-ref --count=1 --contains "$new" 2>/dev/null)" ] && continue
  fi
  wanted="$wanted $ref"
done
[ -n "$wanted" ] || exit 0
for grant in "$grants"/*.grant; do
  # Taken away by renaming: of two transactions at once only one gets it.
  if [ -f "$grant" ] && mv "$grant" "$grant.used.$$" 2>/dev/null; then
    rm -f "$grant.used.$$"
    exit 0
  fi
done
echo "kage: refused:$wanted would move, and commits of this agent need a person's approval." >&2
echo "kage: ask for the commit itself (git commit as a command of its own), not from within a script." >&2
exit 1
"""


def reference_transaction(grants: str) -> str:
    """The hook's text. `grants`: the folder with a file `*.grant` for each transaction that a person has approved."""
    return _SCRIPT.format(grants=shlex.quote(grants))
