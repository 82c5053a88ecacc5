"""Sources: wavelets with exact chances, background, fits of the point spread function."""
