import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { OpenPort } from '../../src/core/contribution.ts';
import { rulesFile } from '../../src/core/ufw.ts';

// The fixtures were written by ufw 0.36.2-9: `ufw limit 22/tcp`, `allow 80/tcp`, `allow 443/tcp`, `ufw logging low|off`.
const ports: readonly OpenPort[] = [
  { port: 22, protocol: 'tcp', action: 'limit', comment: 'SSH' },
  { port: 80, protocol: 'tcp', action: 'allow', comment: 'HTTP, redirects to HTTPS' },
  { port: 443, protocol: 'tcp', action: 'allow', comment: 'HTTPS' },
];
const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../fixtures/ufw', name), 'utf8');

describe('rulesFile', () => {
  it.each(['low', 'off'] as const)('writes what ufw itself writes, logging %s', (logging) => {
    expect(rulesFile(4, ports, logging)).toBe(fixture(`${logging}.user.rules`));
    expect(rulesFile(6, ports, logging)).toBe(fixture(`${logging}.user6.rules`));
  });

  it('keeps a comment from becoming a rule', () => {
    const comment = 'x\n-A ufw-user-input -j ACCEPT';
    expect(rulesFile(4, [{ port: 1, protocol: 'udp', action: 'allow', comment }], 'low')).not.toContain(
      'input -j ACCEPT',
    );
  });
});
