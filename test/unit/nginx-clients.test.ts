import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';

// Who counts as one client of nginx: the regular expressions of its map, over addresses as nginx writes them.
const conf = join(import.meta.dirname, '../../overlays/nginx/etc/nginx/conf.d/amslpr.conf.hbs');
const rules = [...readFileSync(conf, 'utf8').matchAll(/^ {4}"~(.*)" \$network;$/gm)].map(
  ([, rule = '']) => new RegExp(rule),
);
const client = (address: string): string =>
  rules.map((rule) => rule.exec(address)?.groups?.['network']).find((found) => found !== undefined) ?? address;

/** The short form of an address, as nginx writes it. */
const short = (groups: readonly number[]): string =>
  new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1);

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
const four = fc.tuple(group, group, group, group);

it('has both rules', () => {
  expect(rules).toHaveLength(2);
});

it('is one network of /64, whatever zeros are left out', () => {
  expect(['2001:db8:1::5', '2001:db8:1::6', '2001:db8:1::a:b:c:d'].map(client)).toEqual(Array(3).fill('2001:db8:1::'));
  expect(['fe80::1', 'fd00::1:2', '::1', '::'].map(client)).toEqual(['fe80::', 'fd00::', '::', '::']);
  expect(client('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2');
});

it('is never two networks, and few names are of one', () => {
  fc.assert(
    fc.property(four, four, fc.array(four, { minLength: 1, maxLength: 30 }), (network, other, hosts) => {
      fc.pre(network.join() !== other.join());
      const [own, others] = [network, other].map(
        (one) => new Set(hosts.map((host) => client(short([...one, ...host])))),
      );
      expect([...(own ?? [])].filter((name) => others?.has(name))).toEqual([]);
      // With a zero at its end a network is written in up to three ways.
      expect(own?.size).toBeLessThanOrEqual(3);
    }),
  );
});

it('is one address of IPv4', () => {
  expect(client('192.0.2.7')).toBe('192.0.2.7');
});
