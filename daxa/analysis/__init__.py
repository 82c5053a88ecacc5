"""Science over a whole archive: coverage of samples and mosaics."""
