"""Seeds of named random streams; without torch, so that what needs numpy alone can draw from them too."""

import hashlib
import json


def seed_of(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for the stream of this name: SHA-256 of seed and names."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
