"""`midfill demo`: watch real code being completed, denoising step by denoising step.

Owns the show: the engine of its own or the one that runs, the order of things on the screen, and
their plain form where there is no terminal. Every figure is the engine's; only the pace of the
steps is slowed down to be seen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from midfill_engine.wire import (
    GROWING_STRATEGY,
    STRATEGIES,
    Draft,
    Fill,
    FillRequest,
    MidfillError,
    Token,
)
from midfill_lsp.backend.base import EngineUnavailable
from midfill_lsp.commands import connection, demo_cases, picture
from midfill_lsp.context import window
from midfill_lsp.context.budget import ContextBudget
from midfill_lsp.documents import DocumentSnapshot
from midfill_lsp.shape import single_line
from midfill_lsp.shape.pipeline import Shaped, shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from midfill_lsp.backend.base import Health
    from midfill_lsp.backend.engine import EngineBackend
    from midfill_lsp.commands.demo_cases import Case
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.settings import LspSettings

#: A smaller window than in an editor: there the context is read once, here for each file.
BUDGET = ContextBudget(tokens=600)
MAX_TOKENS = 64
SURE = 0.6
#: A step that took less is shown this long, so that it can be seen.
STEP_SHOWN_S = 0.16
REST_S = 0.5
LINES_ABOVE, LINES_BELOW = 7, 4


@dataclass(slots=True)
class Shown:
    """One case and what is known of its middle so far."""

    case: Case
    around: ContextWindow
    tokens: tuple[Token, ...] = ()
    steps: int = 0
    cold: Fill | None = None
    warm: Fill | None = None


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    console = Console(highlight=False)
    settings, problems = connection.user_settings()
    for problem in problems:
        console.print(problem, style="yellow")
    with contextlib.ExitStack() as stack:
        if not settings.backend.url and not _one_runs():
            stack.enter_context(connection.private_engine())
        return connection.run("demo", _demo(args, console, settings))


def _one_runs() -> bool:
    try:
        return bool(asyncio.run(connection.health()))
    except EngineUnavailable:
        return False


async def _demo(args: argparse.Namespace, console: Console, settings: LspSettings) -> int:
    chosen = demo_cases.cases()
    if not chosen:
        raise MidfillError("None of the demo's files is here.", "Run it in the repository.")
    began = time.monotonic()
    with _loading(console) as tell:
        async with connection.connected(settings, tell) as backend:
            tell(backend.state)
            state = backend.state
            waited = time.monotonic() - began
            console.print(f"{state.model} on {state.device}, ready after {waited:.1f} s")
            if console.is_terminal:
                console.print(picture.legend())
            console.print()
            for number, case in enumerate(chosen, 1):
                title = f"{number}/{len(chosen)} · {case.what} · {_name(case)}"
                await _play(console, backend, case, title, args.strategy)
    return 0


async def _play(
    console: Console, backend: EngineBackend, case: Case, title: str, strategy: str
) -> None:
    """Complete one case on the screen, then once more as after one key."""
    shown = Shown(case, _window(case))
    steps: asyncio.Queue[Draft | Fill] = asyncio.Queue()

    async def ask() -> None:
        request = _request(shown.around, strategy, number=1)
        try:
            fill = await backend.fill(request, steps.put_nowait)
        except MidfillError:
            steps.put_nowait(_NOTHING)
            raise
        steps.put_nowait(fill)

    with _screen(console, shown, title) as refresh:
        work = asyncio.create_task(ask())
        while not isinstance(state := await steps.get(), Fill):
            shown.tokens, shown.steps = state.tokens, state.step
            refresh()
            await asyncio.sleep(STEP_SHOWN_S if console.is_terminal else 0)
        await work
        shown.cold, shown.tokens = state, _final(state, shown.around)
        refresh()
        # The next key: the first character of the answer, as if it had been typed.
        typed = "".join(token.text for token in shown.tokens)[:1]
        if typed:
            request = _request(shown.around, strategy, number=2, typed=typed)
            shown.warm = await backend.fill(request)
        refresh()
        await asyncio.sleep(REST_S if console.is_terminal else 0)


_NOTHING = Fill((), "cancelled")


def _final(fill: Fill, around: ContextWindow) -> tuple[Token, ...]:
    """Tokens as an editor would show them."""
    if not fill.middles:
        return ()
    result = shape(fill.middles[0], around, sure_confidence=SURE)
    return result.tokens if isinstance(result, Shaped) else ()


def _window(case: Case) -> ContextWindow:
    snapshot = DocumentSnapshot(case.path.as_uri(), 1, case.language, case.text, case.offset)
    return window.build(snapshot, budget=BUDGET, roots=[str(case.path.parent.parent)])


def _request(around: ContextWindow, strategy: str, *, number: int, typed: str = "") -> FillRequest:
    return FillRequest(
        prefix=around.prefix + typed,
        suffix=around.suffix,
        path=around.path,
        language=around.language,
        session=f"demo:{around.path}",
        version=number,
        budget_ms=connection.PATIENT_MS,
        max_tokens=MAX_TOKENS,
        strategy=strategy,
        single_line=single_line.wanted(around),
        allow_empty=False,
    )


@contextlib.contextmanager
def _screen(console: Console, shown: Shown, title: str) -> Iterator[Callable[[], None]]:
    """Redraw the case in place on a terminal; elsewhere print it once, when it is done."""
    if not console.is_terminal:
        yield lambda: None
        console.print(title)
        console.print(_plain(shown), soft_wrap=True, markup=False)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def refresh() -> None:
            live.update(_panel(shown, title), refresh=True)

        refresh()
        yield refresh


def _code(shown: Shown, *, marked: bool) -> Text:
    around = shown.around
    head, tail = picture.excerpt(around.prefix, around.suffix, LINES_ABOVE, LINES_BELOW)
    return picture.picture(head, picture.middle_text(shown.tokens), tail, marked=marked)


def _panel(shown: Shown, title: str) -> Panel:
    return Panel(
        Group(_code(shown, marked=False), Text(), _figures(shown)),
        title=title,
        title_align="left",
        border_style="dim",
        padding=(0, 1),
    )


def _figures(shown: Shown) -> Text:
    if shown.cold is None:
        return Text(f"step {shown.steps}" if shown.steps else "reading the file", "cyan")
    text = Text().append(picture.figures(shown.cold), "cyan")
    if shown.warm is not None:
        warm = shown.warm
        text.append(
            f"\nafter the next key: {warm.total_ms:,.0f} ms · {warm.cached_tokens:,} of "
            f"{warm.prompt_tokens:,} context tokens cached",
            "cyan",
        )
    text.append("\nwas: ", "dim")
    text.append(_one_line(shown.case.was), "dim")
    return text


def _plain(shown: Shown) -> str:
    return f"{_indented(_code(shown, marked=True).plain)}\n\n{_figures(shown).plain}\n"


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.split("\n"))


def _one_line(text: str) -> str:
    return " ⏎ ".join(line.strip() for line in text.split("\n"))


def _name(case: Case) -> str:
    return "/".join(Path(case.path).parts[-2:])


@contextlib.contextmanager
def _loading(console: Console) -> Iterator[Callable[[Health], None]]:
    """A progress bar while the engine starts and loads."""
    if not console.is_terminal:
        console.print("Starting the engine and loading the model ...")
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("Starting the engine", total=None)

        def tell(health: Health) -> None:
            if health.state == "ready":
                progress.stop()
            elif health.state == "loading":
                progress.update(
                    bar,
                    description="Loading the model",
                    total=1.0,
                    completed=health.progress or 0.0,
                )

        yield tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill demo",
        description="Complete real source files at given cursors and show how the middle comes "
        "to be: what surrounds it dim, what is new in the shade of its confidence. A piece of "
        "each file was taken out; it is shown at the end for comparison. Uses the engine that "
        "runs, or one of its own that ends with the demo.",
    )
    parser.add_argument(
        "--strategy", choices=STRATEGIES, default=GROWING_STRATEGY, help="(%(default)s)"
    )
    return parser
