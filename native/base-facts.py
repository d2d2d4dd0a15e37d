"""Tells what a build has to know of a base image, inside the toolbox.

Usage: base-facts.py ROOT OUT. Copies apt's and dpkg's records of the tree at ROOT into OUT (status, extended_states, arch,
sources/, keyrings/), and writes OUT/changed: the names of packages some file of which is not as the package brought it.
"""

import hashlib
import pathlib
import re
import shutil
import sys

# What an image may leave out of packages: nothing runs from there (src/audit/scans/packaged.ts has the same).
OPTIONAL = re.compile(r"^/usr/share/(doc|man|info|locale|lintian|bug|groff|linda)/")


def place_of(path: str) -> str:
    """The path with / and /usr merged."""
    return f"/usr{path}" if path.startswith(("/bin/", "/sbin/", "/lib/")) else path


def digest_of(file: pathlib.Path) -> str:
    """MD5 in hex, or nothing for what is no file."""
    return hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else ""


def diverted(root: pathlib.Path) -> set[str]:
    """Paths that dpkg puts elsewhere, and the places where it puts them."""
    record = root / "var/lib/dpkg/diversions"
    return {place_of(line) for line in record.read_text().splitlines()} if record.exists() else set()


def recorded(root: pathlib.Path, name: str, architecture: str, stanza: str) -> list[tuple[str, str]]:
    """Path and MD5 of each file of a package, conffiles included."""
    found: list[tuple[str, str]] = []
    for record in (f"{name}.md5sums", f"{name}:{architecture}.md5sums"):
        file = root / "var/lib/dpkg/info" / record
        if file.exists():
            lines = file.read_text(errors="surrogateescape").splitlines()
            found += [("/" + line.partition("  ")[2], line.partition("  ")[0]) for line in lines]
    listed = re.search(r"^Conffiles:\n((?: .*\n?)*)", stanza, re.M)
    for line in listed[1].splitlines() if listed else []:
        words = line.split()
        if len(words) == 2 and words[1] != "newconffile":
            found.append((words[0], words[1]))
    return found


def changed(root: pathlib.Path, status: str) -> list[str]:
    """Names of packages whose files differ."""
    elsewhere = diverted(root)
    names: list[str] = []
    for stanza in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Architecture|Status): (.*)$", stanza, re.M))
        if fields.get("Status") != "install ok installed":
            continue
        name, architecture = fields["Package"], fields.get("Architecture", "")
        for path, digest in recorded(root, name, architecture, stanza):
            if place_of(path) in elsewhere:
                continue
            found = digest_of(root / place_of(path).lstrip("/"))
            if found == digest or (found == "" and OPTIONAL.match(path)):
                continue
            names.append(name)
            break
    return sorted(set(names))


def keyrings(root: pathlib.Path, sources: list[pathlib.Path], out: pathlib.Path) -> None:
    """The key files that sources name, and those that apt trusts for all."""
    out.mkdir()
    text = "\n".join(source.read_text() for source in sources)
    named = re.findall(r"(?:^Signed-By:|signed-by=)\s*(/[^\s\],]+)", text, re.M | re.I)
    for path in named:
        file = root / path.lstrip("/")
        if file.is_symlink():
            target = file.readlink()
            file = root / str(target).lstrip("/") if target.is_absolute() else file.parent / target
        if file.is_file():
            shutil.copyfile(file, out / path.replace("/", "_"))


def main() -> None:
    """Writes all of it."""
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    dpkg = root / "var/lib/dpkg"
    # What the image holds back would be held back on the device too: a build takes the mark away.
    status = (dpkg / "status").read_text(errors="surrogateescape").replace("\nStatus: hold ok ", "\nStatus: install ok ")
    (out / "status").write_text(status, errors="surrogateescape")
    for source, name in ((root / "var/lib/apt/extended_states", "extended_states"), (dpkg / "arch", "arch")):
        (out / name).write_bytes(source.read_bytes() if source.is_file() else b"")
    folder = root / "etc/apt/sources.list.d"
    sources = [file for file in sorted(folder.glob("*")) if file.suffix in (".sources", ".list") and file.is_file()]
    if (root / "etc/apt/sources.list").is_file():
        sources.append(root / "etc/apt/sources.list")
    (out / "sources").mkdir()
    for source in sources:
        shutil.copyfile(source, out / "sources" / source.name)
    keyrings(root, sources, out / "keyrings")
    (out / "changed").write_text("".join(f"{name}\n" for name in changed(root, status)))


if __name__ == "__main__":
    main()
