"""The strict subset of YAML that a site file is written in.

Block maps and block lists of text: plain, 'single' or "double" quoted. No anchors, aliases, tags, flow style, block
text, several documents or tabs. The last line is YAML's end of document, `...`, so that a file that was cut short is
never taken for a whole one. A scalar is always text: what a field makes of it is the field's affair.

Reading never raises: everything that is wrong is a Problem with its place. Time and memory grow with the file's size,
which is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_PROBLEMS = 30

ESCAPES = {'"': '"', '\\': '\\', '/': '/', 'n': '\n', 't': '\t', ' ': ' '}
KEY = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)[ ]*:(?=[ ]|$)')
# Characters that start something in YAML that the subset does not have.
STARTERS = {
    '[': 'a list in brackets',
    '{': 'a map in braces',
    '&': 'an anchor',
    '*': 'an alias',
    '!': 'a tag',
    '|': 'block text',
    '>': 'folded text',
    '%': 'a directive',
    '@': 'a reserved character',
    '`': 'a reserved character',
    '?': 'a complex key',
    ',': 'a comma',
    ']': 'a bracket',
    '}': 'a brace',
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. Lines and columns count from 1; 0 means the file as a whole."""

    line: int
    column: int
    message: str
    hint: str = ''

    @property
    def told(self) -> str:
        """Place, message and hint for people."""
        place = f'line {self.line}' if self.line else 'the whole file'
        return f'{place}: {self.message}' + (f' ({self.hint})' if self.hint else '')


@dataclass
class Scalar:
    """Text and where it stands; `broken` when its own problem is told already."""

    text: str
    line: int
    column: int
    quoted: bool = False
    broken: bool = False


