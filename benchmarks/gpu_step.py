"""Time the engine on a GPU: a denoising step against streaming the weights, and warm keystrokes.

    python benchmarks/gpu_step.py --tokenizer models/midfill-0.5b --out benchmarks/results/NAME.json

Weights are random (speed does not depend on them; the number of forwards is fixed by the strategy
``steps:N``), so that an 8B geometry can be timed without an 8B checkpoint. Captured graphs are
first compared with eager forwards.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from midfill_engine.deadline import Deadline, StopToken
from midfill_engine.fill.filler import Filler
from midfill_engine.models.decoder import Decoder, Embedding, Layer
from midfill_engine.models.family import DecoderConfig
from midfill_engine.models.graphs import GraphDecoder
from midfill_engine.models.linear import Linear, make_linear
from midfill_engine.models.registry import family_of
from midfill_engine.models.weights import StoredWeight
from midfill_engine.text.tokenizer import Tokenizer
from midfill_engine.wire import FillRequest, ModelInfo

DEVICE = torch.device("cuda")
SIZES = {
    "0.5B": (896, 4864, 24, 14, 2, 64, 46016),
    "8B": (4096, 12288, 36, 32, 8, 128, 46016),
}


def geometry(name: str) -> DecoderConfig:
    hidden, ff, layers, heads, kv, head_dim, vocab = SIZES[name]
    return DecoderConfig(
        hidden_size=hidden, intermediate_size=ff, num_layers=layers, num_heads=heads,
        num_kv_heads=kv, head_dim=head_dim, vocab_size=vocab, rms_norm_eps=1e-6,
        rope_theta=1e6, max_positions=8192, qkv_bias=True, tied_head=True,
    )  # fmt: skip


def random_decoder(c: DecoderConfig) -> Decoder:
    def weight(out: int, inner: int) -> StoredWeight:
        values = torch.randn(out, inner, device=DEVICE, dtype=torch.bfloat16)
        return StoredWeight(values.mul_(inner**-0.5))

    def linear(out: int, inner: int, *, bias: bool = False) -> Linear:
        biases = torch.zeros(out) if bias else None
        return make_linear(weight(out, inner), biases, "bfloat16", DEVICE)

    def norm() -> torch.Tensor:
        return torch.ones(c.hidden_size, device=DEVICE, dtype=torch.bfloat16)

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
    head = make_linear(table, None, "bfloat16", DEVICE)
    return Decoder(c, Embedding(table, torch.bfloat16, DEVICE), layers, norm(), head)


def summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50_ms": round(statistics.median(ordered), 3),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
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


def copy_bandwidth() -> float:
    """Bytes read and written a second by a large copy."""
    source = torch.empty(1 << 30, device=DEVICE, dtype=torch.uint8).random_()
    target = torch.empty_like(source)
    return 2 * source.nbytes / (statistics.median(timed(lambda: target.copy_(source), 20)) / 1000)


def agreement(decoder: Decoder, graphs: GraphDecoder, vocab: int) -> dict[str, float]:
    """Largest relative error of captured forwards, block and causal, against eager ones."""
    ids = torch.randint(0, vocab, (700,), device=DEVICE)
    eager, captured = decoder.new_cache(), graphs.new_cache()
    decoder.forward(ids, eager, 0)
    graphs.forward(ids, captured, 0)
    errors = {}
    shapes = (("block", 32, 32), ("mixed", 13, 8), ("causal", 5, 0), ("row", 1, 0))
    for name, rows, opened in shapes:
        part = torch.randint(0, vocab, (rows,), device=DEVICE)
        want = decoder.forward(part, eager, 700, open_rows=opened).float()
        got = graphs.forward(part, captured, 700, open_rows=opened).float()
        errors[name] = round(((got - want).norm() / want.norm()).item(), 5)
    return errors


def step_times(graphs: GraphDecoder, vocab: int, bandwidth: float) -> dict[str, object]:
    """A block of 32 rows over 1.5k slots, head and statistics included, and the forward alone."""
    cache = graphs.new_cache()
    graphs.forward(torch.randint(0, vocab, (1500,), device=DEVICE), cache, 0)
    block = torch.randint(0, vocab, (32,), device=DEVICE)
    floor = graphs.nbytes / bandwidth * 1000

    def forward() -> torch.Tensor:
        return graphs.forward(block, cache, 1500, open_rows=len(block))

    alone = summary(timed(forward, 100))

    def step() -> list[float]:
        return graphs.logits(forward()).max(-1).values.tolist()

    whole = summary(timed(step, 100))
    return {
        "weight_bytes": graphs.nbytes,
        "stream_once_ms": round(floor, 3),
        "forward": alone,
        "forward_head_readback": whole,
        "share_of_bandwidth_forward": round(floor / alone["p50_ms"], 3),
        "share_of_bandwidth_step": round(floor / whole["p50_ms"], 3),
    }


def keystrokes(
    graphs: GraphDecoder, folder: Path, *, context: int, middle: int, steps: int
) -> dict[str, float]:
    """Type through a file: each key adds one character and asks for a middle."""
    config = json.loads((folder / "config.json").read_text())
    spec = family_of(config).diffusion(config)
    tokenizer = Tokenizer(folder / "tokenizer.json", graphs.config.vocab_size)
    info = ModelInfo("random", "", 0, "bfloat16", "cuda", context, spec.block_size)
    filler = Filler(graphs, tokenizer, spec, info, 1 << 30)
    source = Path(__file__).read_text() * 4
    chars = int(context * 3.2)
    suffix, times, nfe = source[: chars // 4], [], []
    for key in range(120):
        prefix = source[1000 : 1000 + chars * 3 // 4 + key]
        request = FillRequest(
            prefix=prefix, suffix=suffix, session="typing", max_tokens=middle,
            strategy=f"steps:{steps}", allow_empty=False,
        )  # fmt: skip
        fill = filler.fill(request, deadline=Deadline.after_ms(None), stop=StopToken())
        times.append(fill.total_ms)
        nfe.append(fill.nfe)
    return summary(times[20:]) | {
        "nfe": statistics.mean(nfe[20:]),
        "prompt_tokens": fill.prompt_tokens,
        "middle_tokens": fill.completion_tokens,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="a checkpoint directory")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    bandwidth = copy_bandwidth()
    result: dict[str, object] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "precision": "bfloat16",
        "copy_bandwidth_GBps": round(bandwidth / 1e9),
    }
    for name in args.sizes:
        config = geometry(name)
        decoder = random_decoder(config)
        graphs = GraphDecoder(decoder)
        entry: dict[str, object] = {"graph_error": agreement(decoder, graphs, config.vocab_size)}
        entry |= step_times(graphs, config.vocab_size, bandwidth)
        for context, middle, steps in ((1500, 16, 10), (2000, 32, 8)):
            entry[f"keystroke_{context}_{middle}"] = keystrokes(
                graphs, args.tokenizer, context=context, middle=middle, steps=steps
            )
        result[name] = entry
        print(name, json.dumps(entry), flush=True)
        del decoder, graphs
        torch.cuda.empty_cache()
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
