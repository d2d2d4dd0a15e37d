import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMbr, partUuid } from '../../../src/audit/mbr.ts';

interface Slot {
  readonly type: number;
  readonly start: number;
  readonly sectors: number;
  readonly status?: number;
}

function sector(slots: readonly (Slot | undefined)[], signature = 0xcafe1234): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  view.setUint32(440, signature, true);
  for (const [index, slot] of slots.entries()) {
    if (slot === undefined) continue;
    const at = 446 + index * 16;
    view.setUint8(at, slot.status ?? 0);
    view.setUint8(at + 4, slot.type);
    view.setUint32(at + 8, slot.start, true);
    view.setUint32(at + 12, slot.sectors, true);
  }
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

const size = 3000 * 512;
const boot: Slot = { type: 0x0c, start: 100, sectors: 900 };
const root: Slot = { type: 0x83, start: 1000, sectors: 2000 };

describe('parseMbr', () => {
  it('reads signature and partitions', () => {
    const result = parseMbr(sector([{ ...boot, status: 0x80 }, root], 0xabc), size);
    expect(result).toEqual({
      ok: true,
      disk: {
        size,
        signature: 0xabc,
        partitions: [
          { slot: 1, type: 0x0c, bootable: true, start: 100, sectors: 900 },
          { slot: 2, type: 0x83, bootable: false, start: 1000, sectors: 2000 },
        ],
      },
    });
    if (result.ok) expect(partUuid(result.disk, 2)).toBe('00000abc-02');
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['a short file', new Uint8Array(100), /only 100 bytes/],
    ['no magic', new Uint8Array(512), /no partition table/],
    ['an empty table', sector([]), /empty/],
    ['a GPT', sector([{ type: 0xee, start: 1, sectors: 2999 }]), /GPT/],
    ['an extended partition', sector([boot, { ...root, type: 0x0f }]), /extended/],
    ['a status that is none', sector([{ ...boot, status: 0x41 }]), /status byte 65/],
    ['an overlap', sector([boot, { ...root, start: 999 }]), /1 and 2 overlap/],
    ['an end after the image', sector([boot, { ...root, sectors: 2001 }]), /partition 2 ends at byte 1536512/],
    ['a partition of no size', sector([{ ...boot, sectors: 0 }]), /empty or starts/],
  ])('refuses %s', (_, bytes, reason) => {
    const result = parseMbr(bytes, size);
    expect(result.ok ? '' : result.error).toMatch(reason);
  });

  it('gives partitions inside the image that do not overlap, or a reason, for any bytes', () => {
    const table = fc.uint8Array({ minLength: 512, maxLength: 512 }).map((bytes) => {
      bytes.set([0x55, 0xaa], 510);
      for (const at of [446, 462, 478, 494]) bytes[at] = (bytes[at] ?? 0) & 0x80;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(table, fc.uint8Array({ maxLength: 600 })), fc.maxSafeNat(), (bytes, imageSize) => {
        const result = parseMbr(bytes, imageSize);
        if (!result.ok) return result.error !== '';
        const taken = [...result.disk.partitions].sort((a, b) => a.start - b.start);
        return taken.every(({ start, sectors }, index) => {
          const next = taken[index + 1];
          return sectors > 0 && (start + sectors) * 512 <= imageSize && (!next || start + sectors <= next.start);
        });
      }),
      { numRuns: 2000 },
    );
  });
});
