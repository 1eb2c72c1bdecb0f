"""What int8 costs in quality on this CPU: cross entropy and divergence of causal rows.

    python benchmarks/cpu_quality.py [--threads 2] [--out FILE]

Reads source of this repository as the model's context, in float32 and with each int8 kernel that
this machine has, and compares what the rows predict. Prints one JSON object.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import machine
import torch
from report import tell

from midfill_engine.device.choose import memory_dtype
from midfill_engine.device.int8 import FbgemmProduct, kernels
from midfill_engine.models import decoder as decoders
from midfill_engine.models import linear as linears
from midfill_engine.models.adapter import open_checkpoint
from midfill_engine.models.checkpoint import Checkpoint
from midfill_engine.models.locate import locate
from midfill_engine.models.registry import family_of
from midfill_engine.text.tokenizer import Tokenizer

FILES = ["engine/midfill_engine/fill/filler.py", "engine/midfill_engine/api/openai.py"]
TOKENS = 1536


def log_probabilities(checkpoint: Checkpoint, ids: torch.Tensor, precision: str) -> torch.Tensor:
    family = family_of(checkpoint.config)
    config = family.decoder(checkpoint.config)
    decoder = decoders.load_decoder(
        checkpoint, config, family.tensors, precision=precision, device=torch.device("cpu")
    )
    cache = decoder.new_cache()
    rows = [
        decoder.logits(decoder.forward(chunk, cache, 32 * n)).log_softmax(-1)
        for n, chunk in enumerate(ids.split(32))
    ]
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="midfill-0.5b-v8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    checkpoint = open_checkpoint(locate(args.model))
    root = Path(__file__).parent.parent
    text = "".join((root / file).read_text() for file in FILES)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config["vocab_size"])
    ids = torch.tensor(tokenizer.encode(text)[:TOKENS])
    want = log_probabilities(checkpoint, ids, "float32")

    def measured(name: str, got: torch.Tensor) -> dict[str, float | str]:
        divergence = (want.exp() * (want - got)).sum(-1)
        return {
            "arm": name,
            "cross_entropy": -got[:-1].gather(1, ids[1:, None]).mean().item(),
            "kl": divergence.mean().item(),
            "same_choice": (got.argmax(-1) == want.argmax(-1)).float().mean().item(),
        }

    def seven_bits(self: FbgemmProduct, *args: torch.Tensor) -> None:
        prepare(self, *args)
        self._levels, self._zero = 63, 64

    prepare = FbgemmProduct.__init__
    arms = [measured("float32", want)]
    float32 = mock.patch.object(decoders, "memory_dtype", return_value=torch.float32)
    for kernel in kernels():
        with mock.patch.object(linears, "kernels", lambda kernel=kernel: (kernel,)):
            with float32:
                arms.append(measured(kernel, log_probabilities(checkpoint, ids, "int8")))
            if memory_dtype("int8", torch.device("cpu")) == torch.bfloat16:
                got = log_probabilities(checkpoint, ids, "int8")
                arms.append(measured(f"{kernel}, attention in bfloat16", got))
            if kernel == "fbgemm":
                with float32, mock.patch.object(FbgemmProduct, "__init__", seven_bits):
                    got = log_probabilities(checkpoint, ids, "int8")
                arms.append(measured("fbgemm, 7-bit activations", got))
    found = {**machine.describe(), "threads": args.threads, "tokens": len(ids), "arms": arms}
    tell(found, args.out)


if __name__ == "__main__":
    main()
