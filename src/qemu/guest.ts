import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostTools } from '../audit/tools.ts';
import { StepError } from '../core/errors.ts';
import { type Log, silent } from '../core/log.ts';
import { type Background, startBackground } from '../host/background.ts';
import { findBootPartition, readBootFiles } from '../site/boot-partition.ts';
import { personalizeInPlace } from '../site/personalize.ts';
import type { ValidSite } from '../site/validate.ts';
import { type Board, STICK, startTpm, stickBlock, stickDevice, type Tpm } from './board.ts';
import { extractBootFiles } from './boot-files.ts';
import { DRIVE, hostHasKvm, type Ports, qemuArguments } from './command.ts';
import { lastWords, sshAnnouncements } from './console.ts';
import { changedTree } from './device-tree.ts';
import { chooseMachine, type Machine, type MachineName } from './machine.ts';
import { freePorts, waitForSshBanner } from './network.ts';
import { checkUnchanged, makeOverlay, type Overlay, wholeCard, withBootPartition } from './overlay.ts';
import { openQmp, type Qmp } from './qmp.ts';
import { type BootTools, bootTools } from './tools.ts';
import { uncompressed } from './uncompressed.ts';

export interface GuestOptions {
  readonly machine?: MachineName;
  /** Stamped onto the view before the first start. */
  readonly site?: ValidSite;
  /** Key that signs it. */
  readonly sign?: string;
  readonly interactive?: boolean;
  readonly log?: Log;
  readonly signal?: AbortSignal;
  /** Bytes of the card; the image itself at least. Default 8 GiB. */
  readonly cardSize?: number;
  /** A raw file that `virt` shows as a second disk, read-only. */
  readonly disk?: string;
  /** What else is on the board, `virt` only. */
  readonly board?: Board;
}

/** A running copy-on-write view of an image. `stop` ends QEMU and removes everything that was made for it. */
export interface Guest extends AsyncDisposable {
  readonly machine: Machine;
  readonly ports: Ports;
  /** The enrolment token that the site was stamped with, when there is a site. */
  readonly token?: string;
  /** Folder of everything temporary; callers may put files there. */
  readonly folder: string;
  /** Log of the serial console, of all starts. */
  readonly console: string;
  /** The kernel command line of the latest start, without what QEMU's console adds. */
  cmdline(): string;
  /** How often it was started: a restart of the guest counts. */
  starts(): number;
  /** Settles when the guest was powered off; rejects when QEMU failed. */
  readonly ended: Promise<void>;
  /** @throws StepError with the last console lines and STATUS.TXT */
  waitForSsh(seconds: number): Promise<void>;
  /** Kills QEMU and starts it again, as when the power fails and returns; `waitForRestart` waits for that. */
  powerCycle(): void;
  /** Waits until it was restarted more often than `starts`, then for SSH. */
  waitForRestart(starts: number, seconds: number): Promise<void>;
  /** A file of the boot partition as it is on the card now, or undefined. */
  bootFile(path: string): Promise<Buffer | undefined>;
  /** Ends QEMU at once, as when the power fails, and gives a raw copy of the card. */
  pullCard(): Promise<string>;
  /** Plugs a raw file in as a USB stick, or pulls it out, while the guest runs. The board must have `usb`. */
  plug(stick: string): Promise<void>;
  unplug(): Promise<void>;
  stop(): Promise<void>;
}

