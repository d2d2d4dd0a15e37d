import { createHash } from 'node:crypto';
import { StepError } from '../core/errors.ts';
import { hostRunner } from '../host/runner.ts';
import { findBootPartition, readBootFiles } from './boot-partition.ts';

/** What the device encrypted for its operators; written nowhere here but where the operator says. */
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

export const SLOTS = ['/bundle.0', '/bundle.1'];

/** The newest whole bundle of these slots. */
export const newestBundle = (raws: readonly (Buffer | undefined)[]): Buffer | undefined =>
  raws.flatMap((raw) => readSlot(raw ?? Buffer.alloc(0)) ?? []).sort((a, b) => b.generation - a.generation)[0]?.body;

/** The newest bundle of a card, or of an image of one. @throws UserError when it has no boot partition */
export async function bundleOnCard(card: string): Promise<Buffer | undefined> {
  const { contents } = await readBootFiles(await findBootPartition(card), (path) => SLOTS.includes(path));
  return newestBundle(SLOTS.map((name) => contents.get(name)));
}

/** @throws StepError when age is missing or the key in `identity` does not open it */
export async function decryptBundle(body: Uint8Array | string, identity: string): Promise<string> {
  const { stdout } = await hostRunner
    .run(['age', '-d', '-i', identity], { input: body, timeout: 60 })
    .catch((cause: unknown) => {
      const text = cause instanceof StepError ? (cause.problems[0]?.hint ?? '') : '';
      if (cause instanceof StepError && cause.message.startsWith('The program was not found')) {
        throw new StepError({ message: 'age was not found', hint: 'sudo apt-get install age' }, { cause });
      }
      throw new StepError({ message: `${identity} does not open the recovery bundle`, hint: text }, { cause });
    });
  return stdout;
}

/** @throws StepError when something is missing in it */
export function parseBundle(text: string): RecoveryBundle {
  const found: unknown = JSON.parse(text);
  const field = (name: string): unknown =>
    typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[name] : undefined;
  const need = (name: string): string => {
    const value = field(name);
    if (typeof value !== 'string' || value === '') throw new StepError(`The recovery bundle has no ${name}`);
    return value;
  };
  return {
    sudoPasswords: (field('sudo_passwords') ?? {}) as Record<string, string>,
    applicationAdminPassword: need('application_admin_password'),
    luksRecoveryKey: need('luks_recovery_key'),
    proofCode: need('proof_code'),
  };
}
