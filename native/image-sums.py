"""Checksums of a sparse image in one pass over its data: `image-sums.py IMAGE`, one JSON object to stdout.

`sha256` is that of the whole image, its holes being zeros that are hashed without being read; `ranges` are the runs of
4 KiB blocks that hold data, each as first block, last block, SHA-256. A second thread hashes the ranges.
"""

import errno
import hashlib
import json
import os
import queue
import sys
import threading

BLOCK = 4096
CHUNK = 4 * 1024 * 1024
ZEROS = bytes(CHUNK)


def data_ranges(file: int, size: int) -> list[tuple[int, int]]:
    """Runs of data as (start, end) in bytes, at the borders of blocks, ascending and not touching."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < size:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        at = os.lseek(file, start, os.SEEK_HOLE)
        first = start - start % BLOCK
        end = min(at + -at % BLOCK, size)
        if found and first <= found[-1][1]:
            first = found.pop()[0]
        found.append((first, end))
    return found


def hash_ranges(chunks: "queue.Queue[bytes | None]", sums: list[str]) -> None:
    """Takes chunks; an empty one ends a range, None ends all."""
    current = hashlib.sha256()
    while (chunk := chunks.get()) is not None:
        if chunk:
            current.update(chunk)
        else:
            sums.append(current.hexdigest())
            current = hashlib.sha256()


def main(image: str) -> None:
    file = os.open(image, os.O_RDONLY)
    size = os.fstat(file).st_size
    ranges = data_ranges(file, size)
    whole = hashlib.sha256()
    sums: list[str] = []
    chunks: queue.Queue[bytes | None] = queue.Queue(4)
    worker = threading.Thread(target=hash_ranges, args=(chunks, sums), daemon=True)
    worker.start()

    def zeros(count: int) -> None:
        while count > 0:
            whole.update(ZEROS if count >= CHUNK else ZEROS[:count])
            count -= CHUNK

    at = 0
    for start, end in ranges:
        zeros(start - at)
        at = start
        while at < end:
            chunk = os.pread(file, min(CHUNK, end - at), at)
            if not chunk:
                raise SystemExit(f"{image} became shorter while it was read")
            chunks.put(chunk)
            whole.update(chunk)
            at += len(chunk)
        chunks.put(b"")
    zeros(size - at)
    chunks.put(None)
    worker.join()
    numbers = [(start // BLOCK, (end - 1) // BLOCK) for start, end in ranges]
    listed = [[first, last, digest] for (first, last), digest in zip(numbers, sums, strict=True)]
    json.dump({"size": size, "sha256": whole.hexdigest(), "ranges": listed}, sys.stdout)


main(sys.argv[1])
