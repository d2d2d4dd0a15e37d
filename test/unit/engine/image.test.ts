import { describe, expect, it } from 'vitest';
import { parseMbr } from '../../../src/audit/mbr.ts';
import { diskId, uuidFrom, withDiskId } from '../../../src/engine/steps/disk-id.ts';
import { masterBootRecord, rootSize } from '../../../src/engine/steps/image.ts';

describe('ids of an image', () => {
  const digest = '0123456789abcdef'.repeat(4);
  it('come from the plan', () => {
    expect(diskId({ digest })).toBe('01234567');
    expect(uuidFrom(digest, 'a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uuidFrom(digest, 'a')).not.toBe(uuidFrom(digest, 'b'));
  });
  it('are never all zero', () => expect(diskId({ digest: '0'.repeat(64) })).toBe('00000001'));
  it('stand where the token stood, and bytes without it stay', () => {
    expect(Buffer.from(withDiskId(Buffer.from('a=@DISK-ID@-02'), '89abcdef')).toString()).toBe('a=89abcdef-02');
    const binary = Uint8Array.of(0xff, 0x00, 0xfe);
    expect(withDiskId(binary, '89abcdef')).toBe(binary);
  });
});

describe('partition table', () => {
  it('has boot, root and two free slots, as our own reader sees it', () => {
    const result = parseMbr(masterBootRecord('89abcdef', 16384), (1064960 + 16384) * 512);
    expect(result).toMatchObject({
      ok: true,
      disk: {
        signature: 0x89abcdef,
        partitions: [
          { slot: 1, type: 0x0c, start: 16384, sectors: 1048576 },
          { slot: 2, type: 0x83, start: 1064960, sectors: 16384 },
        ],
      },
    });
  });
  it('leaves room for updates, in whole 8 MiB', () => {
    const size = rootSize(1_000_000_000);
    expect(size % (8 * 1024 * 1024)).toBe(0);
    expect(size).toBeGreaterThanOrEqual(1_000_000_000 * 1.1 + 200 * 1024 * 1024);
  });
});
