"""Tables of observations: asked of services, brought into one schema, kept as snapshots."""
