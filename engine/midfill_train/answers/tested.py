"""Whether a program does what its examples say with another middle.

Owns which cuts can be tested: of Python, where the examples hold with the true middle and fail
without one, so that they tell right answers from wrong ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill_train.corpus import child
from midfill_train.corpus.examples import Example, examples, results
from midfill_train.data.cuts import Cut


@dataclass(frozen=True, slots=True)
class Program:
    """The examples of a cut's own program; code that a model wrote is run for them."""

    cut: Cut
    examples: Sequence[Example]

    @classmethod
    def read(cls, cut: Cut) -> Program:
        """With the examples that it has, whatever they tell; nothing is run."""
        tree = child.parse(cut.prefix + cut.middle + cut.suffix)
        return cls(cut, examples(tree) if tree else ())

    @classmethod
    def of(cls, cut: Cut) -> Program | None:
        """``None`` where examples tell nothing."""
        program = cls.read(cut)
        tells = program.examples and not program.holds("") and program.holds(cut.middle)
        return program if tells else None

    def holds(self, answer: str) -> bool:
        """Whether all examples hold with ``answer`` as the middle."""
        program = self.cut.prefix + answer + self.cut.suffix
        if child.parse(program) is None:
            return False
        said = results(program, self.examples)
        return said is not None and not any(result != "" for result in said)
