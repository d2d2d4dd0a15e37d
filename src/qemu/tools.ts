import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { UserError } from '../core/errors.ts';

/** How to start each program: itself and its first arguments. A toolbox's programs need their own loader. */
export interface BootTools {
  readonly qemu: readonly string[];
  readonly qemuImg: readonly string[];
  readonly qemuIo: readonly string[];
}

const WANTED = {
  qemu: { program: 'qemu-system-aarch64', package: 'qemu-system-arm' },
  qemuImg: { program: 'qemu-img', package: 'qemu-utils' },
  qemuIo: { program: 'qemu-io', package: 'qemu-utils' },
} as const;

async function onPath(program: string): Promise<boolean> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await access(join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

/** The one place that says which QEMU is used: the host's. @throws UserError with the packages that are missing */
export async function bootTools(): Promise<BootTools> {
  const missing = new Set<string>();
  for (const { program, package: name } of Object.values(WANTED)) if (!(await onPath(program))) missing.add(name);
  if (missing.size > 0) {
    throw new UserError({
      message: `To boot an image, ${[...missing].join(' and ')} are needed on this host`,
      hint: `sudo apt-get install --no-install-recommends ${[...missing].join(' ')}`,
    });
  }
  return { qemu: [WANTED.qemu.program], qemuImg: [WANTED.qemuImg.program], qemuIo: [WANTED.qemuIo.program] };
}
