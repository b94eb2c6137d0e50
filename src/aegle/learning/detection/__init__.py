"""Finding objects of known classes in pictures, each by its box."""
