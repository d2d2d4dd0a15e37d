import { StepError } from '../core/errors.ts';

/**
 * How programs of the image run on this host.
 *
 * - `native`: the host's CPU is arm64; nothing is needed.
 * - `dispatch`: a handler in a private binfmt_misc runs the toolbox's native copy of a program, or QEMU.
 * - `emulation`: QEMU for every program, registered privately, or by the handler that the host already has.
 * - `none`: not at all; no build starts.
 *
 * `why` says what decided; `faster` is one line that says what would make it faster, `fix` the one command that helps.
 */
export type Arm64 =
  | { readonly kind: 'native'; readonly why: string }
  | { readonly kind: 'dispatch'; readonly why: string }
  | { readonly kind: 'emulation'; readonly by: 'private' | 'host'; readonly why: string; readonly faster?: string }
  | { readonly kind: 'none'; readonly why: string; readonly fix: string };

/** What was found on the host. */
export interface Arm64Host {
  /** `process.arch`. */
  readonly arch: string;
  /** `os.release()`, for example `6.12.48+deb13-amd64`. */
  readonly kernel: string;
  /** Contents of the host's /proc/sys/fs/binfmt_misc entries. */
  readonly handlers: readonly string[];
  /** Why a private handler could not be registered when it was tried; absent: it could, or was not tried. */
  readonly refused?: string;
}

/** The first kernel on which a user namespace can have a binfmt_misc of its own. */
const PRIVATE_BINFMT = [6, 7] as const;

export function hasPrivateBinfmt(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > PRIVATE_BINFMT[0] || (major === PRIVATE_BINFMT[0] && minor >= PRIVATE_BINFMT[1]);
}

/** An entry that is on and whose emulator was opened when it was registered, so that it works in every chroot. */
const isUsable = (handler: string): boolean =>
  /^enabled/m.test(handler) && /^interpreter .*aarch64/m.test(handler) && /^flags:.*F/m.test(handler);

/** `dispatch` false: the person wants plain emulation. */
export function decideArm64(host: Arm64Host, { dispatch }: { readonly dispatch: boolean }): Arm64 {
  if (host.arch === 'arm64') return { kind: 'native', why: 'this CPU runs them' };
  if (host.arch !== 'x64') {
    return { kind: 'none', why: `a build needs an x86-64 or arm64 CPU, not ${host.arch}`, fix: 'use such a host' };
  }
  const recent = hasPrivateBinfmt(host.kernel);
  if (recent && host.refused === undefined) {
    const why = `a private handler (kernel ${host.kernel})`;
    if (dispatch) return { kind: 'dispatch', why: `${why}; well-known programs run natively` };
    return { kind: 'emulation', by: 'private', why: `${why}; every program is emulated, as asked` };
  }
  const lack = recent
    ? `no private handler can be registered (${host.refused})`
    : `kernel ${host.kernel} has no private binfmt_misc`;
  const load = 'sudo modprobe binfmt_misc';
  if (host.handlers.some(isUsable)) {
    const better = recent
      ? `\`${load}\`, or a build outside of this container,`
      : 'A kernel of 6.7 or later (Debian 13, Ubuntu 24.04)';
    const faster = `${better} would make this build several times faster.`;
    return { kind: 'emulation', by: 'host', why: `the host's own handler emulates them: ${lack}`, faster };
  }
  return {
    kind: 'none',
    why: `${lack}, and the host has no handler for aarch64`,
    fix: recent ? load : 'sudo apt-get install qemu-user-static',
  };
}

/** @throws StepError when programs of the image cannot be run here. */
export function refuseNone(how: Arm64): void {
  if (how.kind !== 'none') return;
  throw new StepError({ message: `This host cannot run arm64 programs: ${how.why}`, hint: how.fix });
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
