"""Learning rate and rounding as functions of how much of the run is over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, then a straight line down.

    Attributes
    ----------
    peak
        Highest learning rate.
    warm_up, rounding
        Shares of the run: when the peak is reached, and when weights begin to be rounded.
    floor
        Last learning rate, as a share of the peak.
    """

    peak: float
    warm_up: float = 0.03
    floor: float = 0.03
    rounding: float = 0.7

    def rate(self, done: float) -> float:
        """Learning rate when the share ``done`` of the run is over."""
        if done < self.warm_up:
            return self.peak * (done + 1e-3) / (self.warm_up + 1e-3)
        left = (1 - done) / (1 - self.warm_up)
        return self.peak * (self.floor + (1 - self.floor) * left)

    def rounds(self, done: float) -> bool:
        """Whether weights are rounded in the forward pass."""
        return done >= self.rounding
