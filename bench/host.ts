import { readFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { hostRunner } from '../src/host/runner.ts';
import { openBuild, project } from './context.ts';
import type { Circumstances } from './report.ts';

const GIB = 1024 ** 3;

/** Facts about this host and its programs that decide figures. */
export async function circumstances(quick: boolean): Promise<Circumstances> {
  const context = await openBuild({ dispatch: true });
  const version = (name: string): string => context.toolbox.versions.get(name) ?? '?';
  const { stdout } = await hostRunner.run(['git', '-C', project, 'describe', '--always', '--dirty', '--abbrev=12']);
  const model = /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? arch();
  return {
    host: `${arch()}, ${cpus().length} cores (${model.trim()}), ${Math.round(totalmem() / GIB)} GiB of memory`,
    kernel: release().replace(/-.*/, ''),
    versions: {
      node: process.versions.node,
      'qemu-user': version('qemu-user'),
      dpkg: version('dpkg'),
      apt: version('apt'),
      mmdebstrap: version('mmdebstrap'),
      'initramfs-tools': version('initramfs-tools'),
      e2fsprogs: version('e2fsprogs'),
    },
    commit: stdout.trim(),
    quick,
  };
}

export const resultsFile = (given: string | undefined): string => given ?? join(project, 'out', 'bench.json');
