import { CpioError, readInitramfs } from '../audit/cpio.ts';
import { unpackInitramfs } from '../audit/image.ts';
import type { AuditTools } from '../audit/tools.ts';
import type { ArchiveFile } from '../audit/tree.ts';
import { StepError, UserError } from '../core/errors.ts';
import type { BootFiles } from './boot-files.ts';

export type MachineName = 'virt' | 'raspi3b';

export interface Machine {
  readonly name: MachineName;
  /** One sentence for the person who waits. */
  readonly why: string;
}

/** What `virt` needs of an image, and where each may come from. */
const NEEDS = [
  { module: 'virtio_blk', path: 'drivers/block/virtio_blk.ko', fromRoot: false },
  { module: 'pci-host-generic', path: 'drivers/pci/controller/pci-host-generic.ko', fromRoot: false },
  // The network is not needed to find root: the module may come from there.
  { module: 'virtio_net', path: 'drivers/net/virtio_net.ko', fromRoot: true },
] as const;

/** The drivers for `virt` that an image lacks, by the files of its initramfs. */
export function missingForVirt(files: readonly ArchiveFile[]): string[] {
  const text = (name: string): string =>
    files
      .filter((file) => file.path.endsWith(`/${name}`))
      .map((file) => Buffer.from(file.bytes ?? []).toString('latin1'))
      .join('\n');
  const [builtin, known] = [text('modules.builtin'), text('modules.order')];
  return NEEDS.filter(({ path, fromRoot }) => {
    const loaded = files.some((file) => file.path.includes(`/kernel/${path}`));
    return !(loaded || builtin.includes(`kernel/${path}`) || (fromRoot && known.includes(`kernel/${path}`)));
  }).map(({ module }) => module);
}

/**
 * `virt` boots fastest and is taken when the image has its drivers; `raspi3b` is the board itself, card and all.
 * @throws UserError when `wanted` cannot boot this image
 */
export async function chooseMachine(boot: BootFiles, tools: AuditTools, wanted?: MachineName): Promise<Machine> {
  if (wanted === 'raspi3b' && boot.deviceTree === undefined) {
    throw new UserError('The boot partition has no device tree of the Raspberry Pi 3 B: raspi3b cannot boot it');
  }
  if (wanted === 'raspi3b') return { name: 'raspi3b', why: 'raspi3b: as was asked for' };
  const missing = missingForVirt(await listInitramfs(boot, tools));
  if (missing.length === 0) {
    return { name: 'virt', why: 'virt: the image has virtio_blk, virtio_net and pci-host-generic' };
  }
  const lacks = `kernel and initramfs lack ${missing.join(', ')}`;
  if (wanted === 'virt') {
    throw new UserError({ message: `virt cannot boot this image: its ${lacks}`, hint: 'Try --machine raspi3b.' });
  }
  if (boot.deviceTree === undefined) {
    throw new UserError(`No emulated machine can boot this image: its ${lacks}, and it has no device tree of a Pi 3 B`);
  }
  return { name: 'raspi3b', why: `raspi3b: ${lacks}, which virt needs` };
}

async function listInitramfs(boot: BootFiles, tools: AuditTools): Promise<ArchiveFile[]> {
  try {
    return await readInitramfs(boot.initramfsBytes, (kind, data) => unpackInitramfs(kind, data, tools));
  } catch (cause) {
    if (!(cause instanceof CpioError)) throw cause;
    throw new StepError(`The initramfs cannot be read: ${cause.message}`, { cause });
  }
}
