"""An archive on disk: its paths, configuration, template, Git and DVC."""
