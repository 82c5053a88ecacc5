"""What is requested: conditions, samples of objects and areas of the sky, as values that can be stored and replayed."""
