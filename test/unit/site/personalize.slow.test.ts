import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostRunner } from '../../../src/host/runner.ts';
import { findBootPartition, readBootFiles } from '../../../src/site/boot-partition.ts';
import { personalize } from '../../../src/site/personalize.ts';
import { validateSiteText } from '../../../src/site/validate.ts';

const SITE = fileURLToPath(new URL('../../../config/sites/example.yaml', import.meta.url));
const START = 2048;
const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, MTOOLSRC: '/dev/null' };
const MARKERS = ['STATUS.TXT', 'report.json', 'bundle.0', 'bundle.1'];

let folder: string;
let image: string;
let out: string;

/** A card with a FAT partition that has the named files, and a second partition. */
async function makeImage(files: readonly string[]): Promise<void> {
  writeFileSync(image, '');
  truncateSync(image, 64 * 1024 * 1024);
  const input = `label: dos\nstart=${START},size=81920,type=c\nstart=86016,type=83\n`;
  await hostRunner.run(['sfdisk', '-q', image], { input, env });
  await hostRunner.run(['mkfs.vfat', '-F', '32', '-s', '1', '--offset', String(START), image, '40960'], { env });
  for (const name of files) {
    const place = ['-i', `${image}@@${START * 512}`, '-', `::${name}`];
    await hostRunner.run(['mcopy', ...place], { input: '\n'.repeat(4096), env });
  }
}

const stamped = async (path: string) =>
  (await readBootFiles(await findBootPartition(path), (name) => name === '/site.yaml')).contents
    .get('/site.yaml')
    ?.toString();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'amslpr-personalize-'));
  image = join(folder, 'card.img');
  out = join(folder, 'site.img');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('personalize', () => {
  it('writes the canonical site with a token that only the operator has', async () => {
    await makeImage(MARKERS);
    const before = readFileSync(image);
    const { enrolment, site, sshConfig } = await personalize(image, SITE, out);
    const text = (await stamped(out)) ?? '';
    const { token, hostname } = JSON.parse(readFileSync(enrolment, 'utf8'));
    expect(hostname).toBe('example-site');
    expect(text).toContain(`enrolment-token: "${token}"`);
    const again = await validateSiteText(text, 'stamped');
    expect(again.canonical).toBe(text);
    expect(site.digest).toBe(again.digest);
    expect(statSync(enrolment).mode & 0o777).toBe(0o600);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect(readFileSync(image).equals(before)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual([
      'card.img',
      'site.img',
      'site.img.alex.pub',
      'site.img.enrol.json',
      'site.img.ssh_config',
    ]);
    expect(sshConfig).toBe(join(folder, 'site.img.ssh_config'));
    expect(readFileSync(sshConfig, 'utf8')).toContain('HostKeyAlias example-site');
  });

  it('signs what the device reads, with a key that the device is told of', async () => {
    await makeImage(MARKERS);
    const key = join(folder, 'signer');
    await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
    await personalize(image, SITE, out, { sign: key });
    const boot = await findBootPartition(out);
    const { contents } = await readBootFiles(boot, (name) => name.startsWith('/site.yaml'));
    const input = contents.get('/site.yaml')?.toString() ?? '';
    writeFileSync(join(folder, 'sig'), contents.get('/site.yaml.sig') ?? '');
    const [kind, data] = readFileSync(`${key}.pub`, 'utf8').split(' ');
    writeFileSync(join(folder, 'signers'), `site namespaces="amslpr-site" ${kind} ${data}\n`);
    const check = ['ssh-keygen', '-Y', 'verify', '-f', join(folder, 'signers'), '-I', 'site', '-n', 'amslpr-site'];
    const verify = [...check, '-s', join(folder, 'sig')];
    await hostRunner.run(verify, { input });
    await expect(hostRunner.run(verify, { input: `${input} ` })).rejects.toThrow();
  });

  it('makes nothing when the key cannot sign', async () => {
    await makeImage(MARKERS);
    await expect(personalize(image, SITE, out, { sign: join(folder, 'none') })).rejects.toThrow('cannot sign');
    expect(readdirSync(folder)).toEqual(['card.img']);
  });

  it('gives each copy a token of its own', async () => {
    await makeImage(MARKERS);
    const tokens = new Set<string>();
    for (const name of ['a.img', 'b.img']) {
      const { enrolment } = await personalize(image, SITE, join(folder, name));
      tokens.add(JSON.parse(readFileSync(enrolment, 'utf8')).token);
    }
    expect(tokens.size).toBe(2);
  });

  it('takes a compressed image', async () => {
    await makeImage(MARKERS);
    await hostRunner.run(['zstd', '-q', image]);
    await personalize(`${image}.zst`, SITE, out);
    expect(await stamped(out)).toContain('example-site');
  });

  it('changes nothing but the boot partition', async () => {
    await makeImage(MARKERS);
    await personalize(image, SITE, out);
    const [a, b] = [readFileSync(image), readFileSync(out)];
    expect(a.subarray(0, START * 512).equals(b.subarray(0, START * 512))).toBe(true);
    expect(a.subarray((START + 81920) * 512).equals(b.subarray((START + 81920) * 512))).toBe(true);
  });

  it.each([
    ['an image that could not report', () => makeImage(MARKERS.slice(1)), /lacks STATUS\.TXT/],
    ['an image that carries a site', () => makeImage([...MARKERS, 'site.yml']), /carries a site already/],
    ['a file that is no card', async () => writeFileSync(image, 'x'.repeat(4096)), /is no image of a card/],
    ['an image that is not there', async () => undefined, /no such image/],
    [
      'an output whose ssh_config is there',
      () => makeImage(MARKERS).then(() => writeFileSync(`${out}.ssh_config`, 'mine')),
      /is there already/,
    ],
    ['an output that is there', () => makeImage(MARKERS).then(() => writeFileSync(out, 'mine')), /is there already/],
  ])('refuses %s and leaves nothing behind', async (_, prepare, reason) => {
    await prepare();
    const before = readdirSync(folder).sort();
    await expect(personalize(image, SITE, out)).rejects.toThrow(reason);
    expect(readdirSync(folder).sort()).toEqual(before);
  });

  it('names the image that was given, not its copy', async () => {
    await makeImage([]);
    await expect(personalize(image, SITE, out)).rejects.toThrow(`${image} takes no site file`);
  });

  it('refuses a bad site file before it copies anything', async () => {
    await makeImage(MARKERS);
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, 'format: 1\n...\n');
    await expect(personalize(image, bad, out)).rejects.toThrow(/is missing/);
    expect(readdirSync(folder).sort()).toEqual(['bad.yaml', 'card.img']);
  });

  it('leaves nothing when it is interrupted', async () => {
    await makeImage(MARKERS);
    await expect(personalize(image, SITE, out, { signal: AbortSignal.abort() })).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(['card.img']);
  });
});
