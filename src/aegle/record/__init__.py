"""Keep results with what they were made from."""
