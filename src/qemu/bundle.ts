import { createHash } from 'node:crypto';
import { StepError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';
import type { Guest } from './guest.ts';

/** What the device encrypted for its operators; never written anywhere here. */
export interface RecoveryBundle {
  readonly sudoPasswords: Readonly<Record<string, string>>;
  readonly applicationAdminPassword: string;
  readonly luksRecoveryKey: string;
  readonly proofCode: string;
}

const HEADER = /^amslpr-bundle 1 generation=(\d{1,9}) size=(\d{1,6}) sha256=([0-9a-f]{64})\n/;

interface Slot {
  readonly generation: number;
  readonly body: Buffer;
}

/** A slot of the boot partition, or undefined when it holds no whole bundle. */
export function readSlot(raw: Buffer): Slot | undefined {
  const match = HEADER.exec(raw.subarray(0, 160).toString('latin1'));
  if (match === null) return undefined;
  const [header, generation, size, digest] = match;
  const body = raw.subarray(header.length, header.length + Number(size));
  if (createHash('sha256').update(body).digest('hex') !== digest) return undefined;
  return { generation: Number(generation), body };
}

/** The newest bundle as it lies on the card, encrypted. */
export async function storedBundle(guest: Guest): Promise<Buffer | undefined> {
  const raws = [await guest.bootFile('/bundle.0'), await guest.bootFile('/bundle.1')];
  const slots = raws.flatMap((raw) => readSlot(raw ?? Buffer.alloc(0)) ?? []);
  return slots.sort((a, b) => b.generation - a.generation)[0]?.body;
}

/** @throws StepError when there is none, or when the key in `identity` does not open it */
export async function openBundle(guest: Guest, identity: string): Promise<RecoveryBundle> {
  const body = await storedBundle(guest);
  if (body === undefined) throw new StepError('The boot partition holds no recovery bundle');
  const { stdout } = await hostRunner.run(['age', '-d', '-i', identity], { input: body, timeout: 60 });
  const found: unknown = JSON.parse(stdout);
  const field = (name: string): unknown =>
    typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[name] : undefined;
  const text = (name: string): string => {
    const value = field(name);
    if (typeof value !== 'string' || value === '') throw new StepError(`The recovery bundle has no ${name}`);
    return value;
  };
  return {
    sudoPasswords: (field('sudo_passwords') ?? {}) as Record<string, string>,
    applicationAdminPassword: text('application_admin_password'),
    luksRecoveryKey: text('luks_recovery_key'),
    proofCode: text('proof_code'),
  };
}
