import { InvalidArgumentError } from 'commander';

/** A port as it was typed. */
export function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65535) throw new InvalidArgumentError('1 to 65535 is wanted.');
  return port;
}
