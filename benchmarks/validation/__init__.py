"""What daxa's science is checked against, and how well it does: the table of `docs/validation.md`.

    python -m benchmarks.validation [--only NAME,...] [--list] [--scale 1.0]

Simulations are of our own, of other formulas than daxa's and than those of its sample observatory; every
simulated photon knows its source.  Real data come from the folder that ``DAXA_TEST_DATA`` names.
"""
