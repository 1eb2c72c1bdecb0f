"""Source files that a chat model writes: exercises with a statement, a solution and examples."""
