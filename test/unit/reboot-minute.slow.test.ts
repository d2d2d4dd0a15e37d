import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const source = readFileSync(join(import.meta.dirname, '../../overlays/updates/usr/lib/amslpr/reboot-minute'), 'utf8');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'reboot-minute-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the device's script with its paths in a folder of the test; the minute of the day that it chose. */
function minuteOf(machineId: string, start: string, window: number): number {
  writeFileSync(join(folder, 'machine-id'), `${machineId}\n`);
  const script = source
    .replace('/etc/apt/apt.conf.d/53amslpr-reboot-minute', join(folder, 'conf'))
    .replace('/var/lib/amslpr-device/site.yaml', join(folder, 'site.yaml'))
    .replace('/etc/machine-id', join(folder, 'machine-id'));
  execFileSync('sh', ['-c', script, 'reboot-minute', start, String(window)]);
  const found = /^Unattended-Upgrade::Automatic-Reboot-Time "(\d\d):(\d\d)";\n/.exec(
    readFileSync(join(folder, 'conf'), 'utf8'),
  );
  return Number(found?.[1]) * 60 + Number(found?.[2]);
}

const ids = Array.from({ length: 12 }, (_, index) => (index + 1).toString(16).padStart(32, '0'));

describe('the reboot minute', () => {
  it.each([
    ['03:30', 60, 210],
    ['08:09', 10, 489],
    ['00:00', 1, 0],
    ['23:50', 60, 1430],
  ])('of a window from %s for %i minutes is in it, past midnight too', (start, window, first) => {
    for (const id of ids) {
      const after = (minuteOf(id, start, window) - first + 1440) % 1440;
      expect(after).toBeLessThan(window);
    }
  });

  it('differs between devices, and stays with one', () => {
    const minutes = ids.map((id) => minuteOf(id, '03:30', 60));
    expect(new Set(minutes).size).toBeGreaterThan(6);
    expect(ids.map((id) => minuteOf(id, '03:30', 60))).toEqual(minutes);
  });

  it('is written once: another start changes nothing', () => {
    minuteOf('ab', '03:30', 60);
    const before = statSync(join(folder, 'conf'), { bigint: true });
    minuteOf('ab', '03:30', 60);
    const after = statSync(join(folder, 'conf'), { bigint: true });
    expect([after.ino, after.mtimeNs]).toEqual([before.ino, before.mtimeNs]);
  });

  it.each([
    ['method: "passphrase"', true],
    ['method: "passphrase"\n  accept-no-automatic-reboot: true', false],
    ['method: "tpm2"\n  pin: true', true],
    ['method: "tpm2"\n  pin: false', false],
    ['method: "tpm2"', false],
    ['method: "tang"\n  tang:\n    url: "http://x"', false],
    ['method: "usb-key"', false],
    ['method: "card"', false],
  ])('with the unlock method %s: no restart without a person is %s', (unlock, waits) => {
    writeFileSync(join(folder, 'site.yaml'), `name: "x"\nunlock:\n  ${unlock}\ndata:\n  existing: "keep"\n...\n`);
    minuteOf('ab', '03:30', 60);
    expect(
      readFileSync(join(folder, 'conf'), 'utf8').includes('\nUnattended-Upgrade::Automatic-Reboot "false";\n'),
    ).toBe(waits);
  });
});
