import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { Board } from '../../src/qemu/board.ts';
import type { Device } from '../../src/qemu/device.ts';
import { type Drive, drive, failures, PATIENCE, restart } from '../boot/drive.ts';
import { builtImage } from '../image/built-image.ts';

// A board with 512 MB, as a Raspberry Pi Zero 2 W or 3 A+ has. What a board with more memory made must open there.

const PASSPHRASE = 'correct horse battery staple';
const project = fileURLToPath(new URL('../..', import.meta.url));

class Site {
  readonly board: Board = {};
  card!: Drive;
  device!: Device;

  async boot(hostname: string): Promise<void> {
    this.card = await drive((await builtImage()).image, 'passphrase', hostname, { board: this.board });
    this.device = await this.card.login();
    await this.device.waitFor('waiting', PATIENCE.ready);
    const input = `${PASSPHRASE}\n${PASSPHRASE}\n`;
    await this.device.ssh.run(['amslpr-device', 'set-passphrase'], { input, timeout: 900 });
    await this.device.waitFor('ready', PATIENCE.ready);
  }

  async reopen(): Promise<void> {
    this.device = await restart(this.card, this.device);
    await this.device.waitFor('waiting', PATIENCE.ready);
    await this.device.ssh.run(['amslpr-device', 'unlock'], { input: `${PASSPHRASE}\n`, timeout: 900 });
    await this.device.waitFor('ready', PATIENCE.ready);
  }

  /** KiB of memory that the device sees, and KiB that opening the container takes. */
  async memory(): Promise<{ seen: number; derivation: number }> {
    const seen = await this.device.sudo(['sed', '-n', 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p', '/proc/meminfo']);
    const dump = await this.device.sudo(['sh', '-c', 'cryptsetup luksDump /dev/disk/by-partuuid/*-04']);
    return { seen: Number(seen), derivation: Number(/^\s+Memory:\s+(\d+)$/m.exec(dump)?.[1]) };
  }

  async stop(): Promise<void> {
    await this.device?.ssh.close();
    await this.card?.stop();
  }
}

/** The mutated site files of device/tests, with the device's own code and without pytest. */
async function mutatedSiteFiles(device: Device): Promise<{ slowest: number; peak: number; taken: number }> {
  const parts = ['device/tests/test_site_fuzz.py', 'test/fixtures/sites'];
  const tar = await promisify(execFile)('tar', ['-C', project, '-cz', ...parts], { encoding: 'buffer' });
  const input = tar.stdout.toString('base64');
  await device.ssh.run(['sh', '-ec', 'mkdir /tmp/fuzz; base64 -d | tar -xz -C /tmp/fuzz'], { input });
  const stub = 'import types\nmark = types.SimpleNamespace(slow=lambda test: test)\n';
  await device.ssh.run(['sh', '-c', 'cat > /tmp/fuzz/device/tests/pytest.py'], { input: stub });
  const run = [
    'import sys; here, lib = "/tmp/fuzz/device/tests", "/usr/lib/amslpr"; sys.path[:0] = [here, lib]',
    'import test_site_fuzz; sys.argv = ["-c", here, lib, str(test_site_fuzz.MANY)]; exec(test_site_fuzz.LIMITED)',
  ].join('\n');
  const { stdout } = await device.ssh.run(['python3', '-c', run], { timeout: 3000 });
  const [slowest = Number.NaN, peak = Number.NaN, taken = 0] = stdout.split(' ').map(Number);
  return { slowest, peak, taken };
}

/** What steps/data.py does on a board without AES, in the sandbox of its own unit, on a file in memory. */
const ADIANTUM = `cat > /run/adiantum.py
truncate -s 64M /run/adiantum.disk
disk=$(losetup --find --show /run/adiantum.disk)
sed -e "s|^ExecStart=.*|ExecStart=python3 /run/adiantum.py $disk|" -e '/^Restart/d' -e '/^Condition/d' \
  -e 's|^Standard.*=.*||' /etc/systemd/system/amslpr-provision.service > /run/systemd/system/adiantum.service
printf '[Service]\\nStandardOutput=file:/run/adiantum.out\\nStandardError=append:/run/adiantum.out\\n' \
  >> /run/systemd/system/adiantum.service
systemctl daemon-reload
systemctl start adiantum || true
cat /run/adiantum.out
losetup -d "$disk"; rm /run/adiantum.disk`;

describe('a board with 512 MB', () => {
  const site = new Site();
  afterAll(() => site.stop());

  it('opens what was made on a board with 1 GB', async () => {
    await site.boot('large');
    const { seen, derivation } = await site.memory();
    expect(seen).toBeGreaterThan(900_000);
    site.board.memory = 512;
    await site.reopen();
    const now = await site.memory();
    expect(now.seen).toBeLessThan(512 * 1024);
    expect(now.derivation).toBe(derivation);
    expect(failures(await site.device.audit())).toEqual([]);
  });

  it('answers each of 10,000 mutated site files within 2 s and 64 MB', async () => {
    const { slowest, peak, taken } = await mutatedSiteFiles(site.device);
    expect(slowest).toBeLessThan(2);
    expect(peak).toBeLessThan(64 * 1024);
    expect(taken).toBeGreaterThan(100);
  });

  it('can have Adiantum, as a board without AES', async () => {
    const input = await readFile(new URL('../helpers/adiantum.py', import.meta.url), 'utf8');
    const said = await site.device.sudo(['sh', '-ec', ADIANTUM], { input, timeout: 900 });
    expect(said).toMatch(/cipher: +xchacha12,aes-adiantum-plain64$/m);
    expect(said).toMatch(/^came back\nnot on the disk$/m);
  });

  it('makes its own', async () => {
    await site.stop();
    await site.boot('small');
    const { seen, derivation } = await site.memory();
    expect(seen).toBeLessThan(512 * 1024);
    expect(derivation).toBeGreaterThanOrEqual(32 * 1024);
    expect(failures(await site.device.audit())).toEqual([]);
    await site.reopen();
  });
});
