"""Recognizes tags: texts and pictures that programs put before, after and between the sound of any format."""

BEGINNINGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""What tags begin with: ID3v2, ID3v1, APEv2 and Lyrics3."""

LONGEST_HEADER = 32
"""How many bytes `size` looks at."""

_ID3_HEADER_BYTES = 10
_APE_HEADER_BYTES = 32


def size(header: bytes) -> int:
    """Returns how many bytes an ID3v2 or APEv2 tag takes, which its header says; 0 for everything else."""
    if header.startswith(b"ID3"):
        content_bytes = 0
        for byte in header[6:_ID3_HEADER_BYTES]:
            content_bytes = content_bytes << 7 | byte & 0x7F
        return _ID3_HEADER_BYTES + content_bytes
    if header.startswith(b"APETAGEX"):
        return _APE_HEADER_BYTES + int.from_bytes(header[12:16], "little")
    return 0
