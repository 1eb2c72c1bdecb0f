"""Source texts that several test modules share."""

PYTHON = '''import os
from pathlib import Path


def read_all(folder: Path, *, ending: str = ".txt") -> dict[str, str]:
    """Texts of all files of a folder."""
    found = {}
    for path in sorted(folder.iterdir()):
        # only what was asked for
        if path.suffix == ending:
            found[path.name] = path.read_text(encoding="utf-8")
    return found


class Counter:
    """Counts."""

    def __init__(self, start=0):
        self.value = start

    @property
    def even(self):
        return self.value % 2 == 0

    def add(self, amount, *others):
        for other in (amount, *others):
            self.value += other
        print("now", self.value, os.getpid())
        return self
'''
GO = """package main

import "fmt"

// Sum adds up what it is given.
func Sum(values []int) int {
\ttotal := 0
\tfor _, value := range values {
\t\ttotal += value
\t}
\treturn total
}

func main() {
\tfmt.Println(Sum([]int{1, 2, 3}), "is the sum")
}
"""
