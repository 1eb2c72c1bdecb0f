"""A low-rank adapter (LoRA) on top of a checkpoint, in PEFT's format.

Owns what is read of it and every complaint about it. Which base it belongs to is found by
`models.locate`; what it adds is added where weights are unpacked (`models.weights`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midfill_engine.errors import CheckpointError
from midfill_engine.models.checkpoint import Checkpoint, LowRank
from midfill_engine.models.configuration import ADAPTER_FILE, ADAPTER_STEM
from midfill_engine.models.locate import base_of, is_adapter

#: Name of half an update: the matrix is one of a numbered layer.
TENSOR = "base_model.model.{}.lora_{}.weight"
_TENSOR = re.compile(r"base_model\.model\.(.+\.\d+\..+)\.lora_[AB]\.weight")

#: What would make a weight other than ``W + lora_alpha / r * B A``, or change more than weights;
#: so would all that begins with ``use_`` (rsLoRA, DoRA and more).
_REFUSED = {
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "trainable_token_indices",
}
#: Of other beginnings PEFT changes the base's weights as well.
_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted(Checkpoint):
    """A base checkpoint as an adapter changes it. ``path`` is the base's.

    Attributes
    ----------
    adapter
        The adapter's own configuration and tensors.
    scale
        What ``B A`` is multiplied with.
    """

    adapter: Checkpoint
    scale: float

    @property
    def name(self) -> str:
        """The adapter directory's name."""
        return self.adapter.name

    def update(self, name: str) -> LowRank | None:
        """What the adapter adds to the matrix called ``name``."""
        a, b = (TENSOR.format(name, half) for half in "AB")
        if not self.adapter.has(a):
            return None
        tensor = self.adapter.tensor
        return LowRank(tensor(a).float(), tensor(b).float() * self.scale)

    def release(self) -> None:
        """See `Checkpoint.release`."""
        Checkpoint.release(self)
        self.adapter.release()


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in ``path``; for an adapter, its base as it changes it.

    Raises
    ------
    CheckpointError
        Either is missing or damaged, they do not fit, or the adapter is of a kind that is not read.
    """
    if not is_adapter(path):
        return Checkpoint.open(path)
    adapter = Checkpoint.open(path, ADAPTER_FILE, ADAPTER_STEM)
    rank, scale = _rank_and_scale(path / ADAPTER_FILE, adapter.config)
    base = Checkpoint.open(base_of(path))
    _check(adapter, base, rank)
    return Adapted(
        path=base.path, config=base.config, files=base.files, adapter=adapter, scale=scale
    )


def _rank_and_scale(file: Path, config: Mapping[str, Any]) -> tuple[int, float]:
    said = {"peft_type": config.get("peft_type"), "bias": config.get("bias", "none")}
    if said != {"peft_type": "LORA", "bias": "none"}:
        raise _refused(file, ", ".join(f"{key} {value!r}" for key, value in said.items()))
    for key, value in config.items():
        if value and (key in _REFUSED or key.startswith("use_")):
            raise _refused(file, key)
    if config.get("init_lora_weights") not in _BEGINNINGS:
        raise _refused(file, f"init_lora_weights {config['init_lora_weights']!r}")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise CheckpointError(
            f"{file}: r is {rank!r} and lora_alpha {alpha!r}.", "Both are numbers; copy it again."
        )
    return rank, alpha / rank


def _refused(file: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{file} says {what}, which is not read.",
        "Plain LoRA is: peft_type LORA, bias none, one r and lora_alpha. "
        "Merge the adapter with the tool that made it.",
    )


def _check(adapter: Checkpoint, base: Checkpoint, rank: int) -> None:
    """Each tensor is half of an update that fits a matrix of the base."""
    for tensor in adapter.files:
        match = _TENSOR.fullmatch(tensor)
        name = match[1] if match else ""
        stored = next((n for n in (f"{name}.qweight", f"{name}.weight") if base.has(n)), None)
        shape = base.shape(stored) if stored else ()
        if len(shape) != 2:
            raise CheckpointError(
                f"{adapter.path}: {tensor} changes nothing that a layer of {base.path} has.",
                "Is it an adapter of another model? Only linear layers can be changed.",
            )
        halves = [TENSOR.format(name, half) for half in "AB"]
        for half in halves:
            if not adapter.has(half):
                raise CheckpointError(
                    f"{adapter.path} lacks {half}.", "Copy or download the adapter again."
                )
        out, inner = shape
        found = [adapter.shape(half) for half in halves]
        if found != [(rank, inner), (out, rank)]:
            raise CheckpointError(
                f"{adapter.path}: halves of {name} have the shapes {found}, which do not fit r "
                f"{rank} and the {out} x {inner} of {base.path}.",
                "Is it an adapter of another model?",
            )
