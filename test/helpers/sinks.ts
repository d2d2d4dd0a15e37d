import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A mail relay and a log server on loopback, which a guest reaches at 10.0.2.2. */
export interface Sinks extends AsyncDisposable {
  readonly mail: number;
  readonly logs: number;
  /** The authority's certificate, PEM. */
  readonly ca: string;
  taken(): Promise<{ readonly mails: readonly string[]; readonly log: string }>;
}

/** `folder`: for certificates. */
export async function startSinks(folder: string): Promise<Sinks> {
  const script = join(import.meta.dirname, 'sinks.py');
  const child = spawn('python3', [script, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error('the mail relay ended');
    return JSON.parse(value) as Record<string, unknown>;
  };
  const ports = (await next()) as Pick<Sinks, 'mail' | 'logs' | 'ca'>;
  return {
    ...ports,
    async taken() {
      child.stdin.write('\n');
      return (await next()) as { mails: string[]; log: string };
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await ended;
    },
  };
}
