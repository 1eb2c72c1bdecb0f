r"""The suffix-first layout: far suffix, prefix, near suffix, block.

    [<path> other-path \n text]* <suffix> S_far <prefix> [<path> path \n] P [<near> S_near <middle>]
    | block

Owns where each text stands in the context and how long it may be. Everything before the block is
causal, so whatever is equal at the front of two contexts can be reused: what changes rarely
stands first. Knows neither weights nor caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from midfill_engine.layout.fit import SUFFIX_SHARE, fit
from midfill_engine.models.family import DiffusionSpec
from midfill_engine.wire import Snippet

#: Share of the context that pieces of other files may take together.
SNIPPETS_SHARE = 0.25
#: Lines that may stand between the cursor and the anchor of the far suffix.
NEAR_LINES = 10


@dataclass(frozen=True, slots=True)
class Placement:
    """A context as token ids.

    Attributes
    ----------
    ids
        The context; its last row predicts the first token of the middle.
    far
        The text of the far suffix: given back as ``anchor`` it keeps its place.
    prefix_end
        How many of ``ids`` there are up to the cursor.
    """

    ids: list[int]
    far: str
    prefix_end: int


def place(
    spec: DiffusionSpec,
    encode: Callable[[str], list[int]],
    prefix: str,
    suffix: str,
    *,
    path: str = "",
    snippets: Sequence[Snippet] = (),
    anchor: str = "",
    room: int | None = None,
) -> Placement:
    """Arrange one request.

    Parameters
    ----------
    snippets
        Pieces of other files, in an order that seldom changes: what changes is read again from
        there on. Dropped for checkpoints that were trained without.
    anchor
        ``far`` of the session's previous placement. If it still stands at least one line below the
        cursor and at most `NEAR_LINES`, it stays the far suffix and the text before it becomes near
        suffix. Models take a middle that no near suffix follows to be over where it is not.
    room
        Tokens that the context may take; default: what the checkpoint was trained with.
    """
    room = room or spec.trained_context_tokens
    near, far = _split(spec, suffix, anchor)
    head = [spec.prefix_id]
    if path and spec.path_id is not None:
        head += [spec.path_id, *encode(f"{path}\n")]
    tail: list[int] = []
    if near and spec.near_id is not None and spec.middle_id is not None:
        tail = [spec.near_id, *encode(near)[: int(room * SUFFIX_SHARE)], spec.middle_id]
    front = _snippets(spec, encode, snippets, int(room * SNIPPETS_SHARE))
    front += [spec.suffix_id, *encode(far)[: int(room * SUFFIX_SHARE)]]
    body = fit(encode(prefix), room - len(front) - len(head) - len(tail))
    upto = [*front, *head, *body]
    return Placement([*upto, *tail], far, len(upto))


def _snippets(
    spec: DiffusionSpec, encode: Callable[[str], list[int]], snippets: Sequence[Snippet], room: int
) -> list[int]:
    """Whole snippets, as many as fit into ``room``."""
    ids: list[int] = []
    if spec.snippets and spec.path_id is not None:
        for snippet in snippets:
            more = [spec.path_id, *encode(f"{snippet.path}\n{snippet.text}")]
            if len(ids) + len(more) <= room:
                ids += more
    return ids


def _split(spec: DiffusionSpec, suffix: str, anchor: str) -> tuple[str, str]:
    """Near and far suffix."""
    if spec.near_id is None or spec.middle_id is None:
        return "", suffix
    if anchor:
        # At the end, where a short anchor belongs; or with some text behind it that has come into
        # view, which is done without unless it is most of what follows.
        ends = suffix.endswith(anchor)
        at = len(suffix) - len(anchor) if ends else suffix.find(anchor)
        most = 2 * len(anchor) >= len(suffix) - at
        if at >= 0 and most and 1 <= suffix.count("\n", 0, at) <= NEAR_LINES:
            return suffix[:at], anchor
    # A new anchor: the second line below the cursor, so that neither a closed bracket nor a
    # split line touches the far suffix.
    at = suffix.find("\n", suffix.find("\n") + 1) + 1
    return (suffix[:at], suffix[at:]) if at else (suffix, "")
