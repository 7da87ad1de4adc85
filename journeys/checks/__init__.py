"""What is wrong with a journey map, said with file, line and column."""
