import { describe, expect, it } from 'vitest';
import { ioError, openTarget } from '../../../src/flash/target.ts';

const MIB = 1024 * 1024;

/** What writing to /dev/full, which has no space ever, says when it is taken for a card or for a file. */
async function said(kind: 'device' | 'file'): Promise<unknown> {
  const target = await openTarget('/dev/full', MIB, kind);
  try {
    return await target.write(new Uint8Array(4096), 0).catch((error: unknown) => ioError(error, target, 'writing', 0));
  } finally {
    await target.close();
  }
}

describe('no space', () => {
  it('on a disk means that it was pulled: the kernel sets its size to 0', async () => {
    expect(await said('device')).toMatchObject({ message: expect.stringContaining('was pulled out') });
  });

  it('for a file means that', async () => {
    expect(await said('file')).toMatchObject({ message: expect.stringContaining('no space left') });
  });
});
