import { type Figure, type Measure, named } from '../figure.ts';

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
    ...tags('renegotiation').flatMap((one) => (one.get('secure') === '0' ? ['renegotiation is insecure'] : [])),
    ...tags('compression').flatMap((one) => (one.get('supported') === '1' ? ['compression is on'] : [])),
    ...tags('heartbleed').flatMap((one) => (one.get('vulnerable') === '1' ? [`Heartbleed`] : [])),
  ];
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
        tool: named(scene, 'sslscan'),
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
    ];
  },
};
