import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostRunner } from '../../../src/host/runner.ts';
import { changedTree } from '../../../src/qemu/device-tree.ts';

// The device tree of `virt`, as far as it matters here, changed by fdtput.

const VIRT = `/dts-v1/;
/ {
  pl061@9030000 { phandle = <0x8003>; compatible = "arm,pl061", "arm,primecell"; gpio-controller; #gpio-cells = <2>; };
  gpio-keys { compatible = "gpio-keys"; poweroff { gpios = <0x8003 3 0>; linux,code = <0x74>; }; };
};
`;
let folder: string;
let file: string;
/** Plays QEMU: writes the tree where `-machine dumpdtb=` asks for it. */
let qemu: string[];

const at = async (node: string, name: string, type = 's'): Promise<string> =>
  (await hostRunner.run(['fdtget', '-t', type, file, node, name])).stdout.trim();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'amslpr-tree-'));
  file = join(folder, 'board.dtb');
  await writeFile(join(folder, 'virt.dts'), VIRT);
  qemu = ['sh', '-c', `dtc -q -O dtb -o "\${1#dumpdtb=}" ${join(folder, 'virt.dts')}`];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the device tree of a board', () => {
  it('has the light of a Raspberry Pi, on a line of its own', async () => {
    expect(await changedTree(qemu, { led: true }, file)).toEqual(['-dtb', file]);
    expect(await at('/leds', 'compatible')).toBe('gpio-leds');
    expect(await at('/leds/led-act', 'label')).toBe('ACT');
    expect(await at('/leds/led-act', 'linux,default-trigger')).toBe('heartbeat');
    expect(await at('/leds/led-act', 'gpios', 'x')).toBe('8003 5 0');
    expect(await at('/gpio-keys/poweroff', 'gpios', 'x')).toBe('8003 3 0');
  });

  it('has a serial number', async () => {
    expect(await changedTree(qemu, { serial: '10000000abcdef01' }, file)).toEqual(['-dtb', file]);
    expect(await at('/', 'serial-number')).toBe('10000000abcdef01');
    await expect(at('/leds', 'compatible')).rejects.toThrow();
  });

  it('is QEMU’s own when nothing is asked for', async () => {
    expect(await changedTree(['false'], {}, file)).toEqual([]);
  });
});
