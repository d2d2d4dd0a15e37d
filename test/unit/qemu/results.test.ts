import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { completeness } from '../../../src/qemu/check.ts';
import { readResults } from '../../../src/qemu/device.ts';
import { readSlot } from '../../../src/site/bundle.ts';

const result = { id: 'sshd/up', title: 'SSH is up', guide: [3], outcome: 'pass', evidence: 'active' } as const;

describe('results of the guest', () => {
  it('are taken as they are', () => {
    expect(readResults(JSON.stringify([result]))).toEqual([result]);
  });
  it.each(['[]', '{}', 'null', '[{"id": "x", "outcome": "maybe"}]'])('are not made up from %s', (text) => {
    expect(() => readResults(text)).toThrow();
  });
});

describe('completeness', () => {
  it('passes when every check was answered', () => {
    expect(completeness('[{"id": "sshd/up"}]', [result]).outcome).toBe('pass');
  });
  it('fails for a check without an answer, and names it', () => {
    const answer = completeness('[{"id": "sshd/up"}, {"id": "nginx/tls"}]', [result]);
    expect(answer).toMatchObject({ outcome: 'fail', evidence: 'no answer to nginx/tls' });
  });
  it('fails when the image has no checks', () => {
    expect(completeness('[]', []).outcome).toBe('fail');
  });
});

describe('a bundle slot', () => {
  const body = Buffer.from('age');
  const digest = createHash('sha256').update(body).digest('hex');
  const slot = (size: number, sha256: string) =>
    Buffer.from(`amslpr-bundle 1 generation=7 size=${size} sha256=${sha256}\nage\n\n\n`);

  it('is read with its generation', () => {
    expect(readSlot(slot(3, digest))).toEqual({ generation: 7, body });
  });
  it('counts only when it is whole', () => {
    expect(
      readSlot(
        slot(
          3,
          digest.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
        ),
      ),
    ).toBeUndefined();
    expect(readSlot(slot(2, digest))).toBeUndefined();
    expect(readSlot(Buffer.alloc(64, '\n'))).toBeUndefined();
  });
});
