"""Write the model chest, with which radiographs are compared, from the made patient."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from aegle.phantoms.radiograph import RadiographOptions, make_radiograph

PATH = Path(__file__).parents[1] / "src" / "aegle" / "recognition" / "model_chest.npz"
SHAPE = (125, 160)


def main() -> None:
    """Write shades (0 to 255) and the lungs' shadows at half of the made resolution."""
    made = make_radiograph(options=RadiographOptions(seed=1, nodule_mm=0, shape=SHAPE))
    shades = ndimage.gaussian_filter(made.image.values[0], 3) / 4095 * 255
    lungs = made.outlines["lung_right"] | made.outlines["lung_left"]
    np.savez_compressed(PATH, shades=np.rint(shades[::2, ::2]).astype(np.uint8), lungs=lungs)


if __name__ == "__main__":
    main()
