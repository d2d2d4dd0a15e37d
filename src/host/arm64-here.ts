import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { type Arm64, decideArm64 } from './arm64.ts';

/** Handlers that the host itself has registered. */
function hostHandlers(): string[] {
  const folder = '/proc/sys/fs/binfmt_misc';
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name !== 'register' && name !== 'status')
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** How arm64 programs run here, given the emulator's path inside the namespace. */
export const arm64Here = (interpreter: string): Arm64 =>
  decideArm64({ arch: process.arch, kernel: release(), handlers: hostHandlers() }, interpreter);
