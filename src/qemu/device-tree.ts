import { hostRunner } from '../host/runner.ts';

/** What the device tree tells of a board, and QEMU's own does not. */
export interface TreeChanges {
  /** The serial number, as a Raspberry Pi's firmware puts it there. */
  readonly serial?: string;
  /** A light by the name and with the trigger that a Raspberry Pi's has in Debian's tree. */
  readonly led?: boolean;
}

/** The GPIO chip of `virt`, and a line of it that nothing is at; QEMU's button for power off is at line 3. */
const CHIP = '/pl061@9030000';
const LINE = '5';
const LED = '/leds/led-act';

/**
 * Arguments for the machine that `argv` starts to use a device tree with these changes, written to `file`; none without
 * changes. @throws StepError without fdtput
 */
export async function changedTree(
  argv: readonly string[],
  { serial, led = false }: TreeChanges,
  file: string,
): Promise<string[]> {
  if (serial === undefined && !led) return [];
  await hostRunner.run([...argv, '-machine', `dumpdtb=${file}`]);
  const put = (type: string, node: string, name: string, ...values: string[]) =>
    hostRunner.run(['fdtput', '-p', '-t', type, file, node, name, ...values]);
  if (serial !== undefined) await put('s', '/', 'serial-number', serial);
  if (led) {
    const { stdout } = await hostRunner.run(['fdtget', '-t', 'u', file, CHIP, 'phandle']);
    await put('s', '/leds', 'compatible', 'gpio-leds');
    await put('s', LED, 'label', 'ACT');
    await put('s', LED, 'linux,default-trigger', 'heartbeat');
    await put('u', LED, 'gpios', stdout.trim(), LINE, '0');
  }
  return ['-dtb', file];
}
