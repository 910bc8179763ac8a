"""`--approve on-commit` where the agent's words do not tell: a `reference-transaction` hook in its own worktree.

A script that the agent starts may commit without saying so. Git runs this hook before any branch or tag moves, whoever
asked for it, and takes a status other than 0 as a refusal. It lets pass: what no agent does (no `KAGE_RUN_ID`), refs of
Kage's own, a new branch at a commit that is there already, and what a person has approved: a file `*.once` in the
folder of grants for one transaction, `*.span` for all of them; each holds until the second (since 1970) that it names.

A folder of hooks takes the place of the user's own, so each hook of it goes on to the user's. Putting the folder there
is the workspace's; a hostile process of the same user can take it away, and nothing here says otherwise
(docs/security.md).
"""

import shlex
from typing import Final

REFERENCE_TRANSACTION: Final = "reference-transaction"
FORWARDED: Final = (
    "applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg",
    "commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "post-rewrite",
    "pre-auto-gc",
)  # fmt: skip
"""Hooks that do not change what git does by being there. Others go on to the user's when there is one."""

_HEAD: Final = """\
#!/bin/sh
# Written by kaged: this agent commits with a person's approval (kagectl approval list).
# It stands in for the hooks of this repository's user and goes on to them.
before={before}
own() {{
  folder=$before
  for scope in --local --global --system; do
    [ -n "$folder" ] || folder=$(git config $scope --includes --type=path --get core.hooksPath 2>/dev/null)
  done
  [ -n "$folder" ] || folder=$(git rev-parse --git-common-dir 2>/dev/null)/hooks
  hook=$folder/{name}
  [ -f "$hook" ] && [ -x "$hook" ] && ! [ "$hook" -ef "$0" ]
}}
"""
_FORWARD: Final = """\
own || exit 0
exec "$hook" "$@"
"""
_SCRIPT: Final = """\
# Called by git as: reference-transaction prepared|committed|aborted, with "old new ref" lines on standard input.
grants={grants}
lines=$(cat)
if own; then
  printf '%s\\n' "$lines" | "$hook" "$@" || exit $?
fi
[ "$1" = prepared ] || exit 0
[ -n "${{KAGE_RUN_ID:-}}" ] || exit 0
wanted=$(printf '%s\\n' "$lines" | while read -r _ new ref; do
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
  printf ' %s' "$ref"
done)
[ -n "$wanted" ] || exit 0
now=$(date +%s)
for grant in "$grants"/*.span "$grants"/*.once; do
  [ -f "$grant" ] && read -r until < "$grant" && [ "$now" -lt "$until" ] || continue
  case $grant in
    *.span) exit 0 ;;
  esac
  # Taken away by renaming: of two transactions at once only one gets it.
  if mv "$grant" "$grant.used.$$" 2>/dev/null; then
    rm -f "$grant.used.$$"
    exit 0
  fi
done
echo "kage: refused:$wanted would move, and commits of this agent need a person's approval." >&2
echo "kage: ask for the commit itself (git commit as a command of its own), not from within a script." >&2
exit 1
"""


def reference_transaction(grants: str, *, before: str = "") -> str:
    """The hook's text. `grants`: the folder of what a person has approved; `before`: the folder of hooks that was set
    for this worktree alone, if one was.
    """
    head = _HEAD.format(before=shlex.quote(before), name=REFERENCE_TRANSACTION)
    return head + _SCRIPT.format(grants=shlex.quote(grants))


def forward(name: str, *, before: str = "") -> str:
    """The text of another hook: it goes on to the user's own."""
    return _HEAD.format(before=shlex.quote(before), name=name) + _FORWARD
