"""Which observations meet the criteria, on the sky and in time, without a network."""
