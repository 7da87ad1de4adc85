"""What is worked out of what happened: segments, values, stages, scores."""
