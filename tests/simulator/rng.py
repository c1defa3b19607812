"""Chance that repeats itself: the same facts always throw the same dice, in every process and on every machine."""

from __future__ import annotations

import random
import uuid


def dice(*facts: object) -> random.Random:
    """Dice of their own for these facts. Python seeds them with a SHA-512 of the text, so no process differs."""
    return random.Random("|".join(map(str, facts)))


def lasting_uuid(*facts: object) -> str:
    """The same UUID for the same facts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join(map(str, facts))))
