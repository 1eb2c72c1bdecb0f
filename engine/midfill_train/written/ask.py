"""What a chat model is asked to write: small exercises of many kinds.

Owns the wording. Nothing of a benchmark is in it: subjects, means and sizes are drawn, and half of
the functions are called as some function of the corpus is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from midfill_train.corpus.store import Corpus

#: The languages asked for, most often the one whose examples can be run.
LANGUAGES = {
    "python": "Python",
    "typescript": "TypeScript",
    "javascript": "JavaScript",
    "go": "Go",
    "rust": "Rust",
    "java": "Java",
    "cpp": "C++",
    "c": "C",
}
_PYTHON = 28
_SUBJECTS = """
strings; lists of numbers; dictionaries; counting; sorting with a key; searching; dates and times;
matrices; text parsing; validation; prime numbers and divisors; digits of a number; bit operations;
recursion; intervals; grids; words in a sentence; characters and their codes; brackets and nesting;
file paths as text; configuration values; version numbers; money and rounding; unit conversion;
sequences and series; sets; stacks and queues; nested lists; graphs as dictionaries; simple ciphers;
run-length and other encodings; statistics; geometry; game rules; scheduling; identifiers;
URLs as text; tables and columns; merging and grouping; removing duplicates; moving windows;
combinations; palindromes and anagrams; Roman, binary and other numerals; ranges and steps;
default values; formatting output; comparing records
"""
_MEANS = """
a loop with a condition; two nested loops; a comprehension; a dictionary; sorting with a key;
slicing; a while loop; string methods; several conditions one after the other; recursion;
a helper function; a set; integer arithmetic; an accumulator; a regular expression; early returns;
two sequences side by side; a counter; remainders; a default for empty input
"""
#: How long a solution is, asked for in words since small models write one line if they may: by far
#: most of what people fill in is easy in one line and hard in ten.
_SIZES = {
    "a few lines of code": 1,
    "at least six lines of code, written out step by step with plain loops and conditions": 4,
    "ten to fifteen lines of code, written out step by step: a loop with conditions in it, "
    "variables that are updated, and cases that need lines of their own": 4,
    "fifteen to twenty-five lines of code, with more than one loop and several cases": 2,
}
_STATEMENTS = (
    "a docstring that says exactly what it returns",
    "a docstring of two or three sentences that says exactly what it returns, also in edge cases",
    "a docstring that states the task as an exercise does, in two to five sentences",
)
_SYSTEM = "<|im_start|>system\nYou are a careful programmer.<|im_end|>\n"
#: A question and its answer that stand before the question: they show the form.
_SHOWN = (
    (
        "a function that has to do with schedules and needs sorting with a key",
        '''def free_gaps(meetings, start, end):
    """Return the free gaps of a day from start to end as a list of (from, to) pairs.

    Meetings are (from, to) pairs in any order and may overlap. A gap has at least one unit.

    >>> free_gaps([(9, 10), (12, 13)], 8, 14)
    [(8, 9), (10, 12), (13, 14)]
    >>> free_gaps([(8, 11), (10, 14)], 8, 14)
    []
    >>> free_gaps([], 8, 9)
    [(8, 9)]
    """
    gaps = []
    for begin, stop in sorted(meetings):
        if begin > start:
            gaps.append((start, begin))
        start = max(start, stop)
    if start < end:
        gaps.append((start, end))
    return gaps
''',
    ),
    (
        "a function that has to do with text parsing and needs string methods",
        '''def read_settings(text: str) -> dict[str, str]:
    r""" Given lines of the form "name = value", return a dictionary from names to values.
    Spaces around names and values do not count. Empty lines and lines that begin with '#' are
    skipped; of two lines with the same name the later one holds.
    >>> read_settings("size = 3\\n# colour = red\\nsize=4")
    {'size': '4'}
    >>> read_settings("")
    {}
    """
    settings = {}
    for line in text.split("\\n"):
        name, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            settings[name.strip()] = value.strip()
    return settings
''',
    ),
    (
        "a function that has to do with digits of a number and needs a while loop",
        '''def steps_to_single_digit(n: int) -> int:
    """
    Replace a non-negative number by the product of its digits until one digit is left.
    Return how often that was done.

    Examples:
    >>> steps_to_single_digit(7)
    0
    >>> steps_to_single_digit(39)
    3
    >>> steps_to_single_digit(10)
    1
    """
    steps = 0
    while n >= 10:
        product = 1
        for digit in str(n):
            product *= int(digit)
        n = product
        steps += 1
    return steps
''',
    ),
    (
        "a function that has to do with words in a sentence and needs several conditions",
        '''def wrap_words(text: str, width: int) -> list[str]:
    """
    Break a text into lines of at most the given width, between words only. A word that is
    longer than the width is cut into pieces of that width, each a line of its own but the
    last, behind which the next words follow. Runs of spaces count as one.

    >>> wrap_words("the cat sat", 7)
    ['the cat', 'sat']
    >>> wrap_words("a  wonderful day", 4)
    ['a', 'wond', 'erfu', 'l', 'day']
    >>> wrap_words("", 5)
    []
    """
    lines = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) <= width:
            line += " " + word
            continue
        if line:
            lines.append(line)
        while len(word) > width:
            lines.append(word[:width])
            word = word[width:]
        line = word
    if line:
        lines.append(line)
    return lines
''',
    ),
    (
        "a function that has to do with grids and needs two nested loops",
        '''def largest_island(grid):
    """ Return the size of the largest island of a grid of 0 (water) and 1 (land): cells of land
    that touch each other at their sides, not at their corners. Without land it is 0.

    >>> largest_island([[1, 1, 0], [0, 0, 1], [1, 0, 1]])
    2
    >>> largest_island([[1, 1], [0, 1]])
    3
    >>> largest_island([[0, 0]])
    0
    """
    seen = set()
    best = 0
    for row in range(len(grid)):
        for column in range(len(grid[row])):
            if grid[row][column] == 0 or (row, column) in seen:
                continue
            size = 0
            waiting = [(row, column)]
            seen.add((row, column))
            while waiting:
                r, c = waiting.pop()
                size += 1
                for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                    inside = 0 <= near[0] < len(grid) and 0 <= near[1] < len(grid[0])
                    if inside and grid[near[0]][near[1]] == 1 and near not in seen:
                        seen.add(near)
                        waiting.append(near)
            best = max(best, size)
    return best
''',
    ),
    (
        "a function that has to do with money and rounding and needs early returns",
        '''def make_change(amount: int, coins: list[int]) -> list[int]:
    """Pay an amount with coins, the largest first, and return the coins that were used.

    Each coin of the list can be used any number of times. If something is left that no coin
    fits, or the amount is negative, return an empty list.

    Examples:
    >>> make_change(63, [25, 10, 1])
    [25, 25, 10, 1, 1, 1]
    >>> make_change(7, [5, 3])
    []
    >>> make_change(-1, [1])
    []
    """
    if amount < 0:
        return []
    used = []
    for coin in sorted(coins, reverse=True):
        if coin <= 0:
            continue
        count = amount // coin
        for _ in range(count):
            used.append(coin)
        amount -= count * coin
    if amount != 0:
        return []
    return used
''',
    ),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question in Qwen's chat format, up to the first line of the code that answers it."""

    language: str
    prompt: str


