"""Make the Chinese font that reports carry.

Takes the hanzi of GBK (which hold GB2312 levels 1 and 2, and the rarer characters that
patients' names use), Chinese punctuation and full-width forms from Droid Sans Fallback
(Apache-2.0, Debian package fonts-droid-fallback), without hinting and layout tables.

    python tools/make_report_font.py
"""

import argparse
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

SOURCE = Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf")
TARGET = Path(__file__).parents[1] / "src/aegle/report/fonts/aegle-han.ttf"
FAMILY = "Aegle Han"
LIMIT_BYTES = 3_500_000


def wanted() -> set[int]:
    """Return the code points to keep: GBK hanzi, GB2312 symbols, ASCII, full-width forms."""
    pairs = (bytes([high, low]) for high in range(0xA1, 0xF8) for low in range(0xA1, 0xFF))
    decoded = "".join(pair.decode("gb2312", errors="ignore") for pair in pairs)
    hanzi = range(0x4E00, 0x9FA6)
    forms = (*range(0x20, 0x7F), *range(0x3000, 0x3040), *range(0xFF00, 0xFFF0))
    return {*map(ord, decoded), *hanzi, *forms}


def rename(font: TTFont) -> None:
    """Give the subset its own name, so that it is not taken for the whole font."""
    names = {1: FAMILY, 3: f"{FAMILY} 1", 4: FAMILY, 6: FAMILY.replace(" ", "")}
    for record in font["name"].names:
        if record.nameID in names:
            record.string = names[record.nameID]


def make(source: Path, target: Path) -> int:
    """Write the subset and return its size [bytes]."""
    options = subset.Options()
    options.hinting = False
    options.layout_features = []
    options.glyph_names = False
    options.notdef_outline = True
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    font = TTFont(source, recalcTimestamp=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=wanted())
    subsetter.subset(font)
    rename(font)
    font.save(target)
    size = target.stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"{target} has {size} bytes; reports carry at most {LIMIT_BYTES}.")
    return size


def main() -> None:
    """Read the command line and make the font."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    size = make(arguments.source, arguments.target)
    print(f"{arguments.target}: {size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
