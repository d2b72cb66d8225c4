"""Reads the records of an offline W&B run. Format: LevelDB's log (7 bytes of header, blocks of 32 KiB) of protobufs."""

import struct
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK_BYTES = 32768
FILE_HEADER_BYTES = 7
CHUNK_HEADER = struct.Struct("<IHB")
FULL, LAST = 1, 4


def read_records(file: Path) -> list[Record]:
    """All records of a `.wandb` file, in order."""
    content = file.read_bytes()
    assert content.startswith(b":W&B")
    records: list[Record] = []
    parts: list[bytes] = []
    at = FILE_HEADER_BYTES
    while at < len(content):
        if BLOCK_BYTES - at % BLOCK_BYTES < CHUNK_HEADER.size:
            at += BLOCK_BYTES - at % BLOCK_BYTES
            continue
        _, length, kind = CHUNK_HEADER.unpack_from(content, at)
        at += CHUNK_HEADER.size
        parts.append(content[at : at + length])
        at += length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(b"".join(parts))
            records.append(record)
            parts.clear()
    return records
