"""Measure the engine on a GPU: kernels, denoising steps, warm keystrokes, precisions, quality.

    python benchmarks/gpu_step.py --tokenizer models/NAME --model models/NAME \
        --heldout benchmarks/quality/heldout.jsonl.gz --out benchmarks/results/NAME.json

Sizes are timed with random weights (speed does not depend on them; the number of forwards is fixed
by the strategy ``steps:N``), so that an 8B geometry needs no 8B checkpoint. Shares are those bytes
that a step must read once (all layers and the head) at the measured bandwidth of a copy, over the
time it took. Every section stands alone: one that fails leaves its error in the result, and the
result is written after each. `gpu_tiles.py` tries other tilings.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import gzip
import importlib
import io
import itertools
import json
import pstats
import statistics
import subprocess
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

for missing in ("platformdirs", "psutil"):
    # The engine's edges need them; nothing that is measured here does.
    try:
        importlib.import_module(missing)
    except ModuleNotFoundError:
        sys.modules[missing] = types.ModuleType(missing)

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.decode.rows import output_bias, read_back, row_stats
from midfill_engine.fill.filler import Filler
from midfill_engine.layout.suffix_first import place
from midfill_engine.models import kernels
from midfill_engine.models.checkpoint import Checkpoint
from midfill_engine.models.decoder import Decoder, Embedding, Layer, load_decoder
from midfill_engine.models.family import DecoderConfig
from midfill_engine.models.fused import FusedDecoder, weight_of
from midfill_engine.models.graphs import GraphDecoder
from midfill_engine.models.linear import Linear, make_linear
from midfill_engine.models.product import MOST_ROWS, Stream
from midfill_engine.models.registry import family_of
from midfill_engine.models.sight import Branch, sight
from midfill_engine.models.weights import StoredWeight
from midfill_engine.text.tokenizer import Tokenizer
from midfill_engine.wire import FillRequest, ModelInfo

DEVICE = torch.device("cuda")
SIZES = {
    "0.5B": (896, 4864, 24, 14, 2, 64, 46016),
    "8B": (4096, 12288, 36, 32, 8, 128, 46016),
}
PRECISIONS = ("bfloat16", "int8", "fp8", "int4")
CONTEXT = 1500


def geometry(name: str, layers: int = 0) -> DecoderConfig:
    hidden, ff, all_layers, heads, kv, head_dim, vocab = SIZES[name]
    return DecoderConfig(
        hidden_size=hidden, intermediate_size=ff, num_layers=layers or all_layers, num_heads=heads,
        num_kv_heads=kv, head_dim=head_dim, vocab_size=vocab, rms_norm_eps=1e-6,
        rope_theta=1e6, max_positions=8192, qkv_bias=True, tied_head=True,
    )  # fmt: skip


def random_decoder(c: DecoderConfig, precision: str) -> Decoder:
    def weight(out: int, inner: int) -> StoredWeight:
        values = torch.randn(out, inner, device=DEVICE, dtype=torch.bfloat16)
        return StoredWeight(values.mul_(inner**-0.5))

    def linear(out: int, inner: int, *, bias: bool = False) -> Linear:
        return make_linear(
            weight(out, inner), torch.randn(out) if bias else None, precision, DEVICE
        )

    def norm() -> torch.Tensor:
        return torch.rand(c.hidden_size, device=DEVICE, dtype=torch.bfloat16) + 0.5

    q, kv = c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim
    layers = [
        Layer(
            norm(),
            linear(q + 2 * kv, c.hidden_size, bias=True),
            linear(c.hidden_size, q),
            norm(),
            linear(2 * c.intermediate_size, c.hidden_size),
            linear(c.hidden_size, c.intermediate_size),
        )
        for _ in range(c.num_layers)
    ]
    table = weight(c.vocab_size, c.hidden_size)
    head = make_linear(table, None, precision, DEVICE)
    return Decoder(c, Embedding(table, torch.bfloat16, DEVICE), layers, norm(), head)


def summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": round(statistics.median(ordered), 4),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 4),
        "n": len(ordered),
    }


def timed(call: Callable[[], object], runs: int) -> list[float]:
    for _ in range(3):
        call()
    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        began = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) * 1000)
    return times


def replayed(calls: Callable[[], object], runs: int = 30) -> float:
    """Median milliseconds on the device of one replay of what ``calls`` launches."""
    calls()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        calls()
    graph.replay()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(runs + 1)]
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in itertools.pairwise(marks))


def copy_bandwidth() -> float:
    """Bytes read and written a second by a large copy."""
    source = torch.empty(1 << 30, device=DEVICE, dtype=torch.uint8).random_()
    target = torch.empty_like(source)
    return 2 * source.nbytes / (statistics.median(timed(lambda: target.copy_(source), 20)) / 1000)


def error(got: torch.Tensor, want: torch.Tensor) -> float:
    """Relative error; not a number where anything is not one."""
    want = want.double()
    return round(((got.double() - want).norm() / want.norm()).item(), 6)


def kernel_errors(decoder: Decoder, rows: int) -> dict[str, float]:
    """Each kernel of the first layer against double precision on the same inputs."""
    fused, c, layer = FusedDecoder(decoder), decoder.config, decoder.layers[0]
    p, eps, n = fused.products, c.rms_norm_eps, rows
    names = ("qkv", "o", "gate_up", "down")
    dense = {k: weight_of(getattr(layer, k)).dense(torch.float64) for k in names}
    gain, second = layer.attention_norm, layer.mlp_norm

    def normed(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        x = x[:n].double()
        return x * (x.square().mean(1, keepdim=True) + eps).rsqrt() * weight.double()

    ids = torch.randint(0, c.vocab_size, (n,), device=DEVICE)
    table, scale = decoder.embedding.values, decoder.embedding.scale
    s = kernels.embed(ids, table, scale, gain, p.parts(weight_of(layer.down), n))
    found = {"embed": error(s.x[:n], decoder.embedding(ids))}
    found["norm"] = error(kernels.norm(s, n, gain, eps), normed(s.x, gain))
    bias = layer.qkv.bias
    qkv = p.normed(s, weight_of(layer.qkv), bias, eps)
    found["qkv"] = error(qkv[:n], normed(s.x, gain) @ dense["qkv"].T + bias.double())
    cache = decoder.new_cache()
    cache.reserve(2048)
    memory = cache.layer(0).normal_()
    for opened in (0, n // 2, n):
        place = kernels.placed(CONTEXT, sight(n, opened), n).to(DEVICE)
        y = kernels.attention(
            p,
            qkv,
            memory,
            place,
            decoder.cos,
            decoder.sin,
            rows=n,
            heads=c.num_heads,
        )
        want = attended(decoder, qkv[:n], memory, opened)
        found[f"attention_{opened}_open"] = error(y[:n], want)
    before = s.x[:n].double()
    after = p.add(s, y, weight_of(layer.o), second)
    found["o"] = error(after.x[:n], before + y[:n].double() @ dense["o"].T)
    h = p.normed(after, weight_of(layer.gate_up), None, eps, gated=True)
    gate, up = (normed(after.x, second) @ dense["gate_up"].T).chunk(2, -1)
    found["gate_up"] = error(h[:n], torch.nn.functional.silu(gate) * up)
    before = after.x[:n].double()
    last = p.add(after, h, weight_of(layer.down), gain)
    found["down"] = error(last.x[:n], before + h[:n].double() @ dense["down"].T)
    hidden = kernels.norm(last, n, decoder.final_norm, eps)
    forbidden = output_bias(c.vocab_size, c.vocab_size - 16, (1, 2, 3)).to(DEVICE)
    logits = hidden.double() @ weight_of(decoder.head).dense(torch.float64).T
    want = row_stats(logits.float(), forbidden)
    got = read_back(fused.statistics(hidden, forbidden, forbid=None, asked=[], end=0), 0)
    for name in ("tokens", "probability", "margin", "entropy"):
        pair = (torch.tensor(getattr(x, name), dtype=torch.float64) for x in (got, want))
        found[f"head_{name}"] = error(*pair)
    return found


def attended(decoder: Decoder, qkv: torch.Tensor, memory: torch.Tensor, opened: int):  # noqa: ANN201
    """Attention of the rows of ``qkv`` behind `CONTEXT` slots, in double precision."""
    c, n = decoder.config, len(qkv)
    end = CONTEXT + n
    heads = qkv.double().view(n, -1, c.head_dim).transpose(0, 1)
    q, k, v = heads.split([c.num_heads, c.num_kv_heads, c.num_kv_heads])
    cos, sin = (t[CONTEXT:end].double() for t in (decoder.cos, decoder.sin))

    def rotate(x: torch.Tensor) -> torch.Tensor:
        left, right = x.chunk(2, -1)
        return x * cos + torch.cat((right, left), -1) * sin

    group = c.num_heads // c.num_kv_heads
    keys, values = (
        torch.cat((old[:, :CONTEXT].double(), new), 1).repeat_interleave(group, 0)
        for old, new in ((memory[0], rotate(k)), (memory[1], v))
    )
    mask = torch.ones(n, end, dtype=torch.bool, device=DEVICE).tril(CONTEXT)
    mask[n - opened :] = True
    y = torch.nn.functional.scaled_dot_product_attention(rotate(q), keys, values, attn_mask=mask)
    return y.transpose(0, 1).reshape(n, -1)


def forward_errors(decoder: Decoder, graphs: GraphDecoder) -> dict[str, object]:
    """Captured forwards against eager ones, and whether twenty replays agree to the bit."""
    vocab = decoder.config.vocab_size
    ids = torch.randint(0, vocab, (700,), device=DEVICE)
    eager, captured = decoder.new_cache(), graphs.new_cache()
    decoder.forward(ids, eager, 0)
    graphs.forward(ids, captured, 0)
    found: dict[str, object] = {}
    inside = (Branch(1, 8), Branch(5, 8), Branch(3, 4))
    shapes: dict[str, tuple[int, int, Sequence[Branch]]] = {
        "block": (32, 32, ()),
        "mixed": (45, 32, ()),
        "causal": (20, 0, ()),
        "row": (1, 0, ()),
        "branches": (45, 16, inside),
    }
    for name, (rows, opened, branches) in shapes.items():
        part = torch.randint(0, vocab, (rows,), device=DEVICE)
        seen = {"open_rows": opened, "branches": branches}
        want = decoder.forward(part, eager, 700, **seen)
        runs = [graphs.forward(part, captured, 700, **seen).clone() for _ in range(20)]
        found[name] = error(runs[0], want)
        found[f"{name}_steady"] = all(torch.equal(runs[0], run) for run in runs)
    return found


def streamed(decoder: Decoder, *, head: bool) -> int:
    """Bytes of weights that one forward must read."""
    names = ("qkv", "o", "gate_up", "down")
    layers = sum(getattr(layer, name).nbytes for layer in decoder.layers for name in names)
    return layers + head * decoder.head.nbytes


def step_times(decoder: Decoder, graphs: GraphDecoder, bandwidth: float) -> dict[str, object]:
    """A block of 32 rows over 1.5k slots: the forward alone, and with all that a step adds."""
    vocab = decoder.config.vocab_size
    cache = graphs.new_cache()
    graphs.forward(torch.randint(0, vocab, (CONTEXT,), device=DEVICE), cache, 0)
    block = torch.randint(0, vocab, (32,), device=DEVICE)
    bias = torch.zeros(vocab, device=DEVICE)

    def forward() -> torch.Tensor:
        return graphs.forward(block, cache, CONTEXT, open_rows=32)

    def step() -> object:
        return read_back(graphs.statistics(forward(), bias, forbid=None, asked=[], end=0), 0)

    layers, whole = (streamed(decoder, head=head) / bandwidth * 1000 for head in (False, True))
    found = {
        "streamed_bytes": streamed(decoder, head=True),
        "stream_once_ms": {"layers": round(layers, 3), "with_head": round(whole, 3)},
        "forward": summary(timed(forward, 100)),
        "step": summary(timed(step, 100)),
    }
    hidden = forward().clone()
    found["head_and_statistics_device_ms"] = round(
        replayed(lambda: graphs.statistics(hidden, bias, forbid=None, asked=[], end=0)), 4
    )
    found["share_of_bandwidth_forward"] = round(layers / found["forward"]["p50_ms"], 3)
    found["share_of_bandwidth_step"] = round(whole / found["step"]["p50_ms"], 3)
    return found


def filler_of(graphs: GraphDecoder, folder: Path, precision: str) -> Filler:
    config = json.loads((folder / "config.json").read_text())
    spec = family_of(config).diffusion(config)
    tokenizer = Tokenizer(folder / "tokenizer.json", graphs.config.vocab_size)
    info = ModelInfo("measured", "", 0, precision, "cuda", 2300, spec.block_size)
    return Filler(graphs, tokenizer, spec, info, 1 << 30)


def keystrokes(
    filler: Filler, *, context: int, middle: int, strategy: str, keys: int, empty: bool = False
) -> dict[str, float]:
    """Type through a file: each key adds one character and asks for a middle."""
    source = Path(__file__).read_text() * 4
    chars = int(context * 3.2)
    suffix, fills = source[: chars // 4], []
    for key in range(keys):
        request = FillRequest(
            prefix=source[1000 : 1000 + chars * 3 // 4 + key], suffix=suffix, session="typing",
            max_tokens=middle, strategy=strategy, allow_empty=empty,
        )  # fmt: skip
        fills.append(filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken()))
    warm = fills[keys // 6 :]
    return summary([f.total_ms for f in warm]) | {
        "prefill_p50_ms": summary([f.prefill_ms for f in warm])["p50_ms"],
        "nfe": round(statistics.mean(f.nfe for f in warm), 2),
        "middle_tokens": round(statistics.mean(f.completion_tokens for f in warm), 2),
        "prompt_tokens": warm[-1].prompt_tokens,
    }


def host_profile(filler: Filler) -> list[str]:
    """Where the host spends a keystroke: functions by their own time."""
    profile = cProfile.Profile()
    keystrokes(filler, context=2000, middle=32, strategy="steps:8", keys=12)
    profile.enable()
    keystrokes(filler, context=2000, middle=32, strategy="steps:8", keys=30)
    profile.disable()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(18)
    return [line.rstrip() for line in text.getvalue().splitlines() if line.strip()][-18:]


def launches(decoder: Decoder, fused: FusedDecoder) -> dict[str, Callable[[], object]]:
    """For each kernel, what launches it once a layer, so that weights come from memory."""
    p, c, eps = fused.products, decoder.config, decoder.config.rms_norm_eps
    x = torch.randn(32, c.hidden_size, device=DEVICE, dtype=torch.bfloat16)
    parts = p.parts(weight_of(decoder.layers[0].down), 32)
    stream = Stream(x, x.clone(), torch.ones(parts, 32, device=DEVICE))
    width = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim
    qkv = torch.randn(32, width, device=DEVICE, dtype=torch.bfloat16)
    y = torch.randn(32, c.num_heads * c.head_dim, device=DEVICE, dtype=torch.bfloat16)
    h = torch.randn(32, c.intermediate_size, device=DEVICE, dtype=torch.bfloat16)
    cache = decoder.new_cache()
    cache.reserve(2048)
    place = kernels.placed(CONTEXT, sight(32, 32), 32).to(DEVICE)

    def over(call: Callable[[int, Layer], object]) -> Callable[[], object]:
        return lambda: [call(number, layer) for number, layer in enumerate(decoder.layers)]

    return {
        "qkv": over(lambda _, layer: p.normed(stream, weight_of(layer.qkv), layer.qkv.bias, eps)),
        "attention": over(
            lambda number, _: kernels.attention(
                p, qkv, cache.layer(number), place, decoder.cos, decoder.sin,
                rows=32, heads=c.num_heads,
            )
        ),
        "o": over(lambda _, layer: p.add(stream, y, weight_of(layer.o), layer.mlp_norm)),
        "gate_up": over(
            lambda _, layer: p.normed(stream, weight_of(layer.gate_up), None, eps, gated=True)
        ),
        "down": over(lambda _, layer: p.add(stream, h, weight_of(layer.down), layer.mlp_norm)),
    }  # fmt: skip


def breakdown(decoder: Decoder) -> dict[str, object]:
    """Microseconds of each launch, alone in a chain and within a forward."""
    fused = FusedDecoder(decoder)
    layers = decoder.config.num_layers
    found: dict[str, object] = {
        "alone_us": {
            name: round(replayed(call) * 1000 / layers, 2)
            for name, call in launches(decoder, fused).items()
        }
    }
    cache = decoder.new_cache()
    cache.reserve(2048)
    place = kernels.placed(CONTEXT, sight(32, 32), 32).to(DEVICE)
    ids = torch.arange(32, device=DEVICE)

    def forward() -> object:
        return fused.forward(ids, cache, place)

    try:
        found["profiler_us"] = profiled(forward)
    except Exception as failure:  # noqa: BLE001  (a profiler that is not allowed costs itself only)
        found["profiler_us"] = repr(failure)
    return found


def profiled(call: Callable[[], object]) -> dict[str, float]:
    """Mean microseconds of each kernel by PyTorch's profiler."""
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        for _ in range(5):
            call()
        torch.cuda.synchronize()
    return {
        f"{event.key} x{event.count}": round(event.self_device_time_total / event.count, 2)
        for event in profile.key_averages()
        if event.self_device_time_total
    }


