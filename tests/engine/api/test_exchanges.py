"""What unmodified clients were seen to send, replayed; answers are read as each client reads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "exchanges"
PREFIX_END, SUFFIX_STARTS = "    return ", ("\n\n\nprint(total([1, 2]))", "\n}\n")
MIDDLE = "a + b"


def exchanges() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.json")):
        for exchange in json.loads(path.read_text())["exchanges"]:
            name = f"{path.stem}-{exchange['what'].replace(' ', '-')}"
            yield pytest.param(path.stem, exchange, id=name)


# -- how each client finds the text in an answer ---------------------------------------------------


def llama_vim(answer: str) -> list[str]:
    """Looks for the field by a pattern, before it decodes."""
    assert re.match(r"^\s*\{", answer)
    assert re.search(r'"content"\s*:"', answer)
    data = json.loads(answer)
    # Shown in its status line; as flat keys, since it asked for them by path.
    assert {"timings/prompt_n", "timings/predicted_ms", "tokens_cached", "truncated"} <= set(data)
    return [data["content"]]


def llama_vscode(answer: str) -> list[str]:
    """One object or a list; the status bar reads without asking whether a field is there."""
    data = json.loads(answer)
    data = data if isinstance(data, list) else [data]
    for one in data:
        assert isinstance(one["generation_settings"]["n_ctx"], int)
        assert isinstance(one["tokens_cached"], int)
        assert one["timings"].keys() >= {"prompt_n", "prompt_ms", "predicted_n", "predicted_ms"}
    return [one["content"] for one in data]


def lines_of_json(answer: str) -> list[dict[str, Any]]:
    """What parses of the lines after ``data:``; the rest is passed over."""
    out = []
    for line in answer.split("\n"):
        try:
            out.append(json.loads(line.removeprefix("data:")))
        except ValueError:
            continue
    return out


def minuet(answer: str) -> list[str]:
    return ["".join(data["choices"][0]["text"] for data in lines_of_json(answer))]


def minuet_codestral(answer: str) -> list[str]:
    return ["".join(data["choices"][0]["delta"]["content"] for data in lines_of_json(answer))]


def strict_events(answer: str) -> list[dict[str, Any]]:
    """Continue gives up at a line after ``data:`` that does not parse or that holds an error."""
    events = []
    for line in answer.split("\n"):
        if line.startswith("data: [DONE]"):
            return events
        if line.startswith("data:"):
            events.append(json.loads(line.removeprefix("data: ")))
            assert not events[-1].get("error")
    raise AssertionError("the stream has no end")


def continue_mistral(answer: str) -> list[str]:
    return ["".join(event["choices"][0]["delta"]["content"] for event in strict_events(answer))]


def continue_openai(answer: str) -> list[str]:
    return ["".join(event["choices"][0]["text"] or "" for event in strict_events(answer))]


def twinny(answer: str) -> list[str]:
    """Splits at each ``data:`` and takes the first piece after it."""
    texts = []
    for line in answer.split("\n"):
        try:
            data = json.loads(line.split("data:")[1] if line.startswith("data:") else line)
        except ValueError:
            continue
        if data["choices"]:
            texts.append(data["choices"][0]["text"] or "")
    return ["".join(texts)]


def zed(answer: str) -> list[str]:
    """Decoded into a structure whose fields must all be there."""
    data = json.loads(answer)
    assert all(isinstance(data[name], str) for name in ("id", "object", "model"))
    assert isinstance(data["created"], int)
    counts = [data["usage"][f"{name}_tokens"] for name in ("prompt", "completion", "total")]
    assert all(isinstance(count, int) and count >= 0 for count in counts)
    return [data["choices"][0]["text"]]


READERS: dict[str, Callable[[str], list[str]]] = {
    "continue": continue_mistral,
    "continue-openai": continue_openai,
    "llama.vim": llama_vim,
    "llama.vscode": llama_vscode,
    "minuet": minuet,
    "minuet-codestral": minuet_codestral,
    "twinny": twinny,
    "zed": zed,
}


# -- the replay ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "exchange"), list(exchanges()))
async def test_the_client_reads_the_middle(http, filler, client, exchange):
    async with http.post(
        exchange["path"], json=exchange["body"], headers=exchange["headers"]
    ) as answer:
        text = await answer.text()
        assert answer.status == 200, text
    if exchange["what"] == "warm-up":
        return  # its answer is read by nobody
    middles = READERS[client](text)
    assert middles == [MIDDLE + "!" * n for n in range(len(middles))]
    (asked,) = filler.requests
    assert asked.prefix.removesuffix("sum(values)").endswith(PREFIX_END)
    assert asked.suffix.startswith(SUFFIX_STARTS)
    assert "fim" not in asked.prefix + asked.suffix
    assert asked.max_tokens <= 1024


def test_every_client_has_a_reader_and_a_history():
    files = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert files.keys() == READERS.keys()
    for name, kept in files.items():
        assert kept["client"] == name
        assert re.fullmatch(r"[0-9a-f]{40}", kept["commit"])
        assert kept["how"].startswith("run in ") or kept["files"]
