"""Whether a stated licence is open without copyleft.

Owns the reading of licence fields as packages state them. Knows no archive formats.
"""

from __future__ import annotations

import re

_COPYLEFT = re.compile(
    r"\b(A?L?GPL|GNU|MPL|Mozilla|EUPL|CDDL|EPL|Eclipse|SSPL|BUSL|Sleepycat|Artistic|MulanPSL"
    r"|CC-BY-NC|proprietary|commercial|Elastic|UNLICENSED|SEE LICEN[CS]E)",
    re.IGNORECASE,
)
_PERMISSIVE = re.compile(
    r"\b(MIT|Expat|BSD|Apache|ISC|Zlib|Boost|BSL|Unlicense(?!d)|PSF|Python Software|0BSD|CC0"
    r"|public(?!\s+licen[cs]e))",
    re.IGNORECASE,
)


def permissive(stated: str) -> bool:
    """Whether ``stated`` names a permissive licence, alone or as an alternative.

    What states nothing recognisable counts as not permissive: silence is no permission.
    """
    if _PERMISSIVE.search(stated):
        both = _COPYLEFT.search(stated) and re.search(r"\band\b", stated, re.IGNORECASE)
        return not both
    return False


def from_metadata(text: str) -> str:
    """The licence that a wheel's ``METADATA`` states."""
    head = text.split("\n\n", 1)[0]
    for pattern in (
        r"^License-Expression: (.*)$",
        r"^Classifier: License :: (.*)$",
        r"^License: (.{1,120})",
    ):
        found: list[str] = re.findall(pattern, head, re.MULTILINE)
        if found:
            return "; ".join(found)[:120]
    return ""


def from_debian_copyright(text: str) -> str:
    """The licence of the stanza ``Files: *`` of a ``debian/copyright``, else of its first one."""
    stanzas = re.split(r"\n\s*\n", text)
    whole = [s for s in stanzas if re.search(r"^Files:\s*\*\s*$", s, re.MULTILINE)]
    for stanza in [*whole, *stanzas]:
        found = re.search(r"^License:\s*(\S.*)$", stanza, re.MULTILINE)
        if found:
            return found.group(1)[:120]
    return ""
