import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBackground } from '../../src/host/background.ts';
import { hostRunner } from '../../src/host/runner.ts';

/** Runs `use` with an SSH agent that holds so many keys of nobody; `env` names it for programs. */
export async function withAgent(
  folder: string,
  keys: number,
  use: (env: Readonly<Record<string, string>>) => Promise<void>,
): Promise<void> {
  await mkdir(folder);
  const env = { SSH_AUTH_SOCK: join(folder, 'socket') };
  const agent = startBackground(['ssh-agent', '-D', '-a', env.SSH_AUTH_SOCK]);
  const before = process.env['SSH_AUTH_SOCK'];
  try {
    for (let number = 0; number < keys; number += 1) {
      const file = join(folder, `key${number}`);
      await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file]);
      await hostRunner.run(['ssh-add', '-q', file], { env });
    }
    process.env['SSH_AUTH_SOCK'] = env.SSH_AUTH_SOCK;
    await use(env);
  } finally {
    if (before === undefined) delete process.env['SSH_AUTH_SOCK'];
    else process.env['SSH_AUTH_SOCK'] = before;
    await agent.stop();
  }
}
