"""Find and delineate what is in the images."""
