"""Pages of lists on their way into the records, and how far each list has come."""
