"""Why nothing was shown: each code with a sentence for the user.

Owns the words. Who falls silent, and when, is decided in `suggest.trigger`, `context.privacy`,
`shape.pipeline` and the backends.
"""

from __future__ import annotations

from midfill_engine.wire import Silence

MESSAGES = {
    "disabled": "Midfill is switched off.",
    "snoozed": "Midfill is snoozed.",
    "language-off": "Midfill is switched off for this language.",
    "excluded-file": "This file is excluded by a setting or an ignore file.",
    "secret-file": "This file may hold secrets and is never read.",
    "read-only": "This document cannot be edited.",
    "too-large": "This document is larger than the setting maxDocumentChars.",
    "comment": "The cursor is in a comment, and the setting inComments is off.",
    "string": "The cursor is in a string, and the setting inStrings is off.",
    "word-follows": "The cursor stands before the rest of a word; ask explicitly to fill there.",
    "dismissed": "The suggestion here was dismissed; it returns when the text changes.",
    "engine-starting": "The engine is starting.",
    "engine-loading": "The engine loads the model.",
    "engine-down": "The engine cannot be reached.",
    "stale": "The document changed before the answer was ready.",
    "deadline": "No complete suggestion was ready in time.",
    "empty": "The model says that nothing is missing here.",
    "repeats-suffix": "The suggestion only repeated what follows.",
    "repeats-prefix": "The suggestion only repeated what stands before.",
    "unsure": "The model is not sure enough.",
    "multiple-cursors": "There are several cursors.",
    "battery": "Suggestions while typing are paused on battery.",
}


def silence(code: str, message: str = "") -> Silence:
    """A `Silence` with its standard sentence, or with a more precise one."""
    return Silence(code, message or MESSAGES[code])
