"""Where values are taken: planes, grids coarse to fine, and walks of optimizers on a plane."""
