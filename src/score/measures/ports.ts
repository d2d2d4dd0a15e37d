import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Figure, type Judge, judgedBy, type Measure, nothingOf, type Scene } from '../figure.ts';
import { address, CABLE, DEVICE, type Version } from '../neighbour.ts';

/** Ports of nmap's greppable output and what it says of each: `open`, `closed`, `filtered` or `open|filtered`. */
const portsIn = (text: string): string[][] =>
  [...text.matchAll(/^Host: \S+ .*\tPorts: ([^\t\n]*)/gm)].flatMap(([, ports = '']) =>
    [...ports.matchAll(/(\d+)\/([a-z|]+)\/(tcp|udp)\//g)].map(([, port, state = '', protocol]) => [
      `${port}/${protocol}`,
      state,
    ]),
  );

/** Open ports: "22/tcp". `open|filtered` is no answer and so not open. */
export const openPorts = (text: string): string[] =>
  portsIn(text).flatMap(([port = '', state]) => (state === 'open' ? [port] : []));

/**
 * UDP ports that answered: also those that said that they are closed, which tells a stranger that there is a device. A
 * state that many ports have is only counted by nmap.
 */
export const udpReplies = (text: string): string[] => [
  ...portsIn(text).flatMap(([port, state]) => (state === 'open' || state === 'closed' ? [`${port} (${state})`] : [])),
  ...[...text.matchAll(/\bIgnored State: closed \((\d+)\)/g)].map(([, count]) => `${count} others/udp (closed)`),
];

const WANTED = ['22/tcp', '80/tcp', '443/tcp'];

/** UDP ports of services that devices often have; the others are as closed by the same rule. */
export const UDP =
  '53,67,69,111,123,137,161,427,500,514,520,546,631,1194,1701,1812,1900,3478,3702,4500,5004,5060,5353,5355,5683,51820';

const SCAN =
  'scan() { "$LOADER" --library-path "$LIBRARIES" /run/score/usr/bin/nmap --datadir /run/score/usr/share/nmap -n -Pn -oG - "$@"; }\n';

/** `tcp`: open ports; `udp`: replies. With `mdns` its own reply is as configured. */
export function portsFigure(
  version: Version,
  { tcp, udp, mdns }: { tcp: readonly string[]; udp: readonly string[]; mdns: boolean },
  by: Judge,
): Figure {
  const below = [
    ...tcp.filter((port) => !WANTED.includes(port)).map((port) => `${port} is open`),
    ...WANTED.filter((port) => !tcp.includes(port)).map((port) => `${port} is closed`),
    ...udp.filter((reply) => !(mdns && reply === '5353/udp (open)')).map((reply) => `${reply} answers`),
  ];
  return {
    id: `ports/ipv${version}`,
    title: `Ports that a second guest finds open over IPv${version}, and UDP ports that answer, be it that they are closed`,
    figure: [...tcp, ...udp].join(', ') || 'none',
    goal: `${WANTED.join(', ')}, no answer by UDP${mdns ? ' but mDNS' : ''}`,
    met: below.length === 0,
    ...by,
    below,
  };
}

/** `answers`: who answered to the device's name by mDNS. `chosen`: whether the image announces it. */
export function mdnsFigure(version: Version, answers: readonly string[], chosen: boolean): Figure {
  return {
    id: `ports/mdns-ipv${version}`,
    title: `Answers that a second guest gets to the device’s name by mDNS over IPv${version}`,
    figure: answers.join(', ') || 'none',
    goal: chosen ? 'one, as configured' : 'none',
    met: answers.length === (chosen ? 1 : 0),
    tool: 'python3',
    below: [],
  };
}

/** What may listen for others. UDP: an answer of the DHCP server comes to NetworkManager's port, of one address. */
const LISTEN =
  /^(tcp (0\.0\.0\.0|\[::\]):(22|80|443)|udp (\d+\.\d+\.\d+\.\d+)(%\S+)?:68|udp \[fe80:[^\]]*\](%\S+)?:546)$/;

/** avahi-daemon's. */
const MDNS = /^udp (0\.0\.0\.0|\[::\]):5353$/;

const listed = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.trim().split(/\s+/))
    .map(([protocol, , , , local]) => `${protocol} ${local}`);

/**
 * Sockets of `ss -Hlntu` that listen beyond the loopback interface and are on no list, as `PROTOCOL ADDRESS:PORT`; with
 * `mdns` its port is on the list.
 */
export const unexpectedSockets = (text: string, mdns: boolean): string[] =>
  listed(text)
    .filter((socket) => !/^\w+ (127\.|\[::1\]|\[::ffff:127\.)/.test(socket))
    .filter((socket) => !LISTEN.test(socket) && !(mdns && MDNS.test(socket)));

/** The sockets of the list that nobody listens at. */
export const missingSockets = (text: string): string[] =>
  WANTED.flatMap((port) => ['0.0.0.0', '[::]'].map((address) => `tcp ${address}:${port.replace('/tcp', '')}`))
    .filter((socket) => !listed(text).includes(socket))
    .map((socket) => `${socket} is missing`);

export const ports: Measure = {
  name: 'ports',
  async run(scene: Scene) {
    const sockets = await scene.root('ss -Hlntu');
    const chosen = (await scene.root('systemctl is-active avahi-daemon || true')).trim() === 'active';
    const listening: Figure = {
      id: 'ports/listening',
      title: 'Sockets that listen for others and are on no list, or are on it and missing',
      ...nothingOf([...unexpectedSockets(sockets, chosen), ...missingSockets(sockets)]),
      tool: 'ss',
    };
    const figures: Figure[] = [listening];
    const neighbour = await scene.neighbour();
    const asks = await readFile(join(import.meta.dirname, '..', 'mdns.py'), 'utf8');
    const name = (await scene.root('hostname')).trim();
    const card = `$(grep -l '^${CABLE.neighbour}$' /sys/class/net/*/address | cut -d/ -f5)`;
    for (const version of [4, 6] as const) {
      const option = version === 4 ? '' : '-6';
      const target = address(version, DEVICE);
      const tcp = await neighbour.root(`${SCAN}scan ${option} -sS -p- --min-rate 2000 --max-retries 2 ${target}`, 1800);
      const udp = await neighbour.root(`${SCAN}scan ${option} -sU -p ${UDP} --max-retries 2 ${target}`, 900);
      const found = { tcp: openPorts(tcp), udp: udpReplies(udp), mdns: chosen };
      figures.push(portsFigure(version, found, judgedBy(scene, 'nmap')));
      const answers = await neighbour.root(`python3 - ${name} "${card}" ${version} 9`, 120, asks);
      figures.push(mdnsFigure(version, answers.split('\n').filter(Boolean), chosen));
    }
    return figures;
  },
};
