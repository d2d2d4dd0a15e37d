import { anyPattern } from '../paths.ts';
import { count, readParameters, type Scan } from './scan.ts';

const AARCH64 = 183;
const MACHINES: Readonly<Record<number, string>> = {
  3: 'i386',
  20: 'powerpc',
  40: 'arm (32 bits)',
  62: 'x86-64',
  137: 'VideoCore',
  183: 'aarch64',
  243: 'riscv',
  247: 'BPF',
};
/** The GPU's and other chips' firmware comes in ELF files of their own. */
const FIRMWARE = ['/usr/lib/firmware/**', '/boot/firmware/*.elf', '/usr/lib/raspi-firmware/*.elf'];

/** The machine that an ELF file is for; undefined for other files. */
function elfMachine(head: Uint8Array | undefined): number | undefined {
  if (head === undefined || head.length < 20) return undefined;
  if (head[0] !== 0x7f || head[1] !== 0x45 || head[2] !== 0x4c || head[3] !== 0x46) return undefined;
  return new DataView(head.buffer, head.byteOffset).getUint16(18, head[5] !== 2);
}

/** A program of another CPU can't run on the Pi: it got in from the machine that built the image. */
export const foreignElf: Scan = (tree, parameters) => {
  const allowed = anyPattern(readParameters(parameters, ['allow']).strings('allow', FIRMWARE));
  const problems: string[] = [];
  let [own, inside] = [0, 0];
  const look = (path: string, head: Uint8Array | undefined, isAllowed: boolean): number => {
    const machine = elfMachine(head);
    if (machine === undefined) return 0;
    if (machine !== AARCH64 && !isAllowed) problems.push(`${path} is for ${MACHINES[machine] ?? `machine ${machine}`}`);
    return 1;
  };
  for (const entry of tree.entries()) {
    if (entry.type === 'file') own += look(entry.path, entry.head, allowed(entry.path));
  }
  for (const archive of tree.archives) {
    if (archive.error !== undefined) problems.push(`${archive.path} can't be read: ${archive.error}`);
    for (const file of archive.files) {
      inside += look(`${archive.path}: ${file.path}`, file.head, allowed(file.path));
    }
  }
  const initramfs = `${inside} in ${count(tree.archives.length, 'initramfs', 'initramfs files')}`;
  return { looked: `${count(own, 'ELF file')}, ${initramfs}`, problems };
};
