import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBackground } from '../../src/host/background.ts';
import { hostRunner } from '../../src/host/runner.ts';
import { hostHasKvm, PATIENT } from '../../src/qemu/command.ts';
import { bootTools } from '../../src/qemu/tools.ts';
import type { Seen } from './marks.ts';
import { partitionsOf } from './parts.ts';
import { watchClosely } from './watch.ts';
import { readWriteLog } from './write-log.ts';

/** What the firmware would load; read from the image once: the first boot changes none of it. */
export interface Firmware {
  readonly kernel: string;
  readonly initramfs: string;
  /** The same with what masks units. */
  readonly masking: string;
  readonly cmdline: string;
}

export interface StartOptions {
  readonly firmware: Firmware;
  /** A raw card; it is only read, what the guest writes goes into `folder`. */
  readonly card: string;
  readonly folder: string;
  /** The image as it is, with no unit masked. */
  readonly whole: boolean;
  readonly cpus: number;
  /**
   * When the guest's power goes, in seconds from the start. Otherwise it goes `settle` seconds after the guest was ready
   * or failed, and not while it writes to the boot partition, where it says of its state.
   */
  readonly cutAfter?: number;
  readonly settle: number;
  /** The longest that it may take. */
  readonly patience: number;
  /** A script that is all that runs, in the place of systemd. */
  readonly script?: string;
  /** A port of this host that leads to the guest's SSH. */
  readonly port?: number;
  /** Done in the guest once it is ready; the power goes `settle` seconds after it. Needs `port`. */
  readonly work?: () => Promise<void>;
  /** Called whenever the guest has said or written something, some milliseconds later. */
  readonly watch?: (seen: Seen) => void;
}

export interface Outcome {
  /** `cut`: as asked for; `late`: neither ready nor failed in time; `ended`: the guest switched itself off. */
  readonly state: 'ready' | 'failed' | 'waiting' | 'cut' | 'late' | 'ended';
  /** Until that state. */
  readonly seconds: number;
  readonly console: string;
  /** The log of everything that the guest wrote. */
  readonly log: string;
}

/** Seconds without a write to the boot partition that end it, and how long they are waited for. */
const QUIET = 2;
const RESTLESS = 30;

const SAID = /amslpr: (?:[a-z0-9-]+: )?(ready|failed at|waiting at)/;

/** Starts a card under virt until it is ready, fails, or loses its power. QEMU is killed, as by a power cut. */
export async function runCard(options: StartOptions): Promise<Outcome> {
  const { folder, firmware, card, whole, cpus, patience, settle, cutAfter, script, port, work, watch } = options;
  const tools = await bootTools();
  const [overlay, log, serial] = ['card.qcow2', 'writes.log', 'console.log'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await rm(overlay, { force: true });
  await writeFile(log, '');
  await writeFile(serial, '');
  await hostRunner.run([...tools.qemuImg, 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', card, overlay]);
  const kvm = hostHasKvm();
  const initramfs = whole ? firmware.initramfs : firmware.masking;
  const qemu = startBackground([
    ...tools.qemu,
    ...(kvm ? ['-M', 'virt', '-accel', 'kvm', '-cpu', 'host'] : ['-M', 'virt', '-accel', 'tcg,thread=multi']),
    ...(kvm ? [] : ['-cpu', 'cortex-a72']),
    ...['-smp', String(cpus), '-m', '1024', '-nodefaults', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    // A busy host takes minutes for what takes a board seconds; by default systemd gives up on a disk after 90 seconds.
    ...[
      '-kernel',
      firmware.kernel,
      '-initrd',
      initramfs,
      '-append',
      `${firmware.cmdline} ${PATIENT} console=ttyAMA0,115200${script === undefined ? '' : alone(script)}`,
    ],
    ...['-serial', `file:${serial}`],
    ...['-blockdev', `driver=qcow2,node-name=view,discard=unmap,file.driver=file,file.filename=${overlay}`],
    ...['-blockdev', `driver=blklogwrites,node-name=card,file=view,log.driver=file,log.filename=${log}`],
    // Zeros are written as zeros: the log has what the card is given.
    ...['-device', 'virtio-blk-pci,drive=card,write-zeroes=off'],
    ...[
      '-netdev',
      `user,id=net${port === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${port}-:22`}`,
      '-device',
      'virtio-net-pci,netdev=net,romfile=',
      '-device',
      'virtio-rng-pci',
    ],
  ]);
  const started = Date.now();
  const seconds = (): number => (Date.now() - started) / 1000;
  let over = false;
  let words = '';
  void qemu.ended.then(({ output }) => {
    over = true;
    words = output.trim();
  });
  let written = 0;
  const bootPartition = (await partitionsOf(card)).get(1);
  const bootEnd = bootPartition === undefined ? 0 : bootPartition.start + bootPartition.sectors;
  let read: number | undefined;
  /** Whether the boot partition was written to since it was asked last. */
  const writes = async (): Promise<boolean> => {
    const fresh = await readWriteLog(log, read);
    read = fresh.at(-1)?.end ?? read;
    return fresh.some(({ entry }) => entry.kind !== 'flush' && entry.sector < bootEnd);
  };
  let said: { readonly state: Outcome['state']; readonly seconds: number } | undefined;
  let working: Promise<void> | undefined;
  let done = work === undefined ? 0 : Number.POSITIVE_INFINITY;
  let fault: unknown;
  const endWatch =
    watch === undefined ? undefined : watchClosely(serial, log, (seen) => watch({ ...seen, seconds: seconds() }));
  try {
    while (!over && seconds() < (cutAfter ?? patience)) {
      await sleep(200);
      const text = await readFile(serial, 'latin1');
      const word = SAID.exec(text)?.[1]?.split(' ')[0];
      if (word !== undefined) said ??= { state: word as Outcome['state'], seconds: seconds() };
      if (cutAfter !== undefined || said === undefined) continue;
      if (await writes()) written = seconds();
      if (said.state === 'ready' && work !== undefined) {
        working ??= work()
          .catch((error: unknown) => {
            fault = error;
          })
          .finally(() => {
            done = seconds();
          });
        if (done > seconds()) continue;
      }
      const spare = seconds() - (working === undefined ? said.seconds : done) - settle;
      if (spare > RESTLESS || (spare > 0 && seconds() > written + QUIET)) break;
    }
  } finally {
    // Not gently: QEMU would write back and say good-bye to its disks.
    if (!over) process.kill(qemu.pid, 'SIGKILL');
    await qemu.ended;
    await working;
    endWatch?.();
  }
  if (fault !== undefined) throw fault;
  if (words !== '' && (await stat(log)).size === 0) throw new Error(`QEMU did not start: ${words}`);
  const text = await readFile(serial, 'latin1');
  const end = { seconds: seconds(), console: text, log };
  if (cutAfter !== undefined && !over) return { ...end, state: 'cut' };
  if (said !== undefined) return { ...end, ...said };
  return { ...end, state: over ? 'ended' : 'late' };
}

/** What makes the initramfs hand over to a shell with this script. */
const alone = (script: string): string =>
  ` init=/bin/sh -- -c "echo ${Buffer.from(script).toString('base64')} | base64 -d | sh"`;
