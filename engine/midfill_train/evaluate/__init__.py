"""Measuring a checkpoint on cuts: batched decoding and scores."""
