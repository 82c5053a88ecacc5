"""What the pipeline of an archive runs: read parameters, do the work, write outputs."""
