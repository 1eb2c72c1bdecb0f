"""Errors of the engine, all with a sentence for the user and a stable code.

MidfillError (wire)
├── InvalidRequest (wire)
├── CheckpointError
│   ├── UnsupportedArchitecture
│   └── CorruptCheckpoint
├── DeviceError
│   └── OutOfMemory
├── EngineBusy
│   └── EngineLoading
└── InternalError
"""

from __future__ import annotations

from midfill_engine.wire import MidfillError


class CheckpointError(MidfillError):
    """A checkpoint cannot be used; the message names the file and the fault."""

    code = "checkpoint"


class UnsupportedArchitecture(CheckpointError):  # noqa: N818  (the tree above reads better)
    """No family of the registry reads this architecture."""

    code = "unsupported_architecture"


class CorruptCheckpoint(CheckpointError):  # noqa: N818
    """A file is missing, cut short, of the wrong shape, or not what its checksum says."""

    code = "corrupt_checkpoint"


class DeviceError(MidfillError):
    """The asked-for device is not there or failed."""

    code = "device"


class OutOfMemory(DeviceError):  # noqa: N818
    """The device has no room for the model or for a request."""

    code = "out_of_memory"


class EngineBusy(MidfillError):  # noqa: N818
    """Too many requests are waiting; asking again in a moment helps."""

    code = "busy"


class EngineLoading(EngineBusy):
    """The model is still loading; the message says how far it is."""

    code = "loading"


class InternalError(MidfillError):
    """A defect of the engine; the message says where in our code, never with which text."""

    code = "internal"
