"""An agent for tests of loops, by the jsonl protocol: each turn does what the next word of its script says.

    python looping.py WORD...      words wrap around: the last one is repeated for ever

    step     add a line to work.txt, say so, end the turn
    fail     end the turn with an error
    same     say the same as always, change nothing
    done     write done.txt, say GOAL REACHED
    burn     use 1000 tokens and 0.5 dollars, end the turn
    hang     begin a turn that ends only when it is interrupted
    forbid   delete what is not its own without asking, then go on until it is interrupted
    break    delete what is not its own without asking, end the turn
    die      end with SIGKILL in the middle of the turn
    leave    end the turn, and then the program
    limited  end the turn refused by the account's limit, which is over in two seconds
    early    the same, but tell of the limit before the turn begins
    barred   end the turn because the program may not sign in
    full     end the turn because the session has no room left

Which turn it is at is kept in turns.txt, so that a new process goes on where the last one was.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

FAILURES = {"barred": "auth", "full": "context_exhausted"}


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def hear() -> dict[str, object]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    heard: dict[str, object] = json.loads(line)
    with open("heard.txt", "a", encoding="utf-8") as file:
        file.write(json.dumps(heard) + "\n")
    return heard


def turn(word: str, number: int) -> None:
    if word == "early":
        say(type="rate_limit", outcome="rejected", resets_at=time.time() + 2)
    say(type="turn.started")
    match word:
        case "step":
            with open("work.txt", "a", encoding="utf-8") as file:
                file.write(f"line {number}\n")
            say(type="tool.started", id=f"t{number}", tool="write", input={"line": number})
            say(type="tool.finished", id=f"t{number}", tool="write", outcome="ok")
            say(type="message", text=f"step {number} is done")
        case "same":
            say(type="message", text="thinking about it")
        case "done":
            Path("done.txt").write_text("yes\n", encoding="utf-8")
            say(type="message", text="All is well.\nGOAL REACHED")
        case "burn":
            say(type="message", text=f"expensive {number}")
            say(type="usage", input_tokens=900, output_tokens=100, cost_usd=0.5)
        case "break" | "forbid":
            say(type="tool.started", id=f"t{number}", tool="bash", input={"command": "rm -rf /srv/elsewhere"})
            say(type="tool.finished", id=f"t{number}", tool="bash", outcome="ok")
            if word == "forbid":
                while hear().get("type") != "interrupt":
                    pass
                say(type="turn.ended", outcome="cancelled")
                return
        case "hang":
            say(type="usage", input_tokens=900, output_tokens=100, cost_usd=0.5)
            while hear().get("type") != "interrupt":
                pass
            say(type="turn.ended", outcome="cancelled")
            return
        case "limited":
            say(type="rate_limit", outcome="rejected", resets_at=time.time() + 2)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case _:
            pass
    failed = word in ("fail", "limited", "early", *FAILURES)
    said = {"outcome": "error", "error": "it did not work"} if failed else {"outcome": "ok"}
    say(type="turn.ended", **said, **({"failure": FAILURES[word]} if word in FAILURES else {}))


def main() -> None:
    words = sys.argv[1:]
    place = Path("turns.txt")
    number = int(place.read_text("utf-8")) if place.exists() else 0
    say(type="session", version=1, id=os.environ.get("KAGE_SESSION") or f"looping-{os.getpid()}")
    while True:
        word = words[min(number, len(words) - 1)]
        number += 1
        place.write_text(str(number), "utf-8")
        turn(word, number)
        if word == "leave":
            sys.exit(0)
        while hear().get("type") != "message":
            pass


main()
