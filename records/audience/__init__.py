"""What customers are worth asking for: segments, values, stages of life, scores."""
