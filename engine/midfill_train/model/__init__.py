"""The network as it is trained, its block mask, its rounding and its files."""
