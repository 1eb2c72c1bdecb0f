"""From a request to its `Fill`: place the context, bring the cache up, decode, answer.

Owns the loaded model and the order of things. Called from the inference thread only. Knows
neither HTTP nor editors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from midfill_engine.cache.keystroke import Sessions
from midfill_engine.cache.spent import unwritten
from midfill_engine.cache.window import WindowCache
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import output_bias
from midfill_engine.decode.table import DecodeStrategy, Verify, strategy_of
from midfill_engine.device.choose import (
    choose_device,
    choose_precision,
    device_name,
    plan_nothing,
)
from midfill_engine.device.cores import Threads
from midfill_engine.device.memory import release_freed, release_program
from midfill_engine.errors import OutOfMemory
from midfill_engine.fill.agreement import Agreement
from midfill_engine.fill.around import Around
from midfill_engine.fill.canvas import Canvas, stops_of
from midfill_engine.fill.causal import FAR_BACK, Trail, causal, verify
from midfill_engine.fill.costs import Costs
from midfill_engine.fill.denoise import denoise, end_with_a_line
from midfill_engine.fill.drawn import LONG, Drawn, Judge, doubtful, draw, following
from midfill_engine.fill.ending import Ending
from midfill_engine.fill.governor import draft_width
from midfill_engine.fill.in_place import DENOISING, InPlaceOptions, Text, choose_length, infill
from midfill_engine.fill.run import Run, Sampler
from midfill_engine.fill.search import Search
from midfill_engine.fill.steps import Halted, Rounds, Steps, Task, alone, together
from midfill_engine.layout import in_place
from midfill_engine.layout.suffix_first import place
from midfill_engine.models.adapter import open_checkpoint
from midfill_engine.models.chain import read_chain
from midfill_engine.models.decoder import Decoder, load_decoder
from midfill_engine.models.family import DiffusionSpec, InPlaceSpec
from midfill_engine.models.locate import locate
from midfill_engine.models.registry import family_of
from midfill_engine.settings import EngineSettings
from midfill_engine.text.tokenizer import Tokenizer
from midfill_engine.wire import Draft, Fill, FillRequest, FinishReason, Middle, ModelInfo

if TYPE_CHECKING:
    from midfill_engine.models.graphs import GraphDecoder

#: Rows of an open block. On a CPU a row costs time: 16 rows take two thirds of 32, and most middles
#: are shorter (docs/decisions/0002-narrow-blocks-on-cpus.md).
BLOCK_ROWS = {"cpu": 16, "cuda": 32}
#: Temperature of further candidates where the request asks for none: enough to differ.
CANDIDATE_TEMPERATURE = 0.7
#: Characters before a middle by which its place is known again.
REMEMBERED = 120
#: Share of a start's progress at which the weights are there; what a GPU compiles is the rest.
LOADED = 0.9

#: Writes one candidate.
Decode = Callable[[Run, Canvas], Steps[FinishReason]]


@dataclass(slots=True)
class _Work:
    """What one request has come to."""

    request: FillRequest
    run: Run
    strategy: DecodeStrategy | Verify
    width: int = 0
    started: float = field(default_factory=time.perf_counter)
    prompt: int = 0
    before: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    prefilled: float | None = None
    completion: int = 0
    middles: dict[int, Middle] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """The context is read: from now on it writes, and not for longer than it may."""
        self.prefilled = time.perf_counter()
        if self.request.writing_ms is not None:
            self.run.deadline.within(self.request.writing_ms)


class Filler:
    """A loaded model that answers requests."""

    def __init__(
        self,
        decoder: Decoder | GraphDecoder,
        tokenizer: Tokenizer,
        spec: DiffusionSpec | InPlaceSpec,
        info: ModelInfo,
        cache_bytes: int,
        *,
        threads: Threads | None = None,
        in_place: InPlaceOptions | None = None,
    ) -> None:
        self._decoder = decoder
        self._threads = threads or Threads()
        self._tokenizer = tokenizer
        self._spec = spec
        self._info = info
        self._options = in_place or InPlaceOptions()
        self._sessions = Sessions(decoder.new_cache, cache_bytes)
        self._costs = Costs()
        self._rounds = Rounds(decoder, self._costs)
        self._bias = output_bias(
            decoder.config.vocab_size,
            tokenizer.size,
            tuple({*spec.forbidden_ids, *tokenizer.special_ids} - {spec.eom_id}),
        ).to(decoder.device)

    @classmethod
    def load(
        cls,
        settings: EngineSettings,
        progress: Callable[[float, str], None] = lambda _fraction, _what: None,
    ) -> Filler:
        """Load the model that ``settings`` name. Blocks for seconds, and checks no checksums.

        Parameters
        ----------
        progress
            Called with a fraction from 0 to 1 and what is being done.

        Raises
        ------
        CheckpointError
            The checkpoint is missing, damaged, or of an unknown architecture.
        DeviceError
            The device is not there or too small.
        """
        device = choose_device(settings.device)
        precision = choose_precision(settings.precision, device)
        threads = Threads(settings.threads)
        plan_nothing(device)
        folder = locate(settings.model)
        checkpoint = open_checkpoint(folder)
        family = family_of(checkpoint.config)
        config, spec = family.decoder(checkpoint.config), family.diffusion(checkpoint.config)
        tokenizer = Tokenizer(checkpoint.tokenizer_file, config.vocab_size)
        try:
            decoder = load_decoder(
                checkpoint,
                config,
                family.tensors,
                precision=precision,
                device=device,
                progress=lambda done: progress(LOADED * done, "loading the weights"),
            )
            decoder.chain = read_chain(folder, decoder)
            if isinstance(spec, InPlaceSpec):
                fast: Decoder | GraphDecoder = with_windows(decoder)
            else:
                fast = with_graphs(
                    decoder, lambda done: progress(LOADED + (1 - LOADED) * done, "compiling")
                )
        except torch.OutOfMemoryError:
            raise OutOfMemory(
                f"{checkpoint.name} does not fit on {device}.",
                "Use a smaller model, a lower precision, or `--device cpu`.",
            ) from None
        info = ModelInfo(
            name=checkpoint.name,
            architecture=str(checkpoint.config["architectures"][0]),
            parameters=decoder.parameters,
            precision=precision,
            device=device_name(device),
            context_tokens=spec.trained_context_tokens,
            block_size=spec.block_size,
            bytes_resident=decoder.nbytes,
        )
        release_freed()
        release_program()
        options = InPlaceOptions(
            settings.refresh_steps, settings.hole_tokens, settings.agreement == "note"
        )
        return cls(
            fast,
            tokenizer,
            spec,
            info,
            settings.cache_mb << 20,
            threads=threads,
            in_place=options,
        )

    @property
    def info(self) -> ModelInfo:
        """What clients may know of the model."""
        return self._info

    def forget(self, session: str) -> None:
        """Drop the context cache of ``session``."""
        self._sessions.forget(session)

    def rest(self) -> None:
        """Give back the memory that the next request takes again; caches stay."""
        release_freed()

    @property
    def lanes(self) -> int:
        """How many requests may run side by side."""
        return self._decoder.lanes

    def start(
        self,
        request: FillRequest,
        *,
        deadline: Deadline,
        stop: StopToken,
        on_draft: Callable[[Draft], None] | None = None,
        done: Callable[[Fill | Exception], None],
    ) -> None:
        """Answer ``request`` in the rounds that follow, beside others of other sessions.

        Parameters
        ----------
        done
            Called with what `fill` would return or raise, during a round or at once.
        """
        self._rounds.start(Task(self._steps(request, deadline, on_draft), deadline, stop, done))

    def round(self) -> None:
        """One forward of those that run, as many of them as are worth sharing it."""
        self._threads.share()
        self._rounds.round()

    def fill(
        self,
        request: FillRequest,
        *,
        deadline: Deadline,
        stop: StopToken,
        on_draft: Callable[[Draft], None] | None = None,
    ) -> Fill:
        """Answer ``request``; stopped or out of time, with the best complete state.

        Raises
        ------
        InvalidRequest
            There is no such strategy.
        OutOfMemory
            The device has no room for the request's context.
        """
        self._threads.share()
        steps = self._steps(request, deadline, on_draft)
        return alone(steps, self._decoder, self._costs, deadline=deadline, stop=stop)

    def _steps(
        self,
        request: FillRequest,
        deadline: Deadline,
        on_draft: Callable[[Draft], None] | None,
    ) -> Steps[Fill]:
        strategy = strategy_of(request.strategy)  # refused before anything is computed
        run = Run(
            self._decoder,
            self._sessions.get(request.session),
            deadline,
            self._costs,
            self._sampler(request, 0),
        )
        work = _Work(request, run, strategy)
        spec = self._spec
        drafts = isinstance(strategy, Verify) and strategy.drafts
        if drafts and not isinstance(spec, InPlaceSpec):
            work.width = draft_width(self._costs, spec.widths, self._decoder.device.type)
        try:
            reason = yield from self._work(work, on_draft)
        except Halted as halt:
            reason = halt.reason
        except torch.OutOfMemoryError:
            self._sessions.forget(request.session)
            raise OutOfMemory(
                "The device ran out of memory.", "Lower `cache_mb` or use a smaller model."
            ) from None
        run.spent.pause()
        late = reason == "deadline" and not work.middles
        if late or reason in ("cancelled", "superseded"):
            run.cache.owed += run.spent.left(work.prompt + len(run.cache.middle))
        return self._fill(work, reason)

    def _work(self, work: _Work, on_draft: Callable[[Draft], None] | None) -> Steps[FinishReason]:
        """Prefill, then decode each candidate; fills ``work`` also when it is halted."""
        request, run = work.request, work.run
        if isinstance(self._spec, InPlaceSpec):
            reason = yield from self._in_place(work, self._spec, on_draft)
            return reason
        spec, encode = self._spec, self._tokenizer.encode
        placement = place(
            spec,
            encode,
            request.prefix,
            request.suffix,
            path=request.path,
            snippets=request.snippets,
            anchor=run.cache.anchor,
        )
        run.cache.anchor = placement.far
        work.prompt = len(placement.ids)
        work.before = placement.ids[: placement.prefix_end][-FAR_BACK:]
        if not request.draft:
            work.left = self._left(work)
        draft = encode(request.draft) if request.draft else work.left
        draft = draft[: request.max_tokens - 1]  # and what follows it
        rows = yield from run.prefill(placement.ids, draft, [spec.mask_id] * work.width)
        last = rows[:1].clone()  # what later candidates start from; ``rows`` is the decoder's
        work.begin()

        def decode(run: Run, canvas: Canvas, rows: Tensor, draft: list[int]) -> Steps[FinishReason]:
            searching = _searching(work.strategy, run)
            trail = Trail() if searching else None
            reason = yield from self._decode(
                work, run, canvas, rows=rows, draft=draft, spec=spec, trail=trail
            )
            run.spent.aside = True
            if searching and trail and canvas.placed and reason in ("end", "stop"):
                around = Around(request.prefix, request.suffix, single_line=request.single_line)
                search = Search(run, canvas, spec, placement.ids, work.before, work.width, around)
                reason = yield from search.improve(trail, reason, searching.search)
                drawn = searching.drawn if request.max_tokens >= LONG else 0
                follows = following(request.suffix)
                if drawn and follows and canvas.placed and doubtful(canvas):
                    others = yield from _draws(search, request, drawn)
                    upto = placement.ids[: placement.prefix_end]
                    judge = Judge(run, around, encode, upto, follows)
                    reason = yield from judge.choose(canvas, others, reason)
            if reason == "length" and not isinstance(work.strategy, Verify):
                reason = yield from end_with_a_line(run, canvas, work.prompt)
            return reason

        def further(run: Run, canvas: Canvas) -> Steps[FinishReason]:
            rows = last
            if run.cache.ids[: work.prompt] != placement.ids:  # a judge has read on otherwise
                rows = yield from run.prefill(placement.ids)
            run.drop(len(run.cache.ids) - work.prompt)
            reason = yield from decode(run, canvas, rows, [])
            return reason

        first = partial(decode, rows=rows, draft=draft)
        reason = yield from self._candidates(work, first, further, on_draft, self._decoder.lanes)
        return reason

    def _left(self, work: _Work) -> list[int]:
        """What of the session's last middle is left, if what was typed since is how it begins."""
        strategy, cache, prefix = work.strategy, work.run.cache, work.request.prefix
        # With a tolerance, or drawn, the answer would depend on the one before.
        exact = isinstance(strategy, Verify) and strategy.drafts and strategy.tolerance >= 1
        typed = typed_since(cache.before, prefix)
        if not exact or work.request.temperature or typed is None:
            return []
        if not typed:
            return cache.middle
        middle = self._tokenizer.decode(cache.middle)
        return self._tokenizer.encode(middle[len(typed) :]) if middle.startswith(typed) else []

    def _in_place(
        self, work: _Work, spec: InPlaceSpec, on_draft: Callable[[Draft], None] | None
    ) -> Steps[FinishReason]:
        """As `_work`, for models that see both sides of the middle where it stands."""
        request, run, encode = work.request, work.run, self._tokenizer.encode
        limit = min(request.max_tokens, spec.trained_context_tokens // 2)
        frame = in_place.place(
            spec,
            encode,
            request.prefix,
            request.suffix,
            room=spec.trained_context_tokens - limit,
        )
        run.spent.aside = True
        cache = WindowCache(run.cache, self._options.refresh_steps)
        agreement = Agreement() if self._options.agreement else None
        text = Text(run, spec, frame, cache, request.allow_empty, agreement)
        work.prompt = len(frame.around(()))
        masks = yield from choose_length(text, limit, self._options.hole_tokens)
        work.begin()
        strategy, draft = work.strategy, encode(request.draft)[:masks]
        if isinstance(strategy, Verify):
            strategy = DENOISING.get(request.strategy, DENOISING["balanced"])
            if request.strategy not in DENOISING:
                work.notes.append("This model has no causal rows: it denoised as `balanced`.")
        try:
            # One after the other: what is cached of a text holds the middle that is written in it.
            reason = yield from self._candidates(
                work,
                lambda _, canvas: infill(text, canvas, strategy, masks, draft),
                lambda run, canvas: infill(replace(text, run=run), canvas, strategy, masks),
                on_draft,
                lanes=1,
            )
        finally:
            if agreement is not None:
                work.notes.append(agreement.note)
        return reason

    def _candidates(
        self,
        work: _Work,
        first: Decode,
        further: Decode,
        on_draft: Callable[[Draft], None] | None,
        lanes: int,
    ) -> Steps[FinishReason]:
        """Decode the first candidate, then those that the request asks for beyond it.

        The further ones start from the same context, up to ``lanes`` of them side by side, each
        with a seed of its own. In their company the first would come later.
        """
        request, run = work.request, work.run
        reason = yield from self._candidate(work, run, 0, first, on_draft)
        samplers = [self._sampler(request, number) for number in range(1, request.candidates)]

        def candidate(number: int, lane: Run) -> Steps[FinishReason]:
            return self._candidate(work, lane, 1 + number, further)

        yield from _side_by_side(run, samplers, candidate, lanes)
        return reason

    def _candidate(
        self,
        work: _Work,
        run: Run,
        number: int,
        decode: Decode,
        on_draft: Callable[[Draft], None] | None = None,
    ) -> Steps[FinishReason]:
        """Decode one candidate."""
        request = work.request
        canvas = Canvas(
            self._tokenizer,
            request.max_tokens,
            stops_of(request),
            on_draft,
            ending=Ending(early=not run.sampler.temperature),
        )
        reason: FinishReason = "deadline"
        try:
            reason = yield from decode(run, canvas)
        except Halted as halt:
            reason = halt.reason
            raise
        finally:
            canvas.close()
            work.completion += len(canvas.placed) + canvas.ended
            if number == 0:
                self._settle(work, canvas)
                run.cache.before = request.prefix[-REMEMBERED:]
                run.cache.middle = [placed.token for placed in canvas.placed]
            if canvas.placed or canvas.ended:
                work.middles[number] = _new(canvas.middle(reason), request)
        return reason

    def _settle(self, work: _Work, canvas: Canvas) -> None:
        """See how much of what stopped fills have written was a draft that proved right."""
        cache = work.run.cache
        pairs = zip(work.left, canvas.placed, strict=False)
        agreed = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1].token, pairs))
        work.run.spent.lost_writing_ms += unwritten(cache.owed, work.prompt, work.prompt + agreed)
        cache.owed = []

    def _decode(
        self,
        work: _Work,
        run: Run,
        canvas: Canvas,
        *,
        rows: Tensor,
        draft: list[int],
        spec: DiffusionSpec,
        trail: Trail | None,
    ) -> Steps[FinishReason]:
        strategy, empty = work.strategy, work.request.allow_empty
        if isinstance(strategy, Verify):
            return causal(
                run,
                canvas,
                rows,
                draft,
                spec,
                before=work.before,
                # With a tolerance the answer would depend on the one before.
                earlier=run.cache.middle if strategy.tolerance >= 1 else (),
                tolerance=strategy.tolerance,
                width=work.width,
                allow_empty=empty,
                trail=trail,
            )
        if draft:
            agreed = verify(run.stats(rows), draft).agreed
            run.drop(len(draft) - len(agreed))
            canvas.placed.extend(agreed)
            rows = rows[len(agreed) :]
        work.width = spec.width(BLOCK_ROWS[self._decoder.device.type])
        return denoise(run, canvas, rows[:1], spec, strategy, width=work.width, allow_empty=empty)

    def _sampler(self, request: FillRequest, number: int) -> Sampler:
        """How candidate ``number`` of ``request`` is drawn."""
        usual = CANDIDATE_TEMPERATURE if number else 0.0
        temperature, seed = request.temperature or usual, request.seed + number
        return Sampler(self._bias, self._spec.eom_id, temperature, seed)

    def _fill(self, work: _Work, reason: FinishReason) -> Fill:
        now = time.perf_counter()
        prefilled = work.prefilled or now
        nfe, spent = work.run.nfe, work.run.spent
        ignored = work.request.snippets and not self._spec.snippets
        if ignored:
            work.notes.append("This model was not trained with snippets of other files.")
        return Fill(
            middles=_ranked([work.middles[number] for number in sorted(work.middles)]),
            finish_reason=reason,
            model=self._info.name,
            strategy=work.request.strategy,
            width=work.width,
            nfe=nfe,
            tokens_per_forward=round(work.completion / max(nfe, 1), 3),
            prompt_tokens=work.prompt,
            cached_tokens=work.run.cached,
            completion_tokens=work.completion,
            prefill_ms=_ms(prefilled - work.started),
            denoise_ms=_ms(now - prefilled),
            total_ms=_ms(now - work.started),
            reading_ms=round(spent.reading_ms, 3),
            writing_ms=round(spent.writing_ms, 3),
            lost_reading_ms=round(spent.lost_reading_ms, 3),
            lost_writing_ms=round(spent.lost_writing_ms, 3),
            session=work.request.session,
            version=work.request.version,
            notes=tuple(work.notes),
        )


