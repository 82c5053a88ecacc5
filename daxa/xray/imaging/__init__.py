"""Images and what belongs to them: exposure, rates, mosaics, coverage, values at positions."""
