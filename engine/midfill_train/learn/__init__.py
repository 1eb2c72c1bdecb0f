"""The training run: loss, schedule, processes, loop."""
