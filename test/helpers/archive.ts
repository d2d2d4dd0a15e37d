import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';

/** A signing key that lives as long as its folder. */
export interface ArchiveKey {
  /** ASCII armour, for Signed-By. */
  readonly publicKey: string;
  clearsign(text: string): Promise<string>;
}

/** `folder` must be short: gpg-agent's socket is in it. */
export async function makeArchiveKey(folder: string): Promise<ArchiveKey> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const gpg = ['gpg', '--homedir', folder, '--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback'];
  const identity = 'Upgrade test';
  await hostRunner.run([...gpg, '--passphrase', '', '--quick-generate-key', identity, 'rsa3072', 'sign', '1d']);
  const { stdout } = await hostRunner.run([...gpg, '--armor', '--export', identity]);
  return {
    publicKey: stdout,
    async clearsign(text) {
      return (await hostRunner.run([...gpg, '--clearsign', '--output', '-'], { input: text })).stdout;
    },
  };
}

/** Ends gpg's agent, which goes on for a while otherwise. */
export async function endArchiveKey(folder: string): Promise<void> {
  await hostRunner.run(['gpgconf', '--homedir', folder, '--kill', 'gpg-agent'], { okCodes: [0, 1, 2] });
}

/** By what apt knows an archive: fields of its Release. */
export interface Origin {
  readonly origin: string;
  readonly label: string;
  readonly codename: string;
}

export interface ArchiveOptions {
  /** Default: Debian's security archive. */
  readonly origin?: Origin;
  /** Files of the pool that are in it. Default: all. */
  readonly files?: readonly string[];
  /** Without one, the archive has an unsigned Release. */
  readonly key?: ArchiveKey;
  /** Default: in a week. */
  readonly validUntil?: Date;
}

export const SUITE = 'trixie-security';
const SECURITY: Origin = { origin: 'Debian', label: 'Debian-Security', codename: SUITE };
const DAY = 86_400_000;

/**
 * Makes an archive at `root` of the package files in `root`/../pool, which several archives may share.
 */
export async function writeArchive(root: string, options: ArchiveOptions = {}): Promise<void> {
  const pool = join(root, '..', 'pool');
  const paragraphs = [];
  const { origin, label, codename } = options.origin ?? SECURITY;
  const files = options.files ?? (await readdir(pool)).sort();
  for (const name of files) paragraphs.push(await packageParagraph(join(pool, name), name));
  const packages = paragraphs.join('\n');
  const index = join(root, 'dists', codename, 'main', 'binary-arm64');
  await mkdir(index, { recursive: true });
  await writeFile(join(index, 'Packages'), packages);
  const sum = createHash('sha256').update(packages).digest('hex');
  const until = options.validUntil ?? new Date(Date.now() + 7 * DAY);
  const release = [
    `Origin: ${origin}`,
    `Label: ${label}`,
    `Suite: ${codename.replace('trixie', 'stable')}`,
    `Codename: ${codename}`,
    `Date: ${new Date(Math.min(Date.now(), until.getTime()) - DAY).toUTCString()}`,
    `Valid-Until: ${until.toUTCString()}`,
    'Architectures: arm64',
    'Components: main',
    'SHA256:',
    ` ${sum} ${Buffer.byteLength(packages)} main/binary-arm64/Packages`,
  ];
  const text = `${release.join('\n')}\n`;
  const { key } = options;
  const [name, content] = key === undefined ? ['Release', text] : ['InRelease', await key.clearsign(text)];
  await writeFile(join(root, 'dists', codename, name), content);
}

async function packageParagraph(file: string, name: string): Promise<string> {
  const bytes = await readFile(file);
  const { stdout } = await hostRunner.run(['dpkg-deb', '--field', file]);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return `${stdout.trimEnd()}\nFilename: pool/${name}\nSize: ${bytes.length}\nSHA256: ${sha256}\n`;
}

/** A deb822 source for it. */
export function sourceFor(uri: string, publicKey: string, suite = SUITE): string {
  const key = publicKey.trimEnd().split('\n');
  const folded = key.map((line) => ` ${line === '' ? '.' : line}\n`).join('');
  return `Types: deb\nURIs: ${uri}\nSuites: ${suite}\nComponents: main\nArchitectures: arm64\nSigned-By:\n${folded}`;
}

export interface ArchiveServer extends AsyncDisposable {
  readonly port: number;
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[];
}

/** Serves `folder` on the loopback interface: `/NAME/dists/…`, and `/NAME/pool/…` from the common pool. */
export async function serveArchives(folder: string): Promise<ArchiveServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '/');
    requests.push(path);
    const parts = path.split('/').filter((part) => part !== '');
    const inside = parts[1] === 'pool' ? parts.slice(1) : parts;
    readFile(join(folder, ...(inside.includes('..') ? ['none'] : inside))).then(
      (bytes) => response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server without a port');
  return {
    port: address.port,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
