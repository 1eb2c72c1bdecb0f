"""`midfill complete`: fill the middle at a cursor of a file.

Owns the arguments and what is printed. What is asked and shown is made by the same parts that
serve an editor: privacy, window, backend, shape.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from midfill_engine.wire import DEFAULT_STRATEGY, STRATEGIES, FillRequest, MidfillError, Silence
from midfill_lsp.commands import connection, picture
from midfill_lsp.commands.languages import language_of
from midfill_lsp.context import privacy, window
from midfill_lsp.documents import DocumentSnapshot, LineIndex
from midfill_lsp.shape import single_line
from midfill_lsp.shape.pipeline import Shaped, shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midfill_engine.wire import Fill
    from midfill_lsp.context.window import ContextWindow
    from midfill_lsp.settings import LspSettings

LINES_ABOVE, LINES_BELOW = 8, 5


class Answer(NamedTuple):
    """What came of one question."""

    fill: Fill
    window: ContextWindow
    shaped: list[Shaped | Silence]


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    return connection.run("complete", _complete(args))


async def _complete(args: argparse.Namespace) -> int:
    settings, problems = connection.user_settings()
    for problem in problems:
        print(f"midfill complete: {problem}", file=sys.stderr)
    snapshot = _snapshot(args)
    why = privacy.why_excluded(snapshot.path, exclude=settings.exclude, roots=[str(Path.cwd())])
    if why is not None:
        raise MidfillError(why.message)
    async with connection.connected(settings, _tell) as backend:
        around = window.build(snapshot, roots=[str(Path.cwd())])
        fill = await backend.fill(_request(args, around))
    shaped = [_shaped(args, middle, around, settings) for middle in fill.middles]
    answer = Answer(fill, around, shaped)
    print(json.dumps(_as_json(answer))) if args.json else _print(answer)
    return 0


def _snapshot(args: argparse.Namespace) -> DocumentSnapshot:
    text = _read(args.file)
    path = args.path or ("" if args.file == "-" else args.file)
    lines = LineIndex(text)
    if args.line > len(lines):
        raise MidfillError(f"--line {args.line} is past the end: there are {len(lines)} lines.")
    length = len(lines.lines[args.line - 1].rstrip("\r\n"))
    if args.column > length + 1:
        raise MidfillError(
            f"--column {args.column} is past the end of line {args.line}.",
            f"The cursor can stand at columns 1 to {length + 1}.",
        )
    uri = Path(path).absolute().as_uri() if path else "untitled:stdin"
    offset = lines.offset(args.line - 1, args.column - 1, "utf-32")
    return DocumentSnapshot(uri, 0, args.language or language_of(path), text, offset)


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise MidfillError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise MidfillError(f"{file} is not UTF-8 text (byte {error.start}).") from error


def _request(args: argparse.Namespace, around: ContextWindow) -> FillRequest:
    return FillRequest(
        prefix=around.prefix.replace("\r\n", "\n"),
        suffix=around.suffix.replace("\r\n", "\n"),
        path=around.path,
        language=around.language,
        budget_ms=args.budget_ms or connection.PATIENT_MS,
        max_tokens=args.max_tokens,
        candidates=args.candidates,
        strategy=args.strategy,
        single_line=args.single_line or single_line.wanted(around),
        allow_empty=args.allow_empty,
    )


def _shaped(
    args: argparse.Namespace, middle: Any, around: ContextWindow, settings: LspSettings
) -> Shaped | Silence:
    sure = settings.display.sure_confidence
    if args.raw:
        return Shaped(middle.text, middle.tokens, len(middle.text))
    return shape(middle, around, sure_confidence=sure)


def _as_json(answer: Answer) -> dict[str, Any]:
    fill, around, shaped = answer
    shown = [one for one in shaped if isinstance(one, Shaped)]
    silent = next((one for one in shaped if isinstance(one, Silence)), None)
    figures = fill.to_dict()
    del figures["middles"]
    return {
        "text": shown[0].text if shown else "",
        "candidates": [
            {
                "text": one.text,
                "sure": one.sure,
                "replace_after": one.replace_after,
                "tokens": [[token.text, round(token.confidence, 4)] for token in one.tokens],
            }
            for one in shown
        ],
        "silence": None
        if shown or silent is None
        else {"code": silent.code, "message": silent.message},
        "context": {
            "path": around.path,
            "language": around.language,
            "scope": around.scope.kind,
            "prefix_chars": len(around.prefix),
            "suffix_chars": len(around.suffix),
        },
        "fill": figures,
    }


def _print(answer: Answer) -> None:
    shown = [one for one in answer.shaped if isinstance(one, Shaped)]
    if not shown:
        silent = [one.message for one in answer.shaped if isinstance(one, Silence)]
        print(f"Nothing to show: {' '.join(silent[:1])}".rstrip(": "), file=sys.stderr)
    console = Console(highlight=False)
    for number, one in enumerate(shown):
        if not console.is_terminal:
            print("\n" * (number > 0) + one.text)
            continue
        console.rule(style="dim")
        suffix = answer.window.suffix[one.replace_after :]
        head, tail = picture.excerpt(answer.window.prefix, suffix, LINES_ABOVE, LINES_BELOW)
        middle = picture.middle_text(one.tokens)
        console.print(picture.picture(head, middle, tail, marked=False), soft_wrap=True)
    if console.is_terminal:
        console.rule(style="dim")
        console.print(picture.figures(answer.fill), style="dim")


def _tell(health: Any) -> None:
    if health.message and sys.stderr.isatty():
        print(f"\r\033[K{health.message}", end="", file=sys.stderr, flush=True)
    elif health.state == "ready" and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="midfill complete",
        description="Fill the middle at a cursor of a file and print it. Lines and columns count "
        "from 1, columns in characters; the cursor stands before the character at its column, "
        "and one past the last character is the end of the line.",
        epilog="Example: midfill complete src/app.py --line 12 --column 5",
    )
    parser.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    parser.add_argument("--line", type=_positive, required=True, metavar="N", help="from 1")
    parser.add_argument("--column", type=_positive, required=True, metavar="N", help="from 1")
    parser.add_argument("--json", action="store_true", help="all candidates, tokens and figures")
    parser.add_argument(
        "--strategy", choices=STRATEGIES, default=DEFAULT_STRATEGY, help="(%(default)s)"
    )
    parser.add_argument("--budget-ms", type=_positive, metavar="N", help="then the best so far")
    parser.add_argument("--max-tokens", type=_positive, default=96, metavar="N", help="(96)")
    parser.add_argument("--candidates", type=_positive, default=1, metavar="N", help="(1)")
    parser.add_argument("--single-line", action="store_true", help="to the end of the line only")
    parser.add_argument("--allow-empty", action="store_true", help="nothing is an answer, too")
    parser.add_argument("--raw", action="store_true", help="as the model said it, not fitted")
    parser.add_argument("--language", default="", metavar="ID", help="instead of the file's suffix")
    parser.add_argument("--path", default="", help="name of what standard input holds")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)
