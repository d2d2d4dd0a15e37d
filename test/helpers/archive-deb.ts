import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { type Readable, Transform } from 'node:stream';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import tar from 'tar-stream';
import { runStream } from '../../src/host/stream.ts';

/** One entry of a package's data: owner, mode and time are in the header, whoever unpacks it. */
interface DebEntry {
  readonly header: Partial<tar.Header> & Pick<tar.Header, 'name' | 'type'>;
  readonly bytes: Buffer;
}

/** A Debian package in memory. */
export interface Deb {
  /** Fields of its control file, in order. */
  readonly control: ReadonlyMap<string, string>;
  /** The other control files: maintainer scripts, conffiles, triggers…; md5sums is made when it is written. */
  readonly scripts: readonly DebEntry[];
  readonly data: readonly DebEntry[];
  /** Absolute paths. */
  readonly conffiles: readonly string[];
}

async function entries(stream: Readable): Promise<DebEntry[]> {
  const extract = tar.extract();
  stream.on('error', (error) => extract.destroy(error));
  stream.pipe(extract);
  const found: DebEntry[] = [];
  for await (const entry of extract) {
    const parts: Buffer[] = [];
    for await (const part of entry) parts.push(part as Buffer);
    found.push({ header: entry.header, bytes: Buffer.concat(parts) });
  }
  return found;
}

/** `./etc/hosts` of a package's tar archive as `/etc/hosts`. */
export const pathOf = ({ header }: DebEntry): string => `/${header.name.replace(/^\.?\//, '').replace(/\/$/, '')}`;

export function parseControl(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const block of text.trimEnd().split(/\n(?![ \t])/)) {
    const colon = block.indexOf(':');
    fields.set(block.slice(0, colon), block.slice(colon + 1).trim());
  }
  return fields;
}

export const formatControl = (fields: ReadonlyMap<string, string>): string =>
  [...fields].map(([key, value]) => `${key}: ${value}\n`).join('');

export async function readDeb(file: string): Promise<Deb> {
  const control = (await runStream(['dpkg-deb', '--ctrl-tarfile', file], entries)).value;
  const data = (await runStream(['dpkg-deb', '--fsys-tarfile', file], entries)).value;
  const text = (path: string): string => control.find((entry) => pathOf(entry) === path)?.bytes.toString() ?? '';
  return {
    control: parseControl(text('/control')),
    scripts: control.filter((entry) => !['/', '/control', '/md5sums'].includes(pathOf(entry))),
    data,
    conffiles: text('/conffiles')
      .split('\n')
      .filter((line) => line.startsWith('/')),
  };
}

async function pack(list: readonly DebEntry[]): Promise<Buffer> {
  const packer = tar.pack();
  const chunks: Buffer[] = [];
  const collect = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      chunks.push(chunk);
      next();
    },
  });
  const done = new Promise((resolve, reject) => collect.on('finish', resolve).on('error', reject));
  packer.pipe(collect);
  for (const { header, bytes } of list) {
    // dpkg knows no extended headers; without them, a name that is too long ends in an error instead.
    const { pax: _, ...plain } = header;
    if (header.type === 'file') packer.entry({ ...plain, size: bytes.length }, bytes);
    else packer.entry(plain);
  }
  packer.finalize();
  await done;
  return promisify(gzip)(Buffer.concat(chunks), { level: 1 });
}

const file = (name: string, text: string): DebEntry => ({
  header: { name: `./${name}`, type: 'file', mode: 0o644, uid: 0, gid: 0, uname: 'root', gname: 'root' },
  bytes: Buffer.from(text),
});

/** Writes a package that dpkg takes, unprivileged, since owners and modes are never on this host's disk. */
export async function writeDeb(deb: Deb, path: string): Promise<void> {
  const configuration = new Set(deb.conffiles);
  const sums = deb.data
    .filter((entry) => entry.header.type === 'file' && !configuration.has(pathOf(entry)))
    .map((entry) => `${createHash('md5').update(entry.bytes).digest('hex')}  ${pathOf(entry).slice(1)}\n`);
  const control = [file('control', formatControl(deb.control)), file('md5sums', sums.join('')), ...deb.scripts];
  const members: [string, Buffer][] = [
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar.gz', await pack(control)],
    ['data.tar.gz', await pack(deb.data)],
  ];
  const parts: Uint8Array[] = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const columns = [name.padEnd(16), '0'.padEnd(12), '0'.padEnd(6), '0'.padEnd(6), '100644'.padEnd(8)];
    parts.push(Buffer.from(`${columns.join('')}${String(bytes.length).padEnd(10)}\`\n`), bytes);
    if (bytes.length % 2 === 1) parts.push(Buffer.from('\n'));
  }
  await writeFile(path, Buffer.concat(parts));
}
