"""HTTP at the engine's edge.

aiohttp is imported here, before any module that uses it, and without what only clients need: a
process that has imported this package serves, and trusts no other server.
"""

from midfill_engine.device.memory import uncollected
from midfill_engine.settings import without_authorities

with uncollected(), without_authorities():
    import aiohttp  # noqa: F401
