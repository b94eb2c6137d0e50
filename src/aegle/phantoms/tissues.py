"""Radiodensity [HU] and tracer uptake [SUV, g/mL] of tissues without and with contrast.

Radiodensities are textbook means for 120 kVp; uptakes are usual means for FDG an hour after
injection.
"""

from dataclasses import dataclass

from aegle.phantoms.canvas import Tissue

SKIN = Tissue(5, 0.5)
FAT = Tissue(-102, 0.3)
MUSCLE = Tissue(52, 0.7)
GLAND = Tissue(28, 0.8)
CORTEX = Tissue(720, 0.5)
MARROW = Tissue(230, 1.3)
CARTILAGE = Tissue(105, 0.6)
DISC = Tissue(85, 0.5)
CANAL_FLUID = Tissue(14, 0.4)
CORD = Tissue(38, 1.5)
AIR = Tissue(-990, 0.0)
AIRWAY_WALL = Tissue(10, 0.6)
OESOPHAGUS = Tissue(38, 1.5)
STOMACH_WALL = Tissue(48, 1.4)
STOMACH_CONTENT = Tissue(14, 0.5)
DIAPHRAGM = Tissue(48, 1.0)
FOAM = Tissue(-930, 0.0)
CARBON_SHELL = Tissue(-150, 0.0)


@dataclass(frozen=True)
class Perfused:
    """Tissues that look different with contrast medium."""

    artery: Tissue
    vein: Tissue
    lung_vessel: Tissue
    heart_muscle: Tissue
    liver: Tissue
    spleen: Tissue


NATIVE = Perfused(
    artery=Tissue(42, 1.6),
    vein=Tissue(42, 1.6),
    lung_vessel=Tissue(42, 1.2),
    heart_muscle=Tissue(48, 3.0),
    liver=Tissue(58, 2.3),
    spleen=Tissue(50, 1.9),
)
CONTRAST = Perfused(
    artery=Tissue(190, 1.6),
    vein=Tissue(165, 1.6),
    lung_vessel=Tissue(180, 1.2),
    heart_muscle=Tissue(105, 3.0),
    liver=Tissue(92, 2.3),
    spleen=Tissue(115, 1.9),
)
