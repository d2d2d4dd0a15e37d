"""Makes the files that the dispatch handler needs, inside the toolbox.

Usage: dispatch-home.py OUT < LIST, where LIST holds the paths of arm64 .deb files, and names of packages of the tree at
/base, one a line.
Writes OUT/dispatch (the handler), OUT/qemu, OUT/patched (dpkg's programs that say arm64), OUT/perl (module folders), OUT/apt.conf and
OUT/programs: `<size> <sha256> <path>` for every ELF program of those packages that the toolbox has and can start as the
handler does, from which the table is made by rules.
"""

import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

NATIVE = pathlib.Path(__file__).parent
QEMU = "/usr/bin/qemu-aarch64"
TRIPLETS = ("aarch64-linux-gnu", "x86_64-linux-gnu")
LOADER = "/lib64/ld-linux-x86-64.so.2"
LIBRARIES = "/usr/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu/systemd:/usr/lib"
# These hold the architecture that dpkg was compiled for, once, as a string of its own.
TOLD = ("dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "dpkg-divert", "dpkg-trigger")


def programs(deb: str) -> list[str]:
    """Lines for the executable ELF files of one package."""
    lines: list[str] = []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as archive:
            for member in archive:
                if not member.isfile() or not member.mode & 0o111:
                    continue
                reader = archive.extractfile(member)
                content = reader.read() if reader is not None else b""
                if content[:4] != b"\x7fELF":
                    continue
                path = member.name.lstrip(".")
                if path.startswith(("/bin/", "/sbin/", "/lib/")):
                    path = "/usr" + path
                lines.append(f"{len(content)} {hashlib.sha256(content).hexdigest()} {path}")
    if unpack.returncode != 0:
        sys.exit(f"{deb} could not be unpacked")
    return lines


def programs_of(package: str) -> list[str]:
    """The same for a package that a base image brings; only files that are still as the package recorded them."""
    info = pathlib.Path("/base/var/lib/dpkg/info")
    lines: list[str] = []
    for name in (package, f"{package}:arm64"):
        record = info / f"{name}.md5sums"
        if not record.exists():
            continue
        for line in record.read_text(errors="surrogateescape").splitlines():
            digest, _, place = line.partition("  ")
            path = f"/{place}"
            if path.startswith(("/bin/", "/sbin/", "/lib/")):
                path = "/usr" + path
            file = pathlib.Path("/base" + path)
            if file.is_symlink() or not file.is_file() or not os.access(file, os.X_OK):
                continue
            content = file.read_bytes()
            if content[:4] == b"\x7fELF" and hashlib.md5(content).hexdigest() == digest:
                lines.append(f"{len(content)} {hashlib.sha256(content).hexdigest()} {path}")
    return lines


def starts(path: str) -> bool:
    """Whether the toolbox's copy is there and its loader finds every library: what fails in it would not be emulated."""
    if not os.path.exists(path):
        return False
    command = [LOADER, "--library-path", LIBRARIES, "--list", path]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def patched_dpkg(out: pathlib.Path) -> None:
    """Copies dpkg's programs with their one architecture string changed."""
    folder = out / "patched/usr/bin"
    folder.mkdir(parents=True)
    for name in TOLD:
        content = pathlib.Path("/usr/bin", name).read_bytes()
        found = content.count(b"\0amd64\0")
        if found != 1:
            sys.exit(f"{name} holds its architecture {found} times, not once: it cannot be told another")
        (folder / name).write_bytes(content.replace(b"\0amd64\0", b"\0arm64\0"))
        (folder / name).chmod(0o755)


def handler(out: pathlib.Path) -> None:
    """Compiles the handler with QEMU inside; with musl, since the start of a program of glibc asks the CPU what it is, and
    on a virtual machine each such question goes to the hypervisor: four times as slow, before each of thousands of programs."""
    assembly = pathlib.Path("/tmp/qemu.S")
    assembly.write_text(
        ".section .rodata\n.global qemu_start\n.global qemu_end\n.balign 16\n"
        f'qemu_start: .incbin "{QEMU}"\nqemu_end:\n.section .note.GNU-stack,"",@progbits\n'
    )
    subprocess.run(
        ["musl-gcc", "-O2", "-Wall", "-Wextra", "-static", "-o", str(out / "dispatch"), str(NATIVE / "dispatch.c"), str(assembly)],
        check=True,
    )


def main() -> None:
    """Makes all of it; the list of packages comes on standard input."""
    out = pathlib.Path(sys.argv[1])
    handler(out)
    shutil.copy2(QEMU, out / "qemu")
    patched_dpkg(out)
    (out / "root").mkdir()
    (out / "apt.conf").write_text('APT::Architecture "arm64";\nAPT::Architectures { "arm64"; };\n')
    target, own = TRIPLETS
    folders = [f"/usr/lib/{own}/perl-base", *glob.glob(f"/usr/lib/{own}/perl*/[0-9]*.[0-9]*")]
    wanted = sorted(folder for folder in folders if os.path.isdir(folder) and folder.count(".") == 1 or folder.endswith("-base"))
    (out / "perl").write_text("".join(f"{folder.replace(own, target)} {folder}\n" for folder in wanted))
    found = [line for one in sys.stdin.read().split() for line in (programs(one) if one.startswith("/") else programs_of(one))]
    lines = [line for line in dict.fromkeys(found) if starts(line.split()[2])]
    (out / "programs").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
