"""The stages of an archive's pipeline: read parameters, do the work, write outputs."""
