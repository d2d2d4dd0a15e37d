import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepError } from '../core/errors.ts';

/** QEMU's control socket. */
export interface Qmp {
  /** @throws StepError with what QEMU said */
  execute(command: string, given?: object): Promise<void>;
  /** Writes everything that the guest has written so far into the overlay's file. Resolves also when QEMU has ended. */
  flush(): Promise<void>;
  /** Why the machine was shut down, as QEMU says it: guest-reset, guest-shutdown, host-signal… */
  shutdownReason(): string | undefined;
  close(): void;
}

/** Connects when QEMU has made its socket; `drive` is the name of the card. @throws StepError after `seconds` */
export async function openQmp(path: string, drive: string, seconds: number, gone: () => boolean): Promise<Qmp> {
  const deadline = Date.now() + seconds * 1000;
  while (!gone() && Date.now() < deadline) {
    const socket = connect(path);
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (connected) return talk(socket, drive);
    await sleep(50);
  }
  throw new StepError('QEMU did not start');
}

function talk(socket: Socket, drive: string): Qmp {
  let reason: string | undefined;
  let rest = '';
  let count = 0;
  const waiting = new Map<number, (problem?: string) => void>();
  const answerAll = (): void => {
    for (const done of waiting.values()) done();
    waiting.clear();
  };
  socket.on('error', () => undefined);
  socket.on('close', answerAll);
  socket.on('data', (chunk) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const message = JSON.parse(line) as {
        event?: string;
        data?: { reason?: string };
        id?: number;
        error?: { desc?: string };
      };
      if (message.event === 'SHUTDOWN') reason = message.data?.reason ?? reason;
      if (message.id === undefined) continue;
      waiting.get(message.id)?.(message.error?.desc);
      waiting.delete(message.id);
    }
  });
  const send = (command: object): Promise<string | undefined> =>
    new Promise((resolve) => {
      if (socket.destroyed) return resolve(undefined);
      count += 1;
      waiting.set(count, resolve);
      socket.write(`${JSON.stringify({ ...command, id: count })}\n`);
    });
  void send({ execute: 'qmp_capabilities' });
  return {
    async execute(command, given = {}) {
      const problem = await send({ execute: command, arguments: given });
      if (problem !== undefined) throw new StepError(`QEMU refused ${command}: ${problem}`);
    },
    async flush() {
      const line = { 'command-line': `qemu-io ${drive} "flush"` };
      await send({ execute: 'human-monitor-command', arguments: line });
    },
    shutdownReason: () => reason,
    close: () => void socket.destroy(),
  };
}
