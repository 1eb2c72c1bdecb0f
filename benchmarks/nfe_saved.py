"""Forwards that are saved while typing: by typing along, and by what of the old middle stays true.

    python benchmarks/nfe_saved.py [--model NAME] [--places 4] --out results.json

Real lines are typed key by key into a session, as in `engine_typing.py`. Every key asks the engine
(`every key`), as clients do that keep nothing of the answer before, which the engine then takes for
a draft where it still fits (`every key, warm`). A key that agrees with the middle before it needs
no request (`type-through`); and where a request is needed, the middle before it serves as a draft
(`warm`), without which the same requests are made once more (`type-through` counts these). Greedy
text is the same in all of them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cores  # noqa: F401
from report import tell
from typing_places import Keystroke, places

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.filler import Filler
from midfill_engine.settings import EngineSettings
from midfill_engine.wire import Fill, FillRequest


@dataclass
class Counts:
    """What one way of asking cost over the trace."""

    requests: int = 0
    forwards: int = 0
    tokens: int = 0

    def add(self, fill: Fill) -> None:
        """Count one request."""
        self.requests += 1
        self.forwards += fill.nfe
        self.tokens += fill.completion_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=EngineSettings().model)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--strategy", default="balanced")
    parser.add_argument("--places", type=int, default=4, help="per file")
    parser.add_argument("--context", type=int, default=400, help="tokens, roughly")
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    filler = Filler.load(EngineSettings(model=args.model, device=args.device))
    ways = {name: Counts() for name in ("every key", "every key, warm", "type-through", "warm")}
    differing = 0

    def ask(key: Keystroke, session: str) -> Fill:
        request = FillRequest(
            key.prefix,
            key.suffix,
            path="typed.py",
            session=session,
            strategy=args.strategy,
            max_tokens=args.max_tokens,
        )
        return filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())

    for place in places(args.places, args.context * 4, seed=2):
        shown = ""
        for key in place.keystrokes(args.context * 4):
            filler.forget("cold")
            fresh = ask(key, "cold")
            ways["every key"].add(fresh)
            each = ask(key, "each")
            ways["every key, warm"].add(each)
            differing += each.text != fresh.text
            if len(shown) > 1 and shown.startswith(key.prefix[-1]):
                shown = shown[1:]  # typed along: what is shown stays true
                continue
            ways["type-through"].add(fresh)
            warm = ask(key, "warm")
            ways["warm"].add(warm)
            differing += warm.text != fresh.text
            shown = warm.text
        filler.forget("warm")
        filler.forget("each")
    result = {
        "model": filler.info.to_dict(),
        "strategy": args.strategy,
        "ways": {name: vars(counts) for name, counts in ways.items()},
        "answers_that_differ": differing,
    }
    tell(result, args.out)


if __name__ == "__main__":
    main()
