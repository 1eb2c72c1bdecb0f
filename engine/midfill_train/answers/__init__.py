"""What a checkpoint itself answers to cuts, and what each answer is worth."""