def with_graphs(decoder: Decoder, progress: Callable[[float], None]) -> Decoder | GraphDecoder:
    """``decoder`` behind captured CUDA graphs, where it is on a GPU and Triton is there."""
    if decoder.device.type != "cuda" or find_spec("triton") is None:
        return decoder
    # Late, because Triton exists on some platforms only.
    from midfill_engine.models.graphs import GraphDecoder  # noqa: PLC0415

    graphs = GraphDecoder(decoder)
    graphs.prepare(progress)
    return graphs


def with_windows(decoder: Decoder) -> Decoder:
    """``decoder`` with fused kernels for windows, where it is on a GPU and Triton is there."""
    if decoder.device.type != "cuda" or find_spec("triton") is None:
        return decoder
    # Late, because Triton exists on some platforms only.
    from midfill_engine.models.windows import WindowDecoder  # noqa: PLC0415

    return WindowDecoder.of(decoder)


def _draws(search: Search, request: FillRequest, count: int) -> Steps[list[Drawn]]:
    """Up to ``count`` middles drawn beside the one that was found; out of time, fewer."""
    found: list[Drawn] = []
    for number in range(count):
        seed, most = request.seed + number, request.max_tokens
        try:
            one = yield from draw(search, seed, most=most, allow_empty=request.allow_empty)
        except Halted as halt:
            if halt.reason != "deadline":
                raise
            break
        if one is not None:
            found.append(one)
    return found


