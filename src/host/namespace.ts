import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cache } from './cache.ts';
import { applyIdMaps, idMaps } from './ids.ts';
import { type NamespaceOptions, scripts } from './namespace-script.ts';
import { hostRunner, type RunResult } from './runner.ts';
import { ensureSkeleton, ownByNamespace } from './skeleton.ts';

export type { Mount, NamespaceOptions, Stack } from './namespace-script.ts';

/**
 * The one place that makes namespaces: user, mount, process, IPC, host name and, unless asked for, an empty network. Each
 * run has new ones; they end with the run, with this process, or with the signal, and take every process and mount along.
 */
export interface Namespace {
  /** @throws StepError as Runner.run does; its command is the one that was asked for, not what sets the namespace up. */
  run(argv: readonly string[], options: NamespaceOptions): Promise<RunResult>;
}

export async function openNamespace(cache: Cache): Promise<Namespace> {
  const maps = await idMaps();
  await ensureSkeleton(cache);
  await ownByNamespace(cache, maps.uid[0]?.[1] ?? 0, maps.gid[0]?.[1] ?? 0);
  const calls = process.arch === 'arm64' ? CALLS.arm64 : CALLS.x64;
  return {
    async run(argv, options) {
      const { binds, tops, inner } = scripts(cache, argv, options);
      for (const top of tops) await mkdir(join(cache.skeleton, top), { recursive: true, mode: 0o755 });
      const { root: _root, mounts: _mounts, network, emulator: _emulator, unsynced, ...rest } = options;
      const without = unsynced === true ? [calls.seccomp, calls.architecture, ...calls.sync].join(' ') : '';
      return hostRunner.run(
        ['unshare', '--user', '--keep-caps', '--mount', '--ipc', '--uts', ...(network === true ? [] : ['--net'])]
          .concat(['--propagation', 'private', '--', 'perl', '-e', OUTER, '--'])
          .concat([without, String(calls.mount), cache.skeleton, String(binds.length), ...binds.flat()])
          .concat(['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', inner, 'sh'])
          .concat(argv),
        {
          ...rest,
          shownAs: argv,
          // The caller's TMPDIR is not there.
          env: { HOME: '/root', TMPDIR: '/tmp', PATH, ...rest.env },
          handshake: async (pid, answer) => {
            await applyIdMaps(pid, maps);
            answer.write('\n');
          },
        },
      );
    },
  };
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Numbers of system calls; those of `sync` are fsync, fdatasync, sync, syncfs and sync_file_range. */
const CALLS = {
  x64: { architecture: 0xc000003e, mount: 165, seccomp: 317, sync: [74, 75, 162, 306, 277] },
  arm64: { architecture: 0xc00000b7, mount: 40, seccomp: 277, sync: [82, 83, 81, 267, 84] },
} as const;

/**
 * mount(8) refuses to work for a caller that the namespace does not know yet, so the first mounts are made by mount(2)
 * itself, through perl, which every Debian has. Arguments: numbers for `unsynced`, call number, skeleton, how many pairs,
 * pairs, then the command. `unsynced` is a seccomp filter that answers the calls that wait for the disk with success;
 * where the kernel refuses it, the run is slower and the same.
 */
const OUTER = `
use strict;
open(my $host, '+<&=', 3) or die "fd 3: $!";
syswrite($host, "r"); sysread($host, my $answer, 1) or exit 1; close($host);
my ($without, $call, $skeleton, $count) = splice(@ARGV, 0, 4);
chdir($skeleton) or die "$skeleton: $!\\n";
while ($count-- > 0) {
  my ($source, $place) = splice(@ARGV, 0, 2);
  my $none = "none"; my $empty = 0;
  syscall($call, $source, $place, $none, 4096 | 16384, $empty) == 0 or die "cannot bind $source: $!\\n";
}
chroot('.') or die "chroot: $!\\n";
if ($without ne '') {
  my ($seccomp, $architecture, @numbers) = split(/ /, $without);
  my $left = @numbers;
  my @filter = ([0x20, 0, 0, 4], [0x15, 0, $left + 1, $architecture], [0x20, 0, 0, 0]);
  push(@filter, [0x15, $left--, 0, $_]) for @numbers;
  push(@filter, [0x06, 0, 0, 0x7fff0000], [0x06, 0, 0, 0x00050000]);
  my $code = join('', map { pack('SCCL', @$_) } @filter);
  my $program = pack('SxxxxxxP', scalar(@filter), $code);
  syscall(int($seccomp), 1, 4, $program);
}
exec(qw(setpriv --reuid 0 --regid 0 --clear-groups --inh-caps=-all setpriv --pdeathsig KILL), @ARGV) or die "setpriv: $!\\n";
`;
