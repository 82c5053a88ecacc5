"""Which events and times count: screening, good times, flares, and the lists that are left."""
