"""Networks and how they are trained: data, augmentation, transfer, the loop, the model file."""
