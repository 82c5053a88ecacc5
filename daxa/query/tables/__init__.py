"""Tables of observations: fetched from services, brought into one schema, kept as snapshots."""
