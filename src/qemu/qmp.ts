import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StepError } from '../core/errors.ts';

/** QEMU's control socket. */
export interface Qmp {
  /** Sends a command; its answer is not waited for, since ending commands may give none. */
  send(command: string, args?: Readonly<Record<string, unknown>>): void;
  /** Why the machine was shut down, as QEMU says it: guest-reset, guest-shutdown, host-signal… */
  shutdownReason(): string | undefined;
  close(): void;
}

/** Connects when QEMU has made its socket. @throws StepError after `seconds` */
export async function openQmp(path: string, seconds: number, gone: () => boolean): Promise<Qmp> {
  const deadline = Date.now() + seconds * 1000;
  while (!gone()) {
    const socket = connect(path);
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (connected) {
      let reason: string | undefined;
      let rest = '';
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) reason = shutdownIn(line) ?? reason;
      });
      const send: Qmp['send'] = (execute, args) =>
        void socket.write(`${JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) })}\n`);
      send('qmp_capabilities');
      return { send, shutdownReason: () => reason, close: () => void socket.destroy() };
    }
    if (Date.now() > deadline) break;
    await sleep(50);
  }
  throw new StepError('QEMU did not start');
}

function shutdownIn(line: string): string | undefined {
  const message: unknown = JSON.parse(line);
  if (typeof message !== 'object' || message === null || !('event' in message) || message.event !== 'SHUTDOWN') return;
  const data = 'data' in message ? message.data : undefined;
  return typeof data === 'object' && data !== null && 'reason' in data ? String(data.reason) : undefined;
}
