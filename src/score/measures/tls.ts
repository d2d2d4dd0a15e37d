import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Exception, notNeeded } from '../exceptions.ts';
import { type Figure, type Judge, judgedBy, type Measure, nothingOf, type Scene } from '../figure.ts';

const PROTOCOLS = ['TLSv1.2', 'TLSv1.3'];

/** What is wrong with TLS in the XML of sslscan: old protocols, ciphers that are not strong, and known holes. */
export function tlsFindings(xml: string): string[] {
  const tags = (name: string): Map<string, string>[] =>
    [...xml.matchAll(new RegExp(`<${name}\\b([^>]*?)/?>`, 'g'))].map(
      ([, text = '']) =>
        new Map([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value])),
    );
  const on = tags('protocol')
    .filter((one) => one.get('enabled') === '1')
    .map((one) => `${one.get('type') === 'ssl' ? 'SSL' : 'TLS'}v${one.get('version')}`);
  const ciphers = tags('cipher');
  const missing = PROTOCOLS.filter((name) => !on.includes(name)).map((name) => `${name} is not spoken`);
  return [
    ...missing,
    ...on.filter((name) => !PROTOCOLS.includes(name)).map((name) => `${name} is spoken`),
    ...(ciphers.length === 0 ? ['no cipher was found'] : []),
    ...ciphers
      .filter((one) => one.get('strength') !== 'strong')
      .map((one) => `${one.get('cipher')} is ${one.get('strength')}`),
    ...tags('renegotiation').flatMap((one) =>
      one.get('supported') === '1' && one.get('secure') === '0' ? ['renegotiation is insecure'] : [],
    ),
    ...tags('compression').flatMap((one) => (one.get('supported') === '1' ? ['compression is on'] : [])),
    ...tags('heartbleed').flatMap((one) => (one.get('vulnerable') === '1' ? [`Heartbleed`] : [])),
  ];
}

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** Severities of testssl.sh that count against the device. WARN: a test that could not be done. */
const BAD = new Set(['WARN', 'LOW', 'MEDIUM', 'HIGH', 'CRITICAL', 'FATAL']);

/**
 * The grade of testssl.sh, and what it found at LOW or worse beside the exceptions, each of which has to be found.
 * `json`: its flat report.
 */
export function testsslFigures(json: string, exceptions: readonly Exception[], by: Judge): Figure[] {
  const found = JSON.parse(json) as Finding[];
  const grade = found.find(({ id }) => id === 'overall_grade')?.finding ?? 'none';
  const bad = found.filter(({ id, severity }) => BAD.has(severity) && id !== 'overall_grade');
  const counted = bad.filter(({ id }) => !exceptions.some(({ rule }) => rule === id));
  const idle = notNeeded(exceptions, (rule) => bad.some(({ id }) => id === rule));
  const why = found.filter(({ id }) => id.startsWith('grade_cap_reason')).map(({ finding }) => finding);
  return [
    {
      id: 'tls/grade',
      title: 'Grade of TLS, with the device’s own root',
      figure: grade,
      goal: 'A+',
      met: grade === 'A+',
      ...by,
      below: grade === 'A+' ? [] : why,
    },
    {
      id: 'tls/testssl',
      title: 'Findings at LOW or worse, but the exceptions',
      ...nothingOf([...idle, ...counted.map(({ id, severity, finding }) => `${id} (${severity}): ${finding}`)]),
      ...by,
    },
  ];
}

/** Lets testssl.sh look at the forwarded port, by the name that the site gives and with the device's root known. */
async function testssl(scene: Scene): Promise<Figure[]> {
  const { guest, tools } = scene;
  const folder = join(guest.folder, 'testssl');
  await mkdir(folder, { recursive: true });
  // The namespace's root is another account than ours.
  await chmod(guest.folder, 0o711);
  await chmod(folder, 0o777);
  await writeFile(join(folder, 'root.pem'), await scene.root('cat /etc/amslpr/ssl/cert.pem'));
  const options = [
    '--quiet',
    '--color',
    '0',
    '--warnings',
    'off',
    '--nodns',
    'none',
    '--add-ca',
    '/tmp/testssl/root.pem',
  ];
  const target = ['--ip', '127.0.0.1', '--jsonfile', '/tmp/testssl/found.json', `drive.local:${guest.ports.https}`];
  await tools.outside.run(['testssl', ...options, ...target], {
    network: true,
    mounts: [{ kind: 'bind', source: folder, target: '/tmp/testssl', write: true }],
    // Its exit code is how many things it found.
    okCodes: Array.from({ length: 256 }, (_, code) => code),
    timeout: 3600,
  });
  const json = await readFile(join(folder, 'found.json'), 'utf8');
  return testsslFigures(json, scene.exceptions['testssl'] ?? [], judgedBy(scene, 'testssl.sh'));
}

export const tls: Measure = {
  name: 'tls',
  async run(scene): Promise<Figure[]> {
    const xml = await scene.root('tool sslscan --no-colour --xml=- 127.0.0.1:443', 600);
    const below = tlsFindings(xml);
    const said = await scene.root(
      'openssl s_client -connect 127.0.0.1:443 -brief -groups X25519MLKEM768 </dev/null 2>&1 || true',
    );
    const group = /^Negotiated TLS1\.3 group: (\S+)/m.exec(said)?.[1] ?? 'none';
    const openssl = (await scene.root('openssl version')).split(' ').slice(0, 2).join(' ');
    return [
      {
        id: 'tls/sslscan',
        title: 'Old protocols, ciphers that are not strong, known holes of TLS',
        figure: String(below.length),
        goal: '0',
        met: below.length === 0,
        ...judgedBy(scene, 'sslscan'),
        below,
      },
      {
        id: 'tls/post-quantum',
        title: 'Post-quantum key exchange of TLS',
        figure: group,
        goal: 'X25519MLKEM768',
        met: group === 'X25519MLKEM768',
        tool: openssl,
        below: group === 'X25519MLKEM768' ? [] : said.trim().split('\n').slice(-5),
      },
      ...(await testssl(scene)),
    ];
  },
};
