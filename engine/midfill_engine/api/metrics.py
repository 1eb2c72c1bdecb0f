"""What may be known without knowing a text: ``/health``, ``/v1/models`` and ``/metrics``.

Owns the Prometheus registry (its own, so that two engines in one process do not collide). All
labels come from closed sets; no text of a request and no path of a user is ever one.
"""

from __future__ import annotations

import os
from functools import partial
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from midfill_engine.service.engine import Engine
from midfill_engine.wire import PROTOCOL_VERSION, Fill

#: Seconds; the felt limit of a completion is 0.1 to 0.3.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60)


def health(engine: Engine) -> dict[str, Any]:
    """The object of ``GET /health``."""
    model = engine.model
    return {
        "status": model.state,
        "progress": model.progress,
        "message": model.message,
        "protocol": PROTOCOL_VERSION,
        "version": version("midfill"),
        "pid": os.getpid(),
        "model": model.info.to_dict() if model.info else None,
    }


def models(engine: Engine) -> dict[str, Any]:
    """The object of ``GET /v1/models``: the loaded model, in OpenAI's form."""
    info = engine.info
    data = (
        [
            {
                "id": info.name,
                "object": "model",
                "created": 0,
                "owned_by": "midfill",
                "context_length": info.context_tokens,
            }
        ]
        if info
        else []
    )
    return {"object": "list", "data": data}


class Metrics:
    """Counters and histograms of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, namespace="midfill", registry=self.registry)
        self._requests = counter("requests", "HTTP requests answered.", ["endpoint", "status"])
        self._fills = counter("fills", "Fills by why they ended.", ["finish_reason"])
        self._tokens = counter("tokens", "Tokens read, reused and written.", ["kind"])
        self._forwards = counter("forwards", "Denoising and verifying forwards.")
        self._abandoned = counter(
            "abandoned_forwards", "Those whose fill was cancelled or superseded."
        )
        self._device = counter("device_seconds", "Time in forwards, and with results.", ["kind"])
        self._lost = counter(
            "lost_device_seconds",
            "Of it, what stopped fills took and their session's next one had no use for.",
            ["kind"],
        )
        self._seconds = Histogram(
            "midfill_fill_seconds",
            "Time of a fill by phase.",
            ["phase"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_ModelCollector(engine))
        engine.observers.append(self.fill)

    def request(self, endpoint: str, status: int) -> None:
        """Count an answered request."""
        self._requests.labels(endpoint, str(status)).inc()

    def fill(self, fill: Fill) -> None:
        """Count a finished fill."""
        self._fills.labels(fill.finish_reason).inc()
        self._forwards.inc(fill.nfe)
        if fill.finish_reason in ("cancelled", "superseded"):
            self._abandoned.inc(fill.nfe)
        for kind in ("reading", "writing"):
            self._device.labels(kind).inc(getattr(fill, f"{kind}_ms") / 1000)
            self._lost.labels(kind).inc(getattr(fill, f"lost_{kind}_ms") / 1000)
        for kind in ("prompt", "cached", "completion"):
            self._tokens.labels(kind).inc(getattr(fill, f"{kind}_tokens"))
        for phase in ("queue", "prefill", "denoise", "total"):
            self._seconds.labels(phase).observe(getattr(fill, f"{phase}_ms") / 1000)

    def render(self) -> bytes:
        """The text of ``GET /metrics``."""
        return generate_latest(self.registry)


class _ModelCollector(Collector):
    """What is read at the time of asking: state and size of the model, waiting requests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[Metric]:
        model = self._engine.model
        up = GaugeMetricFamily(
            "midfill_ready", "1 when the model is loaded.", float(model.state == "ok")
        )
        waiting = GaugeMetricFamily(
            "midfill_waiting_requests", "Requests waiting for the device.", self._engine.waiting
        )
        size = GaugeMetricFamily(
            "midfill_model_bytes",
            "Memory of the weights.",
            model.info.bytes_resident if model.info else 0,
        )
        return [up, waiting, size]
