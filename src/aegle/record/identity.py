"""Names for things that depend on what they are, not on when they were made."""

import hashlib
import uuid


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of the parts as hexadecimal text; their borders count."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(len(content).to_bytes(8, "big"))
        total.update(content)
    return total.hexdigest()


def derive_uid(*parts: str | bytes) -> str:
    """Return a DICOM UID for the content given: the same parts always give the same UID.

    Source: DICOM PS3.5 B.2, UUID-derived UIDs under the root 2.25 (here a name-based UUID
    over SHA-256 in place of SHA-1).
    """
    content = bytes.fromhex(digest(*parts))[:16]
    return f"2.25.{uuid.UUID(bytes=content, version=5).int}"
