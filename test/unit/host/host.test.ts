import { describe, expect, it } from 'vitest';
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