@dataclass
class Sequence:
    """A list and where it starts."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass
class Mapping:
    """A map; `places` has the line and column of each key."""

    line: int
    column: int
    items: dict[str, Node] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True)
class Line:
    """One line that says something: its number, indentation and the rest without a comment."""

    number: int
    indent: int
    content: str


def decode(raw: bytes) -> tuple[str, list[Problem]]:
    """Turns the bytes of a file into text, or says why they are no text of a site file."""

    def refuse(message: str, hint: str, line: int = 0, column: int = 0) -> tuple[str, list[Problem]]:
        return '', [Problem(line, column, message, hint)]

    if len(raw) > MAX_BYTES:
        return refuse(
            f'the file has more than {MAX_BYTES} bytes', 'a site file is a page of text: is this the right file?'
        )
    if raw.startswith((b'\xff\xfe', b'\xfe\xff')) or _is_utf16(raw):
        return refuse('the file is UTF-16', 'save it as UTF-8 (in Windows Notepad: Save as, Encoding)')
    if raw.startswith(b'\xef\xbb\xbf'):
        return refuse('the file starts with a byte-order mark', 'save it as UTF-8 without BOM', 1, 1)
    if b'\0' in raw:
        place = raw.index(b'\0')
        return refuse('the file holds a NUL byte', 'it is damaged: copy it again', raw.count(b'\n', 0, place) + 1)
    if b'\r' in raw:
        place = raw.index(b'\r')
        line = raw.count(b'\n', 0, place) + 1
        return refuse('the lines end as on Windows (CRLF)', 'save it with Unix line ends (LF)', line)
    try:
        text = raw.decode('utf-8')
    except UnicodeDecodeError as error:
        return refuse('the file is not UTF-8', 'save it as UTF-8', raw.count(b'\n', 0, error.start) + 1)
    for number, line in enumerate(text.split('\n'), 1):
        for column, char in enumerate(line, 1):
            if char == '\t':
                return refuse('the file holds a tab', 'indent with spaces', number, column)
            if ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F or char in '\u2028\u2029\ufeff':
                return refuse(f'the file holds the control character U+{ord(char):04X}', 'remove it', number, column)
    return text, []


def _is_utf16(raw: bytes) -> bool:
    """Whether most bytes at even places are NUL and few at odd ones, or the other way round."""
    few, many = sorted((raw[::2].count(0), raw[1::2].count(0)))
    return many > len(raw) // 4 > few


def parse(text: str) -> tuple[Mapping | None, list[Problem]]:
    """Reads a whole site file; the map is None when there is none to speak of."""
    reader = _Reader(text)
    return reader.document()


class _Reader:
    """Goes through the lines once; `at` is the next one."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self.at = 0
        self.lines: list[Line] = []
        raw = text.split('\n')
        while raw and raw[-1].strip() == '':
            raw.pop()
        self.ended = bool(raw) and raw[-1] == '...' and text.endswith('\n')
        self.count = len(raw)
        for number, line in enumerate(raw[:-1] if self.ended else raw, 1):
            content = line.lstrip(' ')
            if content.strip() == '' or content.startswith('#'):
                continue
            self.lines.append(Line(number, len(line) - len(content), content.rstrip(' ')))

    def say(self, line: int, column: int, message: str, hint: str = '') -> None:
        """Records a problem; past a bound, more would not help anybody."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line, column, message, hint))

    def document(self) -> tuple[Mapping | None, list[Problem]]:
        """The top map, and everything that is wrong."""
        if not self.ended:
            hint = 'the file is not whole, or its end is missing: write `...` and a line end as the last line'
            self.say(self.count, 1 if self.count else 0, 'the last line is not `...`', hint)
        for line in self.lines:
            if line.indent == 0 and (line.content == '...' or re.match(r'---( |$)', line.content)):
                self.say(line.number, 1, 'a site file is one document', f'remove the line `{line.content[:20]}`')
                return None, self.problems
        if not self.lines:
            self.say(1, 1, 'the file says nothing', 'make a new one with: init-site')
            return None, self.problems
        first = self.lines[0]
        node = self.block(first.indent, 1)
        if self.at < len(self.lines):
            left = self.lines[self.at]
            self.say(
                left.number, left.indent + 1, 'the indentation fits nothing above it', 'line it up with its neighbours'
            )
        if not isinstance(node, Mapping):
            self.say(first.number, 1, 'a site file is a map: `key: value`', 'start with `format: 1`')
            return None, self.problems
        return node, self.problems

    def block(self, indent: int, depth: int) -> Node:
        """The map, list or text that starts at the next line, all of it at `indent`."""
        line = self.lines[self.at]
        if depth > MAX_DEPTH:
            self.say(line.number, line.indent + 1, f'nested more than {MAX_DEPTH} levels deep')
            self.at = len(self.lines)
            return Scalar('', line.number, line.indent + 1)
        if line.content == '-' or line.content.startswith('- '):
            return self.sequence(indent, depth)
        if KEY.match(line.content):
            return self.mapping(indent, depth)
        self.at += 1
        return self.scalar(line.content, line.number, line.indent + 1)

    def sequence(self, indent: int, depth: int) -> Sequence:
        """Entries `- …` at one indentation."""
        first = self.lines[self.at]
        found = Sequence(first.number, indent + 1)
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.indent != indent or not (line.content == '-' or line.content.startswith('- ')):
                break
            rest = line.content[1:].lstrip(' ')
            if rest == '' or rest.startswith('#'):
                self.at += 1
                found.items.append(self.nested(indent, depth, line.number, line.indent + 2))
                continue
            # What follows the dash counts as a line of its own, further in.
            self.lines[self.at] = Line(line.number, indent + len(line.content) - len(rest), rest)
            found.items.append(self.block(self.lines[self.at].indent, depth + 1))
        return found

    def mapping(self, indent: int, depth: int) -> Mapping:
        """Pairs `key: value` at one indentation."""
        first = self.lines[self.at]
        found = Mapping(first.number, indent + 1)
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.indent < indent:
                break
            if line.indent > indent:
                self.misplaced(line, indent)
                continue
            match = KEY.match(line.content)
            if match is None:
                if line.content.startswith('-'):
                    break
                self.say(
                    line.number,
                    indent + 1,
                    f'`{line.content[:40]}` is not `key: value`',
                    'a colon and a space follow the key',
                )
                self.at += 1
                continue
            key = match[1]
            self.at += 1
            rest = line.content[match.end() :].lstrip(' ')
            column = line.indent + len(line.content) - len(rest) + 1
            if rest == '' or rest.startswith('#'):
                value = self.nested(indent, depth, line.number, column, lists_may_align=True)
            else:
                value = self.scalar(rest, line.number, column)
            if key in found.items:
                self.say(
                    line.number,
                    indent + 1,
                    f'`{key}` stands here twice',
                    f'the first is on line {found.places[key][0]}',
                )
                continue
            found.items[key] = value
            found.places[key] = (line.number, indent + 1)
        return found

    def misplaced(self, line: Line, indent: int) -> None:
        """Says that a line is too far in, once for all that stand below it."""
        if self.at > 0 and self.lines[self.at - 1].indent > line.indent:
            self.say(
                line.number, line.indent + 1, 'the indentation fits nothing above it', 'line it up with its neighbours'
            )
        else:
            self.say(line.number, line.indent + 1, 'the line is indented, but the one above takes nothing below it')
        while self.at < len(self.lines) and self.lines[self.at].indent > indent:
            self.at += 1

    def nested(self, indent: int, depth: int, number: int, column: int, *, lists_may_align: bool = False) -> Node:
        """What stands below a key or a lone dash, further in; empty text when nothing does."""
        if self.at < len(self.lines):
            line = self.lines[self.at]
            is_list = line.content == '-' or line.content.startswith('- ')
            if line.indent > indent or (lists_may_align and is_list and line.indent == indent):
                return self.block(line.indent, depth + 1)
        return Scalar('', number, column)

    def scalar(self, content: str, number: int, column: int) -> Scalar:
        """Text of one line, quoted or plain, with a comment behind it or not."""
        if content[0] == '"':
            return self.double(content, number, column)
        if content[0] == "'":
            return self.single(content, number, column)
        text = content.partition(' #')[0].rstrip(' ')
        known = len(self.problems)
        if text[0] in STARTERS:
            self.say(number, column, f'{STARTERS[text[0]]} is not part of a site file', 'put text in quotes')
        elif ': ' in text or text.endswith(':'):
            self.say(number, column, 'a colon inside plain text', 'put the text in quotes')
        elif text == '-' or text.startswith('- '):
            self.say(number, column, 'a list entry where text belongs', 'put the text in quotes')
        return Scalar(text, number, column, broken=len(self.problems) > known)

    def behind(self, rest: str, number: int, column: int) -> None:
        """Only a comment may follow a closing quote."""
        if rest.strip(' ') != '' and not re.match(r'[ ]+#', rest):
            self.say(
                number, column, 'something stands behind the closing quote', 'keep the whole text inside the quotes'
            )

    def single(self, content: str, number: int, column: int) -> Scalar:
        """'text', in which '' is one quote."""
        match = re.match(r"'((?:[^']|'')*)'", content)
        if match is None:
            self.say(number, column, 'the quote is not closed on its line', "end the text with '")
            return Scalar('', number, column, quoted=True, broken=True)
        self.behind(content[match.end() :], number, column + match.end())
        return Scalar(match[1].replace("''", "'"), number, column, quoted=True)

    def double(self, content: str, number: int, column: int) -> Scalar:
        """ "text" with the escapes of ESCAPES and \\uXXXX."""
        out: list[str] = []
        known = len(self.problems)
        at = 1
        while at < len(content) and content[at] != '"':
            if content[at] != '\\':
                out.append(content[at])
                at += 1
                continue
            code = content[at + 1 : at + 2]
            digits = content[at + 2 : at + 6]
            if code in ESCAPES and code != '':
                out.append(ESCAPES[code])
                at += 2
            elif code == 'u' and re.fullmatch(r'[0-9A-Fa-f]{4}', digits) and not 0xD800 <= int(digits, 16) <= 0xDFFF:
                out.append(chr(int(digits, 16)))
                at += 6
            else:
                self.say(number, column + at, f'`\\{code}` is no escape of a site file', 'write `\\\\` for a backslash')
                at += 2
        if at >= len(content):
            self.say(number, column, 'the quote is not closed on its line', 'end the text with "')
        else:
            self.behind(content[at + 1 :], number, column + at + 1)
        return Scalar(''.join(out), number, column, quoted=True, broken=len(self.problems) > known)
