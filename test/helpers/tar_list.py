"""Lists a tar archive from standard input, one JSON object a line, in its order: all that a copy of it must keep."""

import hashlib
import json
import sys
import tarfile


def main() -> None:
    """Prints the list."""
    with tarfile.open(fileobj=sys.stdin.buffer, mode='r|') as archive:
        for member in archive:
            reader = archive.extractfile(member) if member.isreg() else None
            digest = hashlib.file_digest(reader, 'sha256').hexdigest() if reader is not None else ''
            pax = {key: value for key, value in sorted(member.pax_headers.items()) if key.startswith('SCHILY.')}
            entry = {
                'path': member.name,
                'type': member.type.decode(),
                'mode': f'{member.mode:04o}',
                'owner': f'{member.uid}:{member.gid}',
                'time': int(member.mtime),
                'size': member.size,
                'link': member.linkname,
                'sha256': digest,
                'pax': pax,
            }
            print(json.dumps(entry))


main()
