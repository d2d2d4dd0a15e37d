"""The part of pytesseract that AMSLPR uses, on top of the program `tesseract`: Debian does not package pytesseract."""

import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Output = SimpleNamespace(STRING='string', DICT='dict', BYTES='bytes')


class TesseractError(RuntimeError):
    """The program failed; the message is what it said."""


class TesseractNotFoundError(EnvironmentError):
    """The program is not installed."""


class pytesseract:  # noqa: N801 - callers set `pytesseract.pytesseract.tesseract_cmd`
    """Where the program is."""

    tesseract_cmd = 'tesseract'


def image_to_string(image: Any, lang: str | None = None, config: str = '', **_: Any) -> str:
    """Text in `image` (an OpenCV array or a path)."""
    return _run(image, lang, config, [])


def image_to_data(image: Any, lang: str | None = None, config: str = '', **_: Any) -> dict[str, list[Any]]:
    """One list a column of tesseract's table; `conf` as numbers from 0 to 100, -1 for what is not a word."""
    lines = [line.split('\t') for line in _run(image, lang, config, ['tsv']).splitlines()]
    if not lines:
        return {'text': [], 'conf': []}
    table: dict[str, list[Any]] = {
        name: [row[i] for row in lines[1:] if i < len(row)] for i, name in enumerate(lines[0])
    }
    table['conf'] = [float(value) for value in table.get('conf', [])]
    return table


def _run(image: Any, lang: str | None, config: str, output: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = image
        if not isinstance(image, (str, Path)):
            import cv2  # pyright: ignore[reportMissingImports] - not on every host

            path = str(Path(folder, 'image.png'))
            cv2.imwrite(path, image)
        language = ['-l', lang] if lang else []
        command = [pytesseract.tesseract_cmd, str(path), 'stdout', *language, *config.split(), *output]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError as error:
            raise TesseractNotFoundError(str(error)) from error
    if done.returncode != 0:
        raise TesseractError(done.stderr.strip())
    return done.stdout
