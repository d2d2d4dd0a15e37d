import { DISK_ID_TOKEN, type Plan } from '../../core/plan.ts';
import { sha256 } from '../../plan/digest.ts';

/** The MBR disk signature: eight hex digits of the plan's digest, never all zero, which would mean none. */
export function diskId(plan: Pick<Plan, 'digest'>): string {
  const id = plan.digest.slice(0, 8);
  return id === '00000000' ? '00000001' : id;
}

/** An id in UUID form that is the same for every build of a plan, and another one for each purpose. */
export function uuidFrom(digest: string, purpose: string): string {
  const hex = sha256(`${purpose} ${digest}`);
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Bytes of a planned file with the disk signature where its token stands. */
export function withDiskId(bytes: Uint8Array, id: string): Uint8Array {
  const buffer = Buffer.from(bytes);
  if (!buffer.includes(DISK_ID_TOKEN)) return bytes;
  return Buffer.from(buffer.toString('utf8').replaceAll(DISK_ID_TOKEN, id));
}