def function_names(corpus: Path) -> list[str]:
    """Names of two to four words that functions of the corpus's Python files have, sorted."""
    files, found = Corpus(corpus), set()
    for i, language in enumerate(files.languages):
        if language == "python":
            defined = re.finditer(
                rb"^ {0,4}def ([a-z]+(?:_[a-z0-9]+){1,3})\(", files[i].text, re.MULTILINE
            )
            found |= {match[1].decode() for match in defined if len(match[1]) < 34}
    return sorted(name for name in found if not name.startswith("test"))


def draw(rng: random.Random, names: Sequence[str]) -> Ask:
    """Another question; some of its functions are called as one of ``names``, if there are any."""
    language = rng.choice(["python"] * _PYTHON + list(LANGUAGES)[1:])
    subjects = " and ".join(rng.sample(_split(_SUBJECTS), rng.choice((1, 2))))
    means = rng.choice(_split(_MEANS))
    size = rng.choices(list(_SIZES), list(_SIZES.values()))[0]
    what, rest = _python(rng, names) if language == "python" else _other(rng)
    question = (
        f"Write {what} in {LANGUAGES[language]} that has to do with {subjects} and needs {means}: "
        f"an exercise with a clear, useful task and {size}, not one that everybody knows "
        f"(factorial, Fibonacci, palindromes, the largest of a list). {rest} "
        "Answer with the code only."
    )
    shown = rng.choice(_SHOWN) if language == "python" else None
    before = _turn(f"Write {shown[0]}.", f"```python\n{shown[1]}```") if shown else ""
    return Ask(language, f"{_SYSTEM}{before}{_turn(question, f'```{language}')}\n")


def _split(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split(";")]


def _python(rng: random.Random, names: Sequence[str]) -> tuple[str, str]:
    called = f" called `{rng.choice(names)}`" if names and rng.random() < 0.5 else ""
    others = ("two functions, the second of which calls the first", "a small class with methods")
    what = rng.choice([f"a function{called}"] * 7 + list(others))
    statement = rng.choice(_STATEMENTS)
    hints = rng.choice(("Type hints.", "Type hints.", "No type hints."))
    count = rng.choice(("two", "three", "three", "four"))
    return what, (
        f"{statement[0].upper()}{statement[1:]}, then in it {count} short examples as doctests "
        f"(lines with >>>, each followed by its correct result). {hints} Only the standard library."
    )


def _other(rng: random.Random) -> tuple[str, str]:
    what = rng.choice(("a function", "a function", "two functions", "a small type with methods"))
    return what, (
        "Before each function a comment that says exactly what it returns, also in edge cases, "
        "with an example. Only the standard library, no main program, nothing is printed."
    )


def _turn(question: str, answer: str) -> str:
    """A question and its answer, which may be just begun."""
    asked = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}"
    return f"{asked}<|im_end|>\n" if answer.endswith("\n```") else asked
