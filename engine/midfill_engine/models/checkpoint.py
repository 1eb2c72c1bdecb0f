"""A checkpoint directory on disk: configuration, verified tensor index, lazily read tensors.

Owns what is read from files and every complaint about them (checksums: `models.sums`). Knows
neither devices nor what a model does with its tensors. Runs no code of a checkpoint and unpickles
nothing: safetensors only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from midfill_engine.errors import CheckpointError, CorruptCheckpoint
from midfill_engine.models.configuration import CONFIG_FILE, MODEL_STEM, read_json

if TYPE_CHECKING:
    from torch import Tensor

TOKENIZER_FILE = "tokenizer.json"


class LowRank(NamedTuple):
    """What an adapter adds to a matrix: ``b (out, rank)`` times ``a (rank, in)``, float32."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint directory.

    Attributes
    ----------
    path
        The directory.
    config
        ``config.json`` as it stands.
    files
        Tensor name to the safetensors file that holds it.
    """

    path: Path
    config: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    _handles: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: Path, config: str = CONFIG_FILE, stem: str = MODEL_STEM) -> Checkpoint:
        """Read configuration and index; every named file must be there and whole.

        Parameters
        ----------
        config, stem
            Name of the configuration, and how names of safetensors files begin.

        Raises
        ------
        CheckpointError
            The directory or its configuration is missing or is no JSON object.
        CorruptCheckpoint
            A shard is missing, cut short, or lacks a tensor that the index promises.
        """
        if not path.is_dir():
            raise CheckpointError(
                f"There is no checkpoint directory {path}.",
                "Check the path, or see `midfill models list`.",
            )
        checkpoint = cls(path, read_json(path / config), _read_index(path, stem))
        checkpoint._open_shards()
        return checkpoint

    @property
    def name(self) -> str:
        """The directory's name, by which users call the model."""
        return self.path.name

    @property
    def tokenizer_file(self) -> Path:
        """Path of ``tokenizer.json``.

        Raises
        ------
        CorruptCheckpoint
            It is missing.
        """
        file = self.path / TOKENIZER_FILE
        if not file.is_file():
            raise CorruptCheckpoint(f"{file} is missing.", "Copy the checkpoint again.")
        return file

    def has(self, name: str) -> bool:
        """Whether there is a tensor called ``name``."""
        return name in self.files

    def tensor(self, name: str) -> Tensor:
        """The tensor called ``name``, read from its shard.

        Raises
        ------
        CorruptCheckpoint
            There is no such tensor.
        """
        file = self.files.get(name)
        if file is None:
            raise CorruptCheckpoint(
                f"The checkpoint {self.path} has no tensor {name!r}.",
                "Its config.json does not fit its weights; copy the checkpoint again.",
            )
        tensor: Tensor = self._open(file).get_tensor(name)
        return tensor

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor called ``name``, unpacked where it is int4; nothing is read."""
        stored = self._open(self.files[name]).get_slice(name)
        shape, packed = stored.get_shape(), stored.get_dtype() == "U8"
        return *shape[:-1], *(columns * (2 if packed else 1) for columns in shape[-1:])

    def update(self, name: str) -> LowRank | None:
        """What comes on top of the matrix called ``name``; here nothing (`models.adapter`)."""
        del name
        return None

    def release(self) -> None:
        """Unmap the files, except for tensors still in use; a later `tensor` maps them again.

        Pages that were read count as the process's own for as long as they are mapped.
        """
        self._handles.clear()

    def _open_shards(self) -> None:
        for file in sorted(set(self.files.values())):
            shard = self.path / file
            if not shard.is_file():
                raise CorruptCheckpoint(
                    f"The checkpoint lacks its file {shard}.", "Copy or download it again."
                )
            promised = {name for name, where in self.files.items() if where == file}
            missing = sorted(promised - set(self._open(file).keys()))
            if missing:
                raise CorruptCheckpoint(
                    f"{shard} lacks the tensor {missing[0]!r} that the index promises.",
                    "Copy or download the checkpoint again.",
                )

    def _open(self, file: str) -> Any:
        handle = self._handles.get(file)
        if handle is None:
            shard = self.path / file
            try:
                handle = self._handles[file] = safe_open(str(shard), framework="pt")
            except (SafetensorError, OSError) as error:
                raise CorruptCheckpoint(
                    f"{shard} is damaged or cut short ({error}).", "Copy or download it again."
                ) from None
        return handle


def _read_index(path: Path, stem: str) -> dict[str, str]:
    """Tensor name to file name, from the index or from the only shard there is."""
    index, single = path / f"{stem}.safetensors.index.json", path / f"{stem}.safetensors"
    if index.is_file():
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CorruptCheckpoint(f"{index} has no weight_map.", "Copy the checkpoint again.")
        for file in weight_map.values():
            # An index must not reach outside its directory.
            if not isinstance(file, str) or Path(file).name != file:
                raise CorruptCheckpoint(f"{index} names the file {file!r}.", "Copy it again.")
        return weight_map
    if not single.is_file():
        raise CheckpointError(
            f"{path} holds neither {index.name} nor {single.name}.",
            "Only safetensors checkpoints are read.",
        )
    try:
        with safe_open(str(single), framework="pt") as handle:
            return dict.fromkeys(handle.keys(), single.name)
    except (SafetensorError, OSError) as error:
        raise CorruptCheckpoint(
            f"{single} is damaged or cut short ({error}).", "Copy it again."
        ) from None
