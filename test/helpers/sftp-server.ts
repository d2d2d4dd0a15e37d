import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostRunner } from '../../src/host/runner.ts';

/** OpenSSH's server on loopback, which a guest reaches at 10.0.2.2, for one account that may do nothing but SFTP. */
export interface SftpServer extends AsyncDisposable {
  readonly port: number;
  readonly user: string;
  /** Its public host key, and the folder that it keeps files in. */
  readonly hostKey: string;
  readonly files: string;
  /** Lets a key in, as the operator does: a line of authorized_keys. */
  authorize(line: string): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address !== 'object') throw new Error('there is no free port');
  return address.port;
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });

/** `folder`: for keys, settings and files. */
export async function startSftp(folder: string): Promise<SftpServer> {
  const files = join(folder, 'files');
  await mkdir(files, { recursive: true });
  await hostRunner.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(folder, 'host')]);
  const port = await freePort();
  // Root's server wants this folder; an ordinary user's does not.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const settings = [
    ...['ListenAddress 127.0.0.1', `Port ${port}`, `HostKey ${folder}/host`, 'PidFile none', 'UsePAM no'],
    ...['StrictModes no', 'PasswordAuthentication no', 'PermitRootLogin prohibit-password'],
    `AuthorizedKeysFile ${folder}/authorized_keys`,
    ...['Subsystem sftp internal-sftp', 'ForceCommand internal-sftp -P remove,rmdir,posix-rename', ''],
  ];
  await writeFile(join(folder, 'sshd_config'), settings.join('\n'));
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let left = 200; !(await answers(port)); left -= 1) {
    if (left === 0 || child.exitCode !== null) throw new Error('sshd does not answer');
    await sleep(50);
  }
  return {
    port,
    files,
    user: userInfo().username,
    hostKey: (await readFile(join(folder, 'host.pub'), 'utf8')).trim(),
    authorize: (line) => writeFile(join(folder, 'authorized_keys'), `${line}\n`),
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}
