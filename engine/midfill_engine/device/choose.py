"""Which device runs the model, and in which precision."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch

from midfill_engine.device.int8 import kernels
from midfill_engine.errors import DeviceError

#: Precision that a model runs with.
Precision = Literal["float32", "bfloat16", "float16", "int8", "fp8", "int4"]
#: Precisions of weights alone, on GPUs: rows are bfloat16.
PACKED: tuple[Precision, ...] = ("int8", "fp8", "int4")

_DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that rows have between the layers."""
    small = torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES.get(precision, small)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to use: a GPU where there is one, else the CPU.

    Raises
    ------
    DeviceError
        A GPU was asked for and PyTorch sees none.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if wanted == "cuda":
        raise DeviceError(
            "PyTorch sees no CUDA device.",
            "Use `--device cpu`, or install a CUDA build of PyTorch and its driver.",
        )
    return torch.device("cpu")


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """What the device does well, or what was asked for where the device can.

    Raises
    ------
    DeviceError
        The device has no kernels for the precision.
    """
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        choices: dict[str, Precision] = {
            "auto": "bfloat16" if capability >= (8, 0) else "float16",
            "bfloat16": "bfloat16",
            "float16": "float16",
            "float32": "float32",
        }
        if capability >= (8, 0):
            choices |= {"int8": "int8", "int4": "int4"}
        if capability >= (8, 9):
            choices["fp8"] = "fp8"
    else:
        choices = {
            "auto": "int8",
            "int8": "int8",
            "float32": "float32",
            "bfloat16": "bfloat16",
        }
        if not kernels():  # this build of PyTorch multiplies no int8 here
            del choices["int8"]
            choices["auto"] = "float32"
    if wanted not in choices:
        raise DeviceError(
            f"There is no {wanted} arithmetic for {device.type} here.",
            f"Use one of {', '.join(choices)}.",
        )
    return choices[wanted]


@cache
def has_amx() -> bool:
    """Whether the CPU multiplies tiles of int8 and bfloat16."""
    return torch.cpu._is_amx_tile_supported()  # noqa: SLF001  (no public twin)


def memory_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """In which type keys and values are kept, and attention is computed.

    AMX multiplies bfloat16 in half the time of float32, and it takes half the memory.
    """
    if device.type == "cpu" and precision == "int8" and has_amx():
        return torch.bfloat16
    return dtype_of(precision, device)


def device_name(device: torch.device) -> str:
    """The device in words, for people."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()})"


def plan_nothing(device: torch.device) -> None:
    """Leave kernels out that are planned anew for each shape, as contexts of any length are.

    cuDNN's attention plans for 70 ms on an H100, ten times what reading a context takes.
    """
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)
