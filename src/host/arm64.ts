import { StepError } from '../core/errors.ts';

/**
 * Decides how a program of the image runs on this host. Nothing else knows: a native dispatcher takes its place here.
 *
 * - `native`: the host's CPU is arm64.
 * - `emulated`: `interpreter`, a path inside the namespace, is registered in a private binfmt_misc (kernel 6.7 and later).
 * - `host-handler`: an older kernel, on which the host itself already has a handler that was opened when registered.
 */
export type Arm64 =
  | { readonly kind: 'native' }
  | { readonly kind: 'emulated'; readonly interpreter: string }
  | { readonly kind: 'host-handler' };

export interface Arm64Host {
  /** `process.arch`. */
  readonly arch: string;
  /** `os.release()`, for example `6.12.48+deb13-amd64`. */
  readonly kernel: string;
  /** Contents of the host's /proc/sys/fs/binfmt_misc entries. */
  readonly handlers: readonly string[];
}

/** The first kernel on which a user namespace can have a binfmt_misc of its own. */
const PRIVATE_BINFMT = [6, 7] as const;

export function hasPrivateBinfmt(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > PRIVATE_BINFMT[0] || (major === PRIVATE_BINFMT[0] && minor >= PRIVATE_BINFMT[1]);
}

/** `interpreter` is the emulator's path inside the namespace. @throws StepError when this host cannot do it. */
export function decideArm64(host: Arm64Host, interpreter: string): Arm64 {
  if (host.arch === 'arm64') return { kind: 'native' };
  if (hasPrivateBinfmt(host.kernel)) return { kind: 'emulated', interpreter };
  const fixed = host.handlers.some((text) => text.includes('qemu-aarch64') && /^flags:.*F/m.test(text));
  if (fixed && host.handlers.some((text) => /^enabled/m.test(text))) return { kind: 'host-handler' };
  throw new StepError({
    message: `This host cannot run arm64 programs: kernel ${host.kernel} has no private binfmt_misc, and the host has no handler for aarch64`,
    hint: 'Use a kernel of 6.7 or later (Debian 13, Ubuntu 24.04), or install qemu-user-static, which registers a handler.',
  });
}

/**
 * What is written to binfmt_misc's `register`. The backslashes are for the kernel, which decodes them. Flags: O and C so
 * that set-uid programs keep their meaning, F so that the emulator is found from inside every chroot, P for argv[0].
 */
export function registration(interpreter: string): string {
  const magic = '\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00';
  const mask = '\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff';
  return `:amslpr-aarch64:M::${magic}:${mask}:${interpreter}:POCF`;
}
