import { describe, expect, it, test } from 'vitest';
import { type Arm64Host, decideArm64, hasPrivateBinfmt, refuseNone, registration } from '../../../src/host/arm64.ts';
import { arm64Probe } from '../../../src/host/probes.ts';

const FIXED = 'enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P (qemu-aarch64)\nflags: POCF\n';
const UNFIXED = 'enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OC\n';
const OFF = 'disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\n';
const OTHER = 'enabled\ninterpreter /usr/bin/qemu-arm-static\nflags: OCF\n';

const NEW = '6.12.48+deb13-amd64';
const OLD = '6.1.0-37-amd64';
const x86 = (kernel: string, more: Partial<Arm64Host> = {}): Arm64Host => ({
  arch: 'x64',
  kernel,
  handlers: [],
  ...more,
});
const refused = { refused: 'mount: /binfmt: permission denied.' };

/** The table in README.md: host, what a build does, what `--no-dispatch` does. */
const table: readonly (readonly [string, Arm64Host, string, string])[] = [
  ['arm64', { arch: 'arm64', kernel: OLD, handlers: [] }, 'native', 'native'],
  ['x86, new kernel', x86(NEW), 'dispatch', 'emulation by private'],
  ['x86, new kernel, with a handler', x86(NEW, { handlers: [FIXED] }), 'dispatch', 'emulation by private'],
  [
    'x86, new kernel, refused, with a handler',
    x86(NEW, { ...refused, handlers: [FIXED] }),
    'emulation by host',
    'emulation by host',
  ],
  ['x86, new kernel, refused', x86(NEW, refused), 'none', 'none'],
  ['x86, old kernel, with a handler', x86(OLD, { handlers: [OTHER, FIXED] }), 'emulation by host', 'emulation by host'],
  ['x86, old kernel', x86(OLD), 'none', 'none'],
  ['x86, old kernel, handler that a chroot cannot find', x86(OLD, { handlers: [UNFIXED] }), 'none', 'none'],
  ['x86, old kernel, handler that is off', x86(OLD, { handlers: [OFF] }), 'none', 'none'],
  ['x86, old kernel, handler for another CPU', x86(OLD, { handlers: [OTHER] }), 'none', 'none'],
  ['x86, old kernel, on and off in different handlers', x86(OLD, { handlers: [OFF, OTHER] }), 'none', 'none'],
  ['another CPU', { arch: 'riscv64', kernel: NEW, handlers: [FIXED] }, 'none', 'none'],
];

const decided = (host: Arm64Host, dispatch: boolean): string => {
  const how = decideArm64(host, { dispatch });
  return how.kind === 'emulation' ? `emulation by ${how.by}` : how.kind;
};

describe('how programs of the image run', () => {
  test.each(table)('%s', (_, host, wanted, undispatched) => {
    expect([decided(host, true), decided(host, false)]).toEqual([wanted, undispatched]);
  });

  it('says what would make it faster, exactly when the host stands in the way', () => {
    const faster = (host: Arm64Host, dispatch = true): string | undefined => {
      const how = decideArm64(host, { dispatch });
      return how.kind === 'emulation' ? how.faster : undefined;
    };
    expect(faster(x86(OLD, { handlers: [FIXED] }))).toMatch(/kernel of 6\.7 or later/);
    expect(faster(x86(NEW, { ...refused, handlers: [FIXED] }))).toMatch(/modprobe binfmt_misc/);
    expect(faster(x86(NEW), false)).toBeUndefined();
  });

  it('does not start a build that could not run them, and names one command', () => {
    for (const [, host, wanted] of table) {
      const how = decideArm64(host, { dispatch: true });
      if (wanted !== 'none') expect(() => refuseNone(how)).not.toThrow();
      else expect(() => refuseNone(how)).toThrow(/cannot run arm64 programs/);
    }
    const fix = (host: Arm64Host): string | undefined => arm64Probe(host).fix;
    expect(fix(x86(OLD))).toBe('sudo apt-get install qemu-user-static');
    expect(fix(x86(NEW, refused))).toBe('sudo modprobe binfmt_misc');
  });

  it('is told by doctor', () => {
    const told = (host: Arm64Host): string => `${arm64Probe(host).ok ? 'ok' : 'FAIL'} ${arm64Probe(host).found}`;
    expect(told({ arch: 'arm64', kernel: NEW, handlers: [] })).toMatch(/^ok natively/);
    expect(told(x86(NEW))).toMatch(/^ok by dispatch: a private handler/);
    expect(told(x86(OLD, { handlers: [FIXED] }))).toMatch(/^ok by emulation: the host's own handler.*6\.7 or later/);
    expect(told(x86(OLD))).toMatch(
      /^FAIL kernel 6\.1\.0-37-amd64 has no private binfmt_misc, and the host has no handler/,
    );
    expect(told(x86(NEW, refused))).toMatch(/^FAIL no private handler can be registered \(mount: .*permission denied/);
  });
});

it('knows since which kernel a handler can be private', () => {
  expect(['6.6.99', '5.15.0', '6.1.0-37-amd64'].map(hasPrivateBinfmt)).toEqual([false, false, false]);
  expect(['6.7.0', '6.12.48+deb13', '7.0.1'].map(hasPrivateBinfmt)).toEqual([true, true, true]);
});

it('registers with the flags that set-uid programs and chroots need', () => {
  expect(registration('/q')).toMatch(/^:[\w-]+:M::\\x7fELF.*:\/q:POCF$/);
});
