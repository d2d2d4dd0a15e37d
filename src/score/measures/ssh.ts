import { type Figure, judgedBy, type Measure } from '../figure.ts';

interface Notes {
  readonly fail?: readonly string[];
  readonly warn?: readonly string[];
}

/** Algorithms with a failure or a warning in ssh-audit's JSON, as "kex NAME: what is wrong". */
export function sshFindings(json: string, kind: 'fail' | 'warn'): string[] {
  const found = JSON.parse(json) as Record<string, unknown>;
  return ['kex', 'key', 'enc', 'mac'].flatMap((part) => {
    const list = found[part] as { algorithm?: string; notes?: Notes }[] | undefined;
    if (list === undefined || list.length === 0) return [`${part}: the server offers none`];
    return list.flatMap(({ algorithm, notes }) => (notes?.[kind] ?? []).map((text) => `${part} ${algorithm}: ${text}`));
  });
}

/** What the server may offer and nothing else; in ssh-audit's own words. */
const POLICY = `name = "Keys of Ed25519, and post-quantum key exchange"
version = 1
host keys = ssh-ed25519
optional host keys = ssh-ed25519-cert-v01@openssh.com
key exchanges = mlkem768x25519-sha256, sntrup761x25519-sha512@openssh.com, ext-info-s, kex-strict-s-v00@openssh.com
ciphers = chacha20-poly1305@openssh.com, aes256-gcm@openssh.com, aes128-gcm@openssh.com, aes256-ctr, aes192-ctr, aes128-ctr
macs = hmac-sha2-512-etm@openssh.com, hmac-sha2-256-etm@openssh.com
`;

export const ssh: Measure = {
  name: 'ssh',
  async run(scene) {
    const audit = 'PYTHONPATH=/run/score/usr/lib/python3/dist-packages python3 /run/score/usr/bin/ssh-audit';
    const json = await scene.root(`${audit} -n -j --skip-rate-test -p 22 127.0.0.1 || [ $? -le 3 ]`, 300);
    const by = judgedBy(scene, 'ssh-audit');
    const one = (kind: 'fail' | 'warn', id: string, title: string): Figure => {
      const below = sshFindings(json, kind);
      return { id, title, figure: String(below.length), goal: '0', met: below.length === 0, ...by, below };
    };
    const said = await scene.root(
      `cat >/run/policy.txt <<'END'\n${POLICY}END\n${audit} -n -p 22 -P /run/policy.txt 127.0.0.1 || true; rm /run/policy.txt`,
      300,
    );
    const passed = /Result:\s+\S*\s*Passed/.test(said);
    return [
      one('fail', 'ssh/failures', 'Failures of SSH algorithms'),
      one('warn', 'ssh/warnings', 'Warnings of SSH algorithms'),
      {
        id: 'ssh/policy',
        title: 'Only what our policy lists is offered',
        figure: passed ? 'passed' : 'failed',
        goal: 'passed',
        met: passed,
        ...by,
        below: passed ? [] : said.trim().split('\n').slice(-12),
      },
    ];
  },
};
