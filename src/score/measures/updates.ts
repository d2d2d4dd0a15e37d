import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findMirrors } from '../../engine/archive.ts';
import { DEBIAN_KEYRING, sourcesText } from '../../engine/resolve.ts';
import { openCache } from '../../host/cache.ts';
import { openNamespace } from '../../host/namespace.ts';
import { type Measure, nothingOf } from '../figure.ts';

/** Packages that `apt-get --simulate dist-upgrade` would install: "NAME from OLD to NEW". */
export const pendingUpdates = (text: string): string[] =>
  [...text.matchAll(/^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+)/gm)].map(
    ([, name, old, now]) => `${name} from ${old ?? 'nothing'} to ${now}`,
  );

// The host's apt, with today's lists and what the guest says is installed.
const SCRIPT = `set -eu
mkdir -p /tmp/apt/lists/partial /tmp/apt/cache/archives/partial
cat >/tmp/apt.conf <<'END'
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::Check-Valid-Until "true";
Acquire::Languages "none";
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourcelist "/tmp/guest/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "/tmp/apt";
Dir::State::status "/tmp/guest/status";
Dir::Cache "/tmp/apt/cache";
END
export APT_CONFIG=/tmp/apt.conf
apt-get --quiet=2 --error-on=any update >&2
echo "date $(sed -n 's/^Date: //p' /tmp/apt/lists/*trixie-security_InRelease | head -n 1)"
apt-get --quiet=2 --simulate dist-upgrade
`;

export const updates: Measure = {
  name: 'updates',
  async run(scene) {
    const namespace = await openNamespace(await openCache());
    const folder = await mkdtemp(join(tmpdir(), 'amslpr-updates-'));
    // The namespace's root is another account than ours.
    await chmod(folder, 0o755);
    try {
      await writeFile(join(folder, 'status'), await scene.root('cat /var/lib/dpkg/status'));
      await writeFile(join(folder, 'debian.sources'), sourcesText(await findMirrors(), '/tmp/keyring.gpg'));
      const { stdout } = await namespace.run(['sh', '-c', SCRIPT], {
        root: { kind: 'host' },
        network: true,
        mounts: [
          { kind: 'bind', source: folder, target: '/tmp/guest' },
          { kind: 'bind', source: DEBIAN_KEYRING, target: '/tmp/keyring.gpg' },
        ],
      });
      const date = /^date (.*)$/m.exec(stdout)?.[1] ?? 'unknown';
      const title = 'Published fixes that are not installed';
      return [{ id: 'updates/pending', title, ...nothingOf(pendingUpdates(stdout)), tool: 'apt', data: date }];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};
