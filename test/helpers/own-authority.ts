import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostRunner } from '../../src/host/runner.ts';

/** A root that signed an intermediate, by openssl; the intermediate signs what devices ask for. */
export interface OwnAuthority {
  /** File of the root's certificate. */
  readonly root: string;
  /** The certificate for a request, with the names that it asks for, and the intermediate behind it. */
  sign(request: string): Promise<string>;
  /** The same for a key that no device has. */
  signOther(names: readonly string[]): Promise<string>;
}

const DAY = 86_400_000;
/** A time so many days from now, as openssl wants it. */
const stamp = (days: number): string => new Date(Date.now() + days * DAY).toISOString().replaceAll(/[-:T]|\.\d+/g, '');

const openssl = (...words: readonly string[]) => hostRunner.run(['openssl', ...words]);
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** @param folder An existing one of the caller's, who removes it. */
export async function ownAuthority(folder: string): Promise<OwnAuthority> {
  const at = (...names: readonly string[]): string => join(folder, ...names);
  let made = 0;

  /** Has one authority sign a file with a request; a device's own words about names and use are copied. */
  async function sign(authority: string, request: string, extensions: readonly string[]): Promise<string> {
    const issued = at(`issued-${made++}`);
    await mkdir(issued);
    await writeFile(join(issued, 'index.txt'), '');
    const config = [
      ...['[ca]', 'default_ca = d', '[d]', `database = ${issued}/index.txt`, `new_certs_dir = ${issued}`],
      ...['rand_serial = yes', 'default_md = sha256', 'policy = any', 'copy_extensions = copy'],
      ...['x509_extensions = made', '[any]', 'commonName = supplied', '[made]', ...extensions, ''],
    ];
    await writeFile(join(issued, 'ca.cnf'), config.join('\n'));
    const by = ['-keyfile', at(`${authority}.key`), '-cert', at(`${authority}.pem`), '-config', join(issued, 'ca.cnf')];
    const dates = ['-startdate', stamp(-1), '-enddate', stamp(90)];
    return (await openssl('ca', '-batch', '-notext', ...by, ...dates, '-in', request, '-outdir', issued)).stdout;
  }

  const files = (name: string): string[] => ['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)];
  await openssl('req', '-x509', ...newKey, '-subj', '/CN=Test Root', '-days', '90', ...files('root'));
  const between = ['-keyout', at('between.key'), '-out', at('between.csr')];
  await openssl('req', ...newKey, '-subj', '/CN=Test Devices', ...between);
  const authority = ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign'];
  await writeFile(at('between.pem'), `${await sign('root', at('between.csr'), authority)}\n`);

  async function signFile(request: string): Promise<string> {
    const leaf = await sign('between', request, ['basicConstraints = critical,CA:FALSE']);
    return `${leaf}\n${await readFile(at('between.pem'), 'utf8')}`;
  }
  return {
    root: at('root.pem'),
    async sign(request) {
      await writeFile(at('device.csr'), request);
      return signFile(at('device.csr'));
    },
    async signOther(names) {
      const listed = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`;
      const words = ['-subj', '/CN=other', '-addext', listed, '-addext', 'extendedKeyUsage=serverAuth'];
      await openssl('req', ...newKey, ...words, '-keyout', at('other.key'), '-out', at('other.csr'));
      return signFile(at('other.csr'));
    },
  };
}