def examples(
    spec: object, tokenizer: Tokenizer, file: Path, limit: int
) -> Iterator[list[list[int]]]:
    """Context, and the start of the middle, of held-out cuts."""
    for line in gzip.decompress(file.read_bytes()).decode().splitlines()[:limit]:
        row = json.loads(line)
        middle = [*tokenizer.encode(row["middle"]), spec.eom_id][:31]
        yield [place(spec, tokenizer.encode, row["prefix"], row["suffix"]).ids, middle]


@torch.inference_mode()
def quality(folder: Path, heldout: Path, left: Callable[[], float], out: dict) -> None:
    """The shipped model: agreement with eager bfloat16 on held-out text, and keystrokes."""
    checkpoint = Checkpoint.open(folder)
    family = family_of(checkpoint.config)
    config, spec = family.decoder(checkpoint.config), family.diffusion(checkpoint.config)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, config.vocab_size)
    cuts = list(examples(spec, tokenizer, heldout, 48))
    bias = output_bias(config.vocab_size, tokenizer.size, spec.forbidden_ids).to(DEVICE)

    def readings(decoder: Decoder | GraphDecoder) -> Iterator[torch.Tensor]:
        """Log probabilities: causal over the middle, then of a block half of which is masks."""
        for context, middle in cuts:
            cache = decoder.new_cache()
            ids = torch.tensor(context, device=DEVICE)
            cache.reserve(len(ids) + MOST_ROWS)
            decoder.forward(ids, cache, 0)
            block = torch.tensor(middle + [spec.mask_id] * (32 - len(middle)), device=DEVICE)
            block[1::2] = spec.mask_id
            true = torch.tensor(middle, device=DEVICE)
            for rows, opened in ((block, 32), (true, 0)):
                hidden = decoder.forward(rows, cache, len(ids), open_rows=opened)[: len(middle)]
                yield (decoder.logits(hidden) + bias).log_softmax(-1)

    plain = load_decoder(checkpoint, config, family.tensors, precision="bfloat16", device=DEVICE)
    reference = list(readings(plain))
    for precision in PRECISIONS:
        if left() < 0:
            break
        decoder = load_decoder(
            checkpoint, config, family.tensors, precision=precision, device=DEVICE
        )
        graphs = GraphDecoder(decoder)
        entry: dict[str, object] = {"bytes_streamed": streamed(decoder, head=True)}
        out[precision] = entry
        divergence, same = [], []
        for got, want in zip(readings(graphs), reference, strict=True):
            p = want.exp()
            divergence.append(torch.where(p > 0, p * (want - got), 0.0).sum(-1))
            same.append(got.argmax(-1) == want.argmax(-1))
        kl, agree = torch.cat(divergence), torch.cat(same).float()
        entry["against_eager_bfloat16"] = {
            "rows": len(kl),
            "kl_mean_nats": round(kl.mean().item(), 5),
            "kl_p99_nats": round(kl.quantile(0.99).item(), 5),
            "argmax_agreement": round(agree.mean().item(), 4),
        }
        filler = filler_of(graphs, folder, precision)
        for strategy in ("balanced", "self-speculative", "autoregressive"):
            entry[f"keystroke_{strategy}"] = keystrokes(
                filler, context=1500, middle=32, strategy=strategy, keys=90, empty=True
            )


