"""Text in the character sets of DICOM (PS3.3 C.12.1.1.2)."""

import warnings

_SINGLE = {
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 13": "shift_jis",
}
_LINE_ENDS = {0x09, 0x0A, 0x0C, 0x0D, 0x5C}
_NAME_ENDS = _LINE_ENDS | {0x3D, 0x5E}


def decode(raw: bytes, character_set: str, *, is_name: bool = False) -> str:
    """Decode text that is not plain ASCII; bytes that fit no set become U+FFFD."""
    single = _SINGLE.get(character_set.strip(" \0"))
    if single is not None and b"\x1b" not in raw:
        return raw.decode(single, "replace")
    # Slow to import, and few files need it.
    from pydicom.charset import convert_encodings, decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            encodings = convert_encodings([part.strip() for part in character_set.split("\\")])
            return decode_bytes(raw, encodings, _NAME_ENDS if is_name else _LINE_ENDS)
        except (LookupError, ValueError):
            return raw.decode("ascii", "replace")
