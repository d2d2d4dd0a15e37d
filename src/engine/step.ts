import type { Log } from '../core/log.ts';

export type Step = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** Runs named pieces of work, tells when each starts and ends, and starts none once the signal is given. */
export const makeStep =
  (log: Log, signal?: AbortSignal): Step =>
  async (name, work) => {
    signal?.throwIfAborted();
    const start = Date.now();
    const end = (ok: boolean): void => log({ kind: 'step-end', step: name, seconds: (Date.now() - start) / 1000, ok });
    log({ kind: 'step-start', step: name });
    try {
      const value = await work();
      end(true);
      return value;
    } catch (error) {
      end(false);
      throw error;
    }
  };