def warm(size: str, precision: str) -> None:
    """Compile what a precision of a size needs, on a decoder of one layer."""
    decoder = random_decoder(geometry(size, layers=1), precision)
    graphs = GraphDecoder(decoder)
    cache = graphs.new_cache()
    cache.reserve(256)
    for rows in (1, 8, 32, MOST_ROWS):
        graphs.forward(torch.zeros(rows, dtype=torch.long, device=DEVICE), cache, 100)
    for rows in (1, 20, MOST_ROWS):
        hidden = torch.zeros(rows, decoder.config.hidden_size, device=DEVICE, dtype=torch.bfloat16)
        bias = torch.zeros(decoder.config.vocab_size, device=DEVICE)
        graphs.statistics(hidden, bias, forbid=None, asked=[], end=0)
    torch.cuda.synchronize()


def warm_all(sizes: list[str], precisions: list[str]) -> dict[str, str]:
    """Compile everything at once, a process a precision and size."""
    names = [(size, precision) for size in sizes for precision in precisions]
    began = [
        subprocess.Popen(
            [sys.executable, __file__, "--warm", *name], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    errors = {}
    for name, process in zip(names, began, strict=True):
        said = process.communicate()[1]
        if process.returncode:
            errors["/".join(name)] = said[-1500:]
    return errors


def measure(args: argparse.Namespace, result: dict, section: Callable, left: Callable) -> None:
    bandwidth = copy_bandwidth()
    result["copy_bandwidth_GBps"] = round(bandwidth / 1e9)
    section("compile_errors", lambda out: out.update(warm_all(args.sizes, args.precisions)))
    for size in args.sizes:
        for precision in args.precisions:
            keys = 120 if size == "0.5B" else 48

            def one(out: dict, size=size, precision=precision, keys=keys) -> None:  # noqa: ANN001
                decoder = random_decoder(geometry(size), precision)
                with torch.inference_mode():
                    out["kernel_errors"] = {n: kernel_errors(decoder, n) for n in (1, 20, 32)}
                graphs = GraphDecoder(decoder)
                out["forward_errors"] = forward_errors(decoder, graphs)
                out.update(step_times(decoder, graphs, bandwidth))
                filler = filler_of(graphs, args.tokenizer, precision)
                for context, middle, steps in ((1500, 16, 10), (2000, 32, 8)):
                    out[f"keystroke_{context}_{middle}"] = keystrokes(
                        filler, context=context, middle=middle, strategy=f"steps:{steps}", keys=keys
                    )
                if precision == "bfloat16" and size == args.sizes[0]:
                    out["host_by_own_time"] = host_profile(filler)
                with torch.inference_mode():
                    if precision == "bfloat16":
                        out["breakdown"] = breakdown(decoder)

            section(f"{size}/{precision}", one)
    if args.model:
        section("shipped", lambda out: quality(args.model, args.heldout, left, out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, help="a checkpoint directory; weights not needed")
    parser.add_argument("--model", type=Path, help="the shipped checkpoint, to be measured too")
    parser.add_argument("--heldout", type=Path, help="held-out cuts, for its quality")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--seconds", type=float, default=140, help="start nothing after so long")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--warm", nargs=2, metavar=("SIZE", "PRECISION"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warm:
        warm(*args.warm)
        return
    began = time.perf_counter()
    result: dict[str, object] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": importlib.import_module("triton").__version__,
        "seconds": {},
    }

    def left() -> float:
        return args.seconds - (time.perf_counter() - began)

    def section(name: str, run: Callable[[dict], None]) -> None:
        entry: dict[str, object] = {}
        result[name] = entry
        start = time.perf_counter()
        try:
            if left() < 0:
                entry["skipped"] = "no time left"
            else:
                run(entry)
        except Exception:  # noqa: BLE001  (the other sections must not be lost)
            entry["failed"] = traceback.format_exc()[-3000:]
        result["seconds"][name] = round(time.perf_counter() - start, 1)
        gc.collect()
        torch.cuda.empty_cache()
        print(name, json.dumps(entry), flush=True)
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")

    measure(args, result, section, left)


if __name__ == "__main__":
    main()
