"""How a benchmark tells what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


def tell(found: Mapping[str, object], out: Path | None) -> None:
    """Print ``found`` as JSON, and keep it in the file ``out`` where there is one."""
    text = json.dumps(found, indent=1)
    if out:
        out.write_text(text + "\n")
    print(text)