/** @throws UserError for an image that cannot be booted, StepError when QEMU does not start */
export async function startGuest(image: string, options: GuestOptions = {}): Promise<Guest> {
  const { log = silent, signal } = options;
  const tools = await bootTools();
  const folder = await mkdtemp(join(tmpdir(), 'amslpr-boot-'));
  try {
    const raw = await uncompressed(image, folder, signal);
    const overlay = await makeOverlay(tools, raw, join(folder, 'card.qcow2'), options.cardSize);
    const { site } = options;
    if (site === undefined) return await run({ image, tools, folder, overlay, options, log });
    const stamp = (view: string) => personalizeInPlace(view, site, image, options.sign);
    const { token } = await withBootPartition(tools, overlay, folder, stamp, true);
    return { ...(await run({ image, tools, folder, overlay, options, log })), token };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface RunInput {
  readonly image: string;
  readonly tools: BootTools;
  readonly folder: string;
  readonly overlay: Overlay;
  readonly options: GuestOptions;
  readonly log: Log;
}

async function run({ image, tools, folder, overlay, options, log }: RunInput): Promise<Guest> {
  const consoleLog = join(folder, 'console.log');
  const extract = () => withBootPartition(tools, overlay, folder, (raw) => extractBootFiles(raw, folder, image));
  let boot = await extract();
  const machine = await chooseMachine(boot, await hostTools(), options.machine);
  log({ kind: 'notice', text: machine.why });
  const ports = await freePorts();
  let current: { readonly qemu: Background; readonly qmp: Qmp } | undefined;
  let tpm: Tpm | undefined;
  let starts = 0;
  let stopped = false;
  let cycling = false;
  let over = false;

  async function start(): Promise<void> {
    const qmpPath = join(folder, `qmp-${starts}`);
    const input = { machine: machine.name, boot, overlay: overlay.path, ports, qmp: qmpPath, console: consoleLog };
    const { board = {} } = options;
    await tpm?.stop();
    tpm = board.tpm === undefined ? undefined : await startTpm(board.tpm, join(folder, `tpm-${starts}`));
    const { tpm: _state, serial, led, ...sockets } = board;
    const argv = [
      ...tools.qemu,
      ...qemuArguments({
        ...input,
        interactive: options.interactive === true,
        kvm: hostHasKvm(),
        board: { ...sockets, ...(tpm === undefined ? {} : { tpm: tpm.socket }) },
        ...(options.disk === undefined ? {} : { disk: options.disk }),
      }),
    ];
    const changes = { ...(serial === undefined ? {} : { serial }), ...(led === undefined ? {} : { led }) };
    argv.push(...(await changedTree(argv, changes, join(folder, `tree-${starts}.dtb`))));
    log({ kind: 'command', argv });
    const qemu = startBackground(argv, { interactive: options.interactive === true });
    let gone = false;
    const failure = qemu.ended.then((result) => {
      gone = true;
      return result;
    });
    try {
      current = { qemu, qmp: await openQmp(qmpPath, DRIVE, 20, () => gone) };
    } catch (cause) {
      await qemu.stop();
      const { output: text } = await failure;
      throw new StepError({ message: 'QEMU did not start', hint: text.trim() }, { cause });
    }
    starts += 1;
  }

  async function follow(): Promise<void> {
    while (current !== undefined) {
      const { code, output } = await current.qemu.ended;
      const reason = current.qmp.shutdownReason();
      current.qmp.close();
      if (stopped) return;
      if (!cycling) {
        if (code !== 0) throw new StepError({ message: `QEMU ended with exit code ${code}`, hint: output.trim() });
        if (reason !== 'guest-reset') return;
      }
      cycling = false;
      log({ kind: 'notice', text: 'The guest restarts' });
      await checkUnchanged(overlay);
      boot = await extract();
      if (stopped) return;
      await start();
    }
  }

  await start();
  const ended = follow().finally(() => {
    over = true;
  });
  ended.catch(() => undefined); // Whoever waits for it gets the error; nobody has to.
  const halt = async (): Promise<void> => {
    stopped = true;
    await current?.qemu.stop();
    await ended.catch(() => undefined);
    // A restart may have been under way.
    await current?.qemu.stop();
    await tpm?.stop();
  };
  const stop = async (): Promise<void> => {
    await halt();
    await rm(folder, { recursive: true, force: true });
  };
  const bootFile = async (path: string): Promise<Buffer | undefined> => {
    // The guest's own syncs reach the file on virt; the emulated SD controller knows none.
    await current?.qmp.flush();
    return withBootPartition(tools, overlay, folder, async (raw) => {
      const { contents } = await readBootFiles(await findBootPartition(raw), (name) => name === path);
      return contents.get(path);
    });
  };
  async function waitForSsh(seconds: number): Promise<void> {
    const given = (): boolean => over || options.signal?.aborted === true;
    if (await waitForSshBanner(ports.ssh, seconds, given, () => sshAnnouncements(consoleLog))) return;
    options.signal?.throwIfAborted();
    if (over) await ended;
    throw new StepError({
      message: over ? 'The guest was powered off before SSH answered' : `SSH did not answer within ${seconds} s`,
      hint: await lastWords(consoleLog, await bootFile('/STATUS.TXT').catch(() => undefined)),
    });
  }
  return {
    machine,
    ports,
    folder,
    console: consoleLog,
    cmdline: () => boot.cmdline,
    starts: () => starts,
    ended,
    waitForSsh,
    powerCycle() {
      cycling = true;
      if (current !== undefined) process.kill(current.qemu.pid, 'SIGKILL');
    },
    async waitForRestart(before, seconds) {
      const deadline = Date.now() + seconds * 1000;
      while (starts <= before && Date.now() < deadline && !over) await sleep(500);
      if (starts <= before) {
        throw new StepError({
          message: `The guest did not restart within ${seconds} s`,
          hint: await lastWords(consoleLog, undefined),
        });
      }
      await waitForSsh((deadline - Date.now()) / 1000);
    },
    bootFile,
    async pullCard() {
      await halt();
      const out = join(folder, 'card.raw');
      await wholeCard(tools, overlay, out);
      return out;
    },
    async plug(stick) {
      await current?.qmp.execute('blockdev-add', stickBlock(stick));
      await current?.qmp.execute('device_add', stickDevice);
    },
    async unplug() {
      await current?.qmp.execute('device_del', { id: STICK });
      // QEMU takes the device out in its own time.
      await sleep(1000);
      await current?.qmp.execute('blockdev-del', { 'node-name': STICK });
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
