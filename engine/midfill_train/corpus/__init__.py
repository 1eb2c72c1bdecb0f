"""Source packages to training text: read, cleaned, deduplicated, decontaminated, split."""