def _side_by_side(
    run: Run,
    samplers: Sequence[Sampler],
    decode: Callable[[int, Run], Steps[FinishReason]],
    lanes: int,
) -> Steps[None]:
    """Decode once for each of ``samplers``, up to ``lanes`` of them in the same forwards.

    All start from what ``run`` has cached; it counts the forwards.
    """
    for start in range(0, len(samplers), lanes):
        some = samplers[start : start + lanes]
        caches = [run.cache, *(run.cache.copy() for _ in some[1:])]
        runs = [
            replace(run, cache=cache, sampler=sampler, nfe=0)
            for cache, sampler in zip(caches, some, strict=True)
        ]
        try:
            yield from together([decode(start + n, lane) for n, lane in enumerate(runs)])
        finally:
            run.nfe += max(lane.nfe for lane in runs)


def _searching(strategy: DecodeStrategy | Verify, run: Run) -> Verify | None:
    """How other middles than the greedy one are looked for, if they are; not for a drawn one."""
    if isinstance(strategy, Verify) and strategy.search and not run.sampler.temperature:
        return strategy
    return None


def typed_since(before: str, prefix: str) -> str | None:
    """What stands in ``prefix`` behind ``before``, its last `REMEMBERED` characters at some time.

    ``None`` if they are not there any more. What stands far before the cursor may be another
    window of the text by now.
    """
    whole = len(before) < REMEMBERED and prefix.startswith(before)
    at = 0 if whole else prefix.rfind(before)
    return None if at < 0 else prefix[at + len(before) :]


def _new(middle: Middle, request: FillRequest) -> Middle:
    """``middle``, or a blank one where it only says what stands behind it anyway."""
    text, suffix = middle.text, request.suffix
    alike = text[:1] == suffix[:1]  # looked at first, since the rest takes longer
    if alike and request.allow_empty and Around(request.prefix, suffix).repeats(text):
        return replace(middle, text="", tokens=(), finish_reason="end")
    return middle


def _ranked(middles: list[Middle]) -> tuple[Middle, ...]:
    """Different texts only; the first as decoded stays first, the others by score."""
    different = {middle.text: middle for middle in reversed(middles)}
    rest = [m for m in different.values() if middles[0].text != m.text]
    return (*middles[:1], *sorted(rest, key=lambda m: -m.score))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
