"""Fill holes with LLaDA-8B's geometry and random weights: tokens a second, cached and exact.

    python benchmarks/llada.py --out $OUT/llada.json     # a GPU, under 100 s
    python benchmarks/llada.py --tiny                    # tiny sizes on a CPU: proves that it runs

256 masks between 384 and 128 tokens are filled in 20 denoising steps, in blocks from the left with
an even share of each block a step; speed does not depend on the weights. Two ways:

* ``engine``: a `Filler` answers requests, as behind HTTP, and reads back every step's statistics.
* ``device``: the same forwards as captured graphs, one a step, with the choice of tokens on the
  device too and one read-back at the end: what is left when the host costs nothing.

``exact`` runs all 768 rows at every step. ``cold`` runs them at the first step and then a window
over the block; ``warm`` finds the prompt's rows in the cache, as after a keystroke. ``agreement``
is the share of tokens that are the same as in exact steps of the same precision; of random weights
it says little. Fp8 goes through ``torch._scaled_mm``: ``row`` scales activations row by row,
``fixed`` by a constant.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midfill_engine.cache.window import VICINITY
from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.filler import Filler, with_windows
from midfill_engine.fill.in_place import BLOCK_ROWS, InPlaceOptions
from midfill_engine.models.decoder import Decoder, Embedding, Layer
from midfill_engine.models.family import DecoderConfig, InPlaceSpec
from midfill_engine.models.linear import DenseLinear, Linear
from midfill_engine.models.weights import StoredWeight
from midfill_engine.text.tokenizer import Tokenizer
from midfill_engine.wire import Fill, FillRequest, ModelInfo

TOKENIZER = Path(__file__).parents[1] / "models" / "midfill-0.5b-v7" / "tokenizer.json"
BEGAN = time.perf_counter()


@dataclass(frozen=True)
class Sizes:
    """The geometry and what is filled."""

    hidden: int = 4096
    ff: int = 12288
    layers: int = 32
    heads: int = 32
    vocab: int = 126464
    before: int = 384
    hole: int = 256
    after: int = 128
    steps: int = 20
    runs: int = 5

    @property
    def total(self) -> int:
        """Tokens of the whole text."""
        return self.before + self.hole + self.after

    def config(self) -> DecoderConfig:
        """The switches of the decoder core."""
        return DecoderConfig(
            hidden_size=self.hidden, intermediate_size=self.ff, num_layers=self.layers,
            num_heads=self.heads, num_kv_heads=self.heads, head_dim=self.hidden // self.heads,
            vocab_size=self.vocab, rms_norm_eps=1e-5, rope_theta=5e5, max_positions=4096,
            qkv_bias=False, tied_head=False,
        )  # fmt: skip


TINY = Sizes(64, 96, 2, 4, 46080, 24, 128, 8, 4, 2)


@dataclass
class Bench:
    """What all sections share."""

    sizes: Sizes
    device: torch.device
    dtype: torch.dtype
    weights: dict[str, Tensor]

    @property
    def mask(self) -> int:
        """The mask token."""
        return self.sizes.vocab - 128

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, call: Callable[[], object], runs: int) -> float:
        """Median milliseconds."""
        times = []
        for _ in range(runs):
            self.sync()
            began = time.perf_counter()
            call()
            self.sync()
            times.append((time.perf_counter() - began) * 1000)
        return statistics.median(times)

    def decoder(self, linear: Callable[[Tensor], Linear]) -> Decoder:
        """A decoder of the random weights, each wrapped by ``linear``."""
        w, c = self.weights, self.sizes.config()
        ones = torch.ones(c.hidden_size, device=self.device, dtype=self.dtype)
        names = ("qkv", "o", "gate_up", "down")
        layers = []
        for n in range(c.num_layers):
            qkv, o, gate_up, down = (linear(w[f"{n}.{name}"]) for name in names)
            layers.append(Layer(ones, qkv, o, ones, gate_up, down))
        table = Embedding(StoredWeight(w["table"]), self.dtype, self.device)
        return with_windows(Decoder(c, table, layers, ones, linear(w["head"])))


def copy_bandwidth(bench: Bench) -> int:
    """10^9 bytes read and written a second by a large copy."""
    source = torch.empty(1 << 30, device=bench.device, dtype=torch.uint8).random_()
    target = torch.empty_like(source)
    ms = bench.timed(lambda: target.copy_(source), 10)
    return round(2 * source.nbytes / ms / 1e6)


def random_weights(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    g = torch.Generator(device).manual_seed(0)

    def rand(out: int, inner: int) -> Tensor:
        values = torch.randn(out, inner, device=device, dtype=dtype, generator=g)
        return values.mul_(inner**-0.5)

    d, ff = sizes.hidden, sizes.ff
    weights = {"table": rand(sizes.vocab, d), "head": rand(sizes.vocab, d)}
    for n in range(sizes.layers):
        weights |= {
            f"{n}.qkv": rand(3 * d, d),
            f"{n}.o": rand(d, d),
            f"{n}.gate_up": rand(2 * ff, d),
            f"{n}.down": rand(d, ff),
        }
    return weights


def dense(weight: Tensor) -> Linear:
    return DenseLinear(weight, None)


class ScaledLinear:
    """Fp8 weights with a scale a row, or one for all, times fp8 activations."""

    def __init__(self, weight: Tensor, kind: str) -> None:
        self._row = kind == "row"
        largest = weight.abs().amax(1, keepdim=True) if self._row else weight.abs().amax()
        scale = largest.float() / 448
        self._values = (weight / scale).to(torch.float8_e4m3fn).t()
        self._scale = scale.t().contiguous() if self._row else scale
        self._one = torch.ones((), device=weight.device)

    def __call__(self, rows: Tensor) -> Tensor:
        """Apply to ``rows``."""
        if self._row:
            values, scale = quantised(rows)
        else:
            values, scale = rows.to(torch.float8_e4m3fn), self._one
        return torch._scaled_mm(
            values, self._values, scale_a=scale, scale_b=self._scale,
            out_dtype=rows.dtype, use_fast_accum=True,
        )  # fmt: skip

    @property
    def nbytes(self) -> int:
        """Bytes of the weight."""
        return self._values.nbytes


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """``rows`` as fp8, and the float32 scale of each."""
    if find_spec("triton") is None or rows.device.type != "cuda":
        scale = rows.abs().amax(1, keepdim=True).float().clamp_(min=1e-12) / 448
        return (rows / scale).to(torch.float8_e4m3fn), scale
    import triton  # noqa: PLC0415

    values = torch.empty_like(rows, dtype=torch.float8_e4m3fn)
    scale = torch.empty((len(rows), 1), dtype=torch.float32, device=rows.device)
    size = rows.shape[1]
    _kernel()[(len(rows),)](rows, values, scale, size, triton.next_power_of_2(size), num_warps=8)
    return values, scale


def _kernel() -> Any:
    global _quantise  # noqa: PLW0603
    if _quantise is None:
        import llada_fp8  # noqa: PLC0415  (beside this file; Triton reads a function's source)

        _quantise = llada_fp8.quantise
    return _quantise


_quantise: Any = None


# --- the engine ---------------------------------------------------------------------------------


def engine(bench: Bench, decoder: Decoder, *, refresh: int, warm: bool) -> dict[str, Any]:
    """Requests to a `Filler`; every one starts a session anew unless ``warm``."""
    s = bench.sizes
    tokenizer = Tokenizer(TOKENIZER, s.vocab)
    spec = InPlaceSpec(
        mask_id=bench.mask, eom_id=bench.mask + 1, bos_id=None, eos_id=None,
        forbidden_ids=(bench.mask,), trained_context_tokens=4096, shift=False,
    )  # fmt: skip
    info = ModelInfo("random", "", 0, str(bench.dtype), bench.device.type, 4096, 0)
    options = InPlaceOptions(refresh_steps=refresh, hole_tokens=s.hole)
    filler = Filler(decoder, tokenizer, spec, info, 1 << 32, in_place=options)
    source = tokenizer.encode(Path(__file__).read_text())
    request = FillRequest(
        prefix=tokenizer.decode(source[: s.before]),
        suffix=tokenizer.decode(source[s.before : s.before + s.after]),
        max_tokens=s.hole,
        strategy=f"steps:{s.steps * BLOCK_ROWS // s.hole}",
        session="s",
    )

    def ask() -> Fill:
        if not warm:
            filler.forget("s")
        return filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())

    ask()
    fills: list[Fill] = []
    ms = bench.timed(lambda: fills.append(ask()), s.runs)
    last = fills[-1]
    return {
        "ms": round(ms, 2),
        "tokens_per_s": round(last.completion_tokens / ms * 1000),
        "forwards": last.nfe,
        "tokens_out": last.completion_tokens,
        "tokens_in": last.prompt_tokens,
        "tokens_in_cached": last.cached_tokens,
    }


# --- the same on the device ---------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Which rows run at each step, and how many tokens of which block are committed."""

    mode: str
    block: int = BLOCK_ROWS
    vicinity: int = VICINITY

    def steps(self, s: Sizes) -> Iterator[tuple[range, range, int]]:
        """Rows to run, the block among them, and how many of it to commit."""
        blocks = s.hole // self.block
        for n in range(blocks):
            block = range(s.before + n * self.block, s.before + (n + 1) * self.block)
            count = s.steps // blocks + (n < s.steps % blocks)
            shares = [self.block // count + (k < self.block % count) for k in range(count)]
            for k, share in enumerate(shares):
                # The last block's tokens run once more, to stand in the cache as they now are.
                low = block.start - (self.block if n and not k else 0)
                rows = range(low - self.vicinity, min(block.stop + self.vicinity, s.total))
                if self.mode == "exact" or (self.mode == "cold" and not (n or k)):
                    rows = range(s.total)
                elif not (n or k):  # a hole that held something else before
                    rows = range(s.before - self.vicinity, min(s.before + s.hole + 8, s.total))
                yield rows, block, share


class Loop:
    """A whole request on the device, one graph a step."""

    def __init__(self, bench: Bench, decoder: Decoder, plan: Plan) -> None:
        s, device = bench.sizes, bench.device
        self._decoder, self._bench = decoder, bench
        g = torch.Generator().manual_seed(1)
        text = torch.randint(0, s.vocab // 2, (s.total,), generator=g)
        text[s.before : s.before + s.hole] = bench.mask
        self._text = text.to(device)
        self.ids = self._text.clone()
        self._closed = torch.zeros(s.total, dtype=torch.bool, device=device)
        self._cache = decoder.new_cache()
        self._cache.reserve(s.total)
        self.rows = [len(rows) for rows, _, _ in plan.steps(s)]
        calls = [self._step(*step) for step in plan.steps(s)]
        self._fill_cache()
        for call in calls:
            call()
        self.ids.copy_(self._text)
        self._calls = calls if device.type == "cpu" else self._captured(calls)

    def __call__(self) -> list[int]:
        """Fill the hole; the tokens."""
        s = self._bench.sizes
        self.ids.copy_(self._text)
        self._closed.zero_()
        for call in self._calls:
            call()
        return self.ids[s.before : s.before + s.hole].tolist()

    def _fill_cache(self) -> None:
        self._decoder.forward_within(self._text, self._cache, 0, len(self._text))

    def _step(self, rows: range, block: range, share: int) -> Callable[[], None]:
        decoder, end, mask = self._decoder, len(self._text), self._bench.mask

        @torch.inference_mode()
        def step() -> None:
            ids = self.ids[rows.start : rows.stop]
            hidden = decoder.forward_within(ids, self._cache, rows.start, end)
            logits = decoder.logits(hidden[block.start - rows.start : block.stop - rows.start])
            logits[:, mask] = -torch.inf
            value, token = logits.max(-1)
            sure = value - logits.logsumexp(-1)
            closed = self._closed[block.start : block.stop]
            best = sure.masked_fill(closed, -torch.inf).topk(share).indices
            self.ids[block.start : block.stop].index_copy_(0, best, token[best])
            closed.index_fill_(0, best, value=True)

        return step

    def _captured(self, calls: list[Callable[[], None]]) -> list[Callable[[], None]]:
        pool = torch.cuda.graph_pool_handle()
        replays = []
        for call in calls:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                call()
            replays.append(graph.replay)
        return replays


def on_device(
    bench: Bench, decoder: Decoder, plan: Plan, exact: list[int] | None
) -> tuple[dict[str, Any], list[int]]:
    loop = Loop(bench, decoder, plan)
    tokens = loop()
    ms = bench.timed(loop, bench.sizes.runs)
    entry = {
        "ms": round(ms, 2),
        "tokens_per_s": round(len(tokens) / ms * 1000),
        "forwards": len(loop.rows),
        "rows_a_forward": round(statistics.mean(loop.rows), 1),
    }
    if exact is not None:
        same = sum(a == b for a, b in zip(tokens, exact, strict=True))
        entry["agreement"] = round(same / len(tokens), 3)
    return entry, tokens


def forwards(bench: Bench, decoder: Decoder, plain: Decoder) -> dict[str, Any]:
    """Milliseconds of single captured forwards, and the error of ``decoder`` against ``plain``."""
    s = bench.sizes
    ids = torch.randint(0, s.vocab // 2, (s.total,), device=bench.device)
    cache = decoder.new_cache()
    decoder.forward_within(ids, cache, 0, s.total)
    want = plain.forward_within(ids, plain.new_cache(), 0, s.total)[s.before :].float()
    got = decoder.forward_within(ids[s.before :], cache, s.before, s.total).float()
    out: dict[str, Any] = {"error": round(((got - want).norm() / want.norm()).item(), 4)}
    for rows in (32, 64, 80, 128, 256, s.total):
        if rows > s.total:
            continue
        start = min(s.before, s.total - rows)
        part = ids[start : start + rows].clone()

        def call(part: Tensor = part, start: int = start) -> None:
            decoder.forward_within(part, cache, start, s.total)

        call()
        if bench.device.type == "cuda":
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                call()
            graph.replay()
            out[f"{rows}_rows_ms"] = round(bench.timed(graph.replay, 10), 3)
        else:
            out[f"{rows}_rows_ms"] = round(bench.timed(call, 2), 3)
    hidden = got[: min(64, len(got))].to(bench.dtype)
    decoder.logits(hidden)
    out["head_64_rows_ms"] = round(bench.timed(lambda: decoder.logits(hidden), 10), 3)
    return out


class Report:
    """Sections as they come, on disk after each: what fails later costs nothing before it."""

    def __init__(self, head: dict[str, Any], out: Path | None, limit_s: float) -> None:
        self._result, self._out, self._limit = head, out, limit_s

    def section(self, name: str, make: Callable[[], Any]) -> Any:
        """Measure and write down one section; what ``make`` gave, or ``None``."""
        spent = time.perf_counter() - BEGAN
        entry: Any = {"skipped": f"after {spent:.0f} s"}
        value = None
        if spent < self._limit:
            try:
                value = make()
                entry = value[0] if isinstance(value, tuple) else value
            except Exception as error:  # noqa: BLE001  (the other sections still count)
                traceback.print_exc()
                entry = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
                value = None
        self._result[name] = entry
        self._result["seconds"] = round(time.perf_counter() - BEGAN, 1)
        print(name, json.dumps(entry), flush=True)
        if self._out:
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._out.write_text(json.dumps(self._result, indent=1) + "\n")
        return value


def measure(report: Report, bench: Bench, name: str, decoder: Decoder, plain: Decoder) -> None:
    """All of one precision; what the goals are about comes first."""
    report.section(f"{name}_forwards", lambda: forwards(bench, decoder, plain))
    found = report.section(
        f"{name}_device_exact", lambda: on_device(bench, decoder, Plan("exact"), None)
    )
    exact = found[1] if found else None
    plans = [Plan("warm"), Plan("cold"), Plan("warm", vicinity=0), Plan("cold", vicinity=0)]
    plans += [Plan("warm", width, 0) for width in (16, 32, bench.sizes.hole)]
    for plan in plans:
        key = f"{name}_device_{plan.mode}_block{plan.block}_vicinity{plan.vicinity}"
        report.section(key, lambda p=plan: on_device(bench, decoder, p, exact))
    for refresh, warm in itertools.product((1000, 8), (True, False)):
        key = f"{name}_engine_{'warm' if warm else 'cold'}_refresh{refresh}"
        report.section(key, lambda r=refresh, w=warm: engine(bench, decoder, refresh=r, warm=w))
    report.section(f"{name}_engine_exact", lambda: engine(bench, decoder, refresh=1, warm=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, on the CPU")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--limit-s", type=float, default=85, help="start no section after these")
    args = parser.parse_args()
    sizes = TINY if args.tiny else Sizes()
    device = torch.device("cpu" if args.tiny else "cuda")
    dtype = torch.float32 if args.tiny else torch.bfloat16
    bench = Bench(sizes, device, dtype, random_weights(sizes, device, dtype))
    head = {
        "device": "cpu" if args.tiny else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": find_spec("triton") is not None,
        "sizes": vars(sizes),
    }
    report = Report(head, args.out, args.limit_s)
    if device.type == "cuda":
        report.section("copy_bandwidth_GBps", lambda: copy_bandwidth(bench))
    decoder = bench.decoder(dense)
    plain = Decoder(
        decoder.config,
        decoder.embedding,
        decoder.layers,
        decoder.final_norm,
        dense(bench.weights["head"]),
    )
    report.section("weight_bytes", lambda: decoder.nbytes)
    measure(report, bench, str(dtype).removeprefix("torch."), decoder, plain)
    for kind in ("row", "fixed"):
        made = report.section(f"fp8_{kind}", lambda k=kind: _fp8(bench, k))
        if made:
            measure(report, bench, f"fp8_{kind}", made[1], plain)


def _fp8(bench: Bench, kind: str) -> tuple[dict[str, Any], Decoder]:
    decoder = bench.decoder(lambda weight: ScaledLinear(weight, kind))
    return {"weight_bytes": decoder.nbytes}, decoder


if __name__ == "__main__":
    main()
