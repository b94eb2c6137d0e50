"""Outlining what is in an image: every pixel or voxel gets a class or belongs to an object."""
