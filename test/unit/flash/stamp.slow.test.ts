import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LogEntry, silent } from '../../../src/core/log.ts';
import { flash } from '../../../src/flash/flash.ts';
import { hostRunner } from '../../../src/host/runner.ts';

const EXAMPLE = fileURLToPath(new URL('../../../config/sites/example.yaml', import.meta.url));
const MIB = 1024 * 1024;
const START = 2048;
const root = mkdtempSync(join(tmpdir(), 'flash-stamp-'));
const [image, card, sites] = [join(root, 'a.img'), join(root, 'card.img'), join(root, 'sites')];
const site = join(sites, 'north.yaml');

beforeAll(async () => {
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, MTOOLSRC: '/dev/null' };
  writeFileSync(image, '');
  truncateSync(image, 44 * MIB);
  await hostRunner.run(['sfdisk', '-q', image], { input: `label: dos\nstart=${START},size=81920,type=c\n`, env });
  await hostRunner.run(['mkfs.vfat', '-F', '32', '-s', '1', '--offset', String(START), image, '40960'], { env });
  for (const name of ['STATUS.TXT', 'report.json', 'bundle.0', 'bundle.1']) {
    const place = ['-i', `${image}@@${START * 512}`, '-', `::${name}`];
    await hostRunner.run(['mcopy', ...place], { input: '\n'.repeat(4096), env });
  }
  mkdirSync(sites);
  copyFileSync(EXAMPLE, site);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the token of a stamped card', () => {
  const options = { image, device: card, site, create: 64 * MIB };

  it('lies beside the site file, and is not left by a run that was ended after the stamp', async () => {
    const abort = new AbortController();
    const log = (entry: LogEntry): void => {
      if (entry.kind === 'progress' && entry.step === 'Verify' && entry.done === entry.total) abort.abort();
    };
    await expect(flash(options, { runner: hostRunner, log, signal: abort.signal })).rejects.toThrow('abort');
    expect(readdirSync(sites)).toEqual(['north.yaml']);
    expect(readdirSync(root)).not.toContain('card.img');
    const { enrolment, sshConfig } = await flash(options, { runner: hostRunner, log: silent });
    expect(enrolment).toBe(join(sites, 'north.enrol.json'));
    expect(sshConfig).toBe(join(sites, 'north.ssh_config'));
    expect(readdirSync(sites).sort()).toEqual(['north.alex.pub', 'north.enrol.json', 'north.ssh_config', 'north.yaml']);
  });

  it('is known to have a place before anything is written', async () => {
    rmSync(card, { force: true });
    // Where what a shell gives as <(command) is: no file can be made there, by root neither.
    const fd = openSync(site, 'r');
    try {
      const given = { ...options, site: `/dev/fd/${fd}` };
      await expect(flash(given, { runner: hostRunner, log: silent })).rejects.toThrow('token cannot be written');
      expect(readdirSync(root)).not.toContain('card.img');
    } finally {
      closeSync(fd);
    }
  });
});
