"""Why a model says what it says of an image, and how far each explanation can be trusted."""
