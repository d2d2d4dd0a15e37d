/** Writes small FAT32 or FAT16 file systems for tests of the reader: short names, and long ones where needed. */
interface FatFile {
  readonly path: string;
  readonly content: Uint8Array;
}

const SECTOR = 512;

function shortRecord(name: string, attributes: number, cluster: number, size: number): Uint8Array {
  const [stem = '', extension = ''] = name.split('.');
  const raw = new Uint8Array(32).fill(0x20, 0, 11);
  raw.set(Buffer.from(stem.slice(0, 8)), 0);
  raw.set(Buffer.from(extension.slice(0, 3)), 8);
  const view = new DataView(raw.buffer);
  raw[11] = attributes;
  view.setUint16(20, cluster >> 16, true);
  view.setUint16(26, cluster & 0xffff, true);
  view.setUint16(24, (46 << 9) | (1 << 5) | 2, true); // 2026-01-02
  view.setUint16(22, (3 << 11) | (4 << 5) | 3, true); // 03:04:06
  view.setUint32(28, size, true);
  return raw;
}

function longRecords(name: string, short: Uint8Array): Uint8Array[] {
  let sum = 0;
  for (const byte of short.subarray(0, 11)) sum = ((((sum & 1) << 7) | (sum >> 1)) + byte) & 0xff;
  const parts = Math.ceil(name.length / 13);
  return Array.from({ length: parts }, (_, index) => {
    const order = parts - index;
    const raw = new Uint8Array(32);
    const view = new DataView(raw.buffer);
    raw[0] = order | (index === 0 ? 0x40 : 0);
    raw[11] = 0x0f;
    raw[13] = sum;
    for (const [n, at] of [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].entries()) {
      const place = (order - 1) * 13 + n;
      view.setUint16(at, place < name.length ? name.charCodeAt(place) : place === name.length ? 0 : 0xffff, true);
    }
    return raw;
  });
}

export function makeFat32(files: readonly FatFile[], clusters = 70000): Uint8Array {
  const fatSectors = Math.ceil(((clusters + 2) * 4) / SECTOR);
  const dataStart = (32 + fatSectors) * SECTOR;
  const image = new Uint8Array(dataStart + clusters * SECTOR);
  const view = new DataView(image.buffer);
  view.setUint16(11, SECTOR, true);
  view.setUint8(13, 1);
  view.setUint16(14, 32, true);
  view.setUint8(16, 1);
  view.setUint32(32, image.length / SECTOR, true);
  view.setUint32(36, fatSectors, true);
  view.setUint32(44, 2, true);
  image.set([0x55, 0xaa], 510);
  let next = 3;
  const store = (bytes: Uint8Array, first = next): number => {
    const count = Math.max(1, Math.ceil(bytes.length / SECTOR));
    for (let n = 0; n < count; n++) {
      const cluster = n === 0 ? first : next + n - (first === next ? 0 : 1);
      const following = n === count - 1 ? 0x0fffffff : first === next ? first + n + 1 : next + n;
      view.setUint32(32 * SECTOR + cluster * 4, following, true);
      image.set(bytes.subarray(n * SECTOR, (n + 1) * SECTOR), dataStart + (cluster - 2) * SECTOR);
    }
    next += first === next ? count : count - 1;
    return first;
  };
  let serial = 0;
  const folder = (prefix: string): Uint8Array => {
    const records: Uint8Array[] = [];
    const done = new Set<string>();
    for (const { path, content } of files.filter((one) => one.path.startsWith(prefix))) {
      const [name = '', ...below] = path.slice(prefix.length).split('/');
      if (done.has(name)) continue;
      done.add(name);
      const isShort = /^[A-Z0-9_~]{1,8}(\.[A-Z0-9_~]{1,3})?$/.test(name);
      const cluster = below.length > 0 ? store(folder(`${prefix}${name}/`)) : store(content);
      const short = shortRecord(
        isShort ? name : `LONG~${serial++}`,
        below.length > 0 ? 0x10 : 0x20,
        content.length === 0 && below.length === 0 ? 0 : cluster,
        below.length > 0 ? 0 : content.length,
      );
      records.push(...(isShort ? [] : longRecords(name, short)), short);
    }
    return Buffer.concat(records);
  };
  const rootBytes = folder('/');
  store(Buffer.concat([shortRecord('BOOTFS', 0x08, 0, 0), rootBytes]), 2);
  return image;
}
