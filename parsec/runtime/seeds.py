"""Seeds of named random streams; a module of its own, because simulated searches and planning load no torch."""

import hashlib
import json


def seed_of(seed: int, *names: str | int) -> int:
    """Seed of 63 bits for the stream of this name: from the SHA-256 of seed and names."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
