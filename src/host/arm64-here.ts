import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../core/errors.ts';
import { type Arm64, type Arm64Host, decideArm64, hasPrivateBinfmt } from './arm64.ts';
import type { Namespace } from './namespace.ts';

/** Handlers that the host itself has registered. */
function hostHandlers(): string[] {
  const folder = '/proc/sys/fs/binfmt_misc';
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name !== 'register' && name !== 'status')
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** The reason why no private handler can be registered here, found by trying it; none when it can. */
async function refusal(namespace: Namespace): Promise<string | undefined> {
  try {
    await namespace.run(['true'], { root: { kind: 'host' }, emulator: '/bin/true' });
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.problems[0]?.hint?.trim().split('\n').at(-1) ?? 'refused';
  }
}

/** What decides on this host; tries what can only be tried. */
export async function arm64Host(namespace: Namespace): Promise<Arm64Host> {
  const facts = { arch: process.arch, kernel: release(), handlers: hostHandlers() };
  if (facts.arch !== 'x64' || !hasPrivateBinfmt(facts.kernel)) return facts;
  const refused = await refusal(namespace);
  return refused === undefined ? facts : { ...facts, refused };
}

/** How programs of the image run on this host. */
export const arm64Here = async (namespace: Namespace, wish: { readonly dispatch: boolean }): Promise<Arm64> =>
  decideArm64(await arm64Host(namespace), wish);
