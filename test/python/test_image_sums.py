"""native/image-sums.py against what hashlib says of the whole file."""

import hashlib
import json
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / 'native' / 'image-sums.py'
BLOCK = 4096


def sums(image: Path) -> dict[str, object]:
    output = subprocess.run(
        ['/usr/bin/python3', '-I', PROGRAM, image], check=True, capture_output=True, text=True
    ).stdout
    return json.loads(output)


def write_sparse(path: Path, size: int, pieces: dict[int, bytes]) -> None:
    with path.open('wb') as file:
        file.truncate(size)
        for at, content in pieces.items():
            file.seek(at)
            file.write(content)


def test_holes_and_data(tmp_path: Path) -> None:
    image = tmp_path / 'image'
    size = 64 * 1024 * 1024 + 512
    pieces = {0: b'a' * 512, 9 * 1024 * 1024: b'b' * (5 * 1024 * 1024 + 1), size - 512: b'c' * 512}
    write_sparse(image, size, pieces)
    found = sums(image)
    content = image.read_bytes()
    assert found['sha256'] == hashlib.sha256(content).hexdigest()
    assert found['size'] == size
    ranges = found['ranges']
    assert isinstance(ranges, list)
    covered = bytearray(content)
    for first, last, digest in ranges:
        part = content[first * BLOCK : (last + 1) * BLOCK]
        assert digest == hashlib.sha256(part).hexdigest()
        covered[first * BLOCK : (last + 1) * BLOCK] = bytes(len(part))
    assert not any(covered)
    assert sum(last + 1 - first for first, last, _ in ranges) * BLOCK < 16 * 1024 * 1024


def test_nothing_but_a_hole(tmp_path: Path) -> None:
    image = tmp_path / 'image'
    write_sparse(image, 5 * 1024 * 1024, {})
    assert sums(image) == {
        'size': 5 * 1024 * 1024,
        'sha256': hashlib.sha256(bytes(5 * 1024 * 1024)).hexdigest(),
        'ranges': [],
    }
