import { describe, expect, it } from 'vitest';
import { decideArm64, hasPrivateBinfmt, registration } from '../../../src/host/arm64.ts';
import { cacheRoot } from '../../../src/host/cache.ts';
import { rootRange, subordinateRange } from '../../../src/host/ids.ts';
import { appArmorRestricts } from '../../../src/host/probes.ts';

describe('ids', () => {
  const user = { name: 'ann', uid: 1001 };
  it('takes the first range of the user, by name or number, that is large enough', () => {
    expect(subordinateRange('bob:1:65536\nann:100000:65536\n', user)).toBe(100000);
    expect(subordinateRange('1001:200000:65536\n', user)).toBe(200000);
    expect(subordinateRange('ann:100000:1000\nann:300000:65536\n', user)).toBe(300000);
    expect(subordinateRange('annie:100000:65536\n', user)).toBeUndefined();
    expect(subordinateRange('', user)).toBeUndefined();
  });
  it("never gives a namespace the host's root", () => {
    expect(rootRange('         0          0 4294967295\n')).toBe(1_000_000_000);
    const start = rootRange('         0     100000     200000\n');
    expect(start).toBeGreaterThan(0);
    expect(start + 65536).toBeLessThanOrEqual(200000);
  });
  it('says so when root has too few ids itself', () => {
    expect(() => rootRange('         0     100000      65536\n')).toThrow(/too few ids/);
  });
});

describe('how arm64 programs run', () => {
  const host = { arch: 'x64', kernel: '6.12.48+deb13-amd64', handlers: [] };
  it('natively, by a private handler, or by one that the host has', () => {
    expect(decideArm64({ ...host, arch: 'arm64' }, '/q')).toEqual({ kind: 'native' });
    expect(decideArm64(host, '/q')).toEqual({ kind: 'emulated', interpreter: '/q' });
    const handler = 'enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P (qemu-aarch64)\nflags: POCF\n';
    expect(decideArm64({ ...host, kernel: '6.1.0-37-amd64', handlers: [handler] }, '/q')).toEqual({
      kind: 'host-handler',
    });
  });
  it('not by a handler that a chroot could not find, nor by one that is off', () => {
    const old = { ...host, kernel: '5.15.0-91-generic' };
    const unfixed = 'enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OC\n';
    const off = 'disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\n';
    for (const handlers of [[], [unfixed], [off]]) {
      expect(() => decideArm64({ ...old, handlers }, '/q')).toThrow(/cannot run arm64 programs: kernel 5.15/);
    }
  });
  it('knows since which kernel a handler can be private', () => {
    expect(['6.6.99', '5.15.0', '6.1.0-37-amd64'].map(hasPrivateBinfmt)).toEqual([false, false, false]);
    expect(['6.7.0', '6.12.48+deb13', '7.0.1'].map(hasPrivateBinfmt)).toEqual([true, true, true]);
  });
  it('registers with the flags that set-uid programs and chroots need', () => {
    expect(registration('/q')).toMatch(/^:[\w-]+:M::\\x7fELF.*:\/q:POCF$/);
  });
});

it('puts the cache where the environment says', () => {
  expect(cacheRoot({ AMSLPR_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
  expect(cacheRoot({ XDG_CACHE_HOME: '/x' })).toBe('/x/amslpr-image');
  expect(cacheRoot({})).toMatch(/\/\.cache\/amslpr-image$/);
});

it("sees Ubuntu's restriction for ordinary users only", () => {
  expect([appArmorRestricts('1\n', 1000), appArmorRestricts('0\n', 1000), appArmorRestricts('1\n', 0)]).toEqual([
    true,
    false,
    false,
  ]);
});
