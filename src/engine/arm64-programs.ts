import { join } from 'node:path';
import type { Arm64 } from '../host/arm64.ts';
import { type DispatchInput, openDispatch } from '../toolbox/dispatch.ts';
import type { Arm64Programs } from './context.ts';

/** `prepare` makes what running the programs needs, and says what would make it faster; before it, none may be run. */
export function openArm64(
  how: Arm64,
  input: DispatchInput,
): Arm64Programs & { readonly prepare?: () => Promise<void> } {
  if (how.kind === 'dispatch') return openDispatch(input);
  if (how.kind !== 'emulation') return { mounts: [], id: 'native' };
  const { faster } = how;
  const prepare = async (): Promise<void> => {
    if (faster === undefined) return;
    input.log({ kind: 'notice', text: `Every program of the image is emulated. ${faster}` });
  };
  if (how.by === 'host') return { mounts: [], id: 'emulated', prepare };
  return { emulator: join(input.toolbox.root, 'usr/bin/qemu-aarch64'), mounts: [], id: 'emulated', prepare };
}
