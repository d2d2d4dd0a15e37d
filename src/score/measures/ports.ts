import { type Figure, type Measure, named } from '../figure.ts';

/** Open ports in nmap's greppable output: "22/tcp". `open|filtered` is no answer and so not open. */
export const openPorts = (text: string): string[] =>
  [...text.matchAll(/^Host: \S+ .*\tPorts: ([^\t\n]*)/gm)].flatMap(([, ports = '']) =>
    [...ports.matchAll(/(\d+)\/open\/(tcp|udp)\//g)].map(([, port, protocol]) => `${port}/${protocol}`),
  );

const WANTED = ['22/tcp', '80/tcp', '443/tcp'];

/** A neighbour on the same network: a network namespace of the guest, at the other end of a cable of its own. */
const NEIGHBOUR = `set -e
ip netns add neighbour
trap 'ip netns delete neighbour; ip link delete cable 2>/dev/null || true' EXIT
ip link add cable type veth peer name cable1
ip link set cable1 netns neighbour
ip address add 10.213.0.1/24 dev cable; ip -6 address add fd13::1/64 dev cable nodad; ip link set cable up
ip -n neighbour address add 10.213.0.2/24 dev cable1; ip -n neighbour -6 address add fd13::2/64 dev cable1 nodad
ip -n neighbour link set cable1 up; ip -n neighbour link set lo up
sleep 3
scan() { ip netns exec neighbour "$LOADER" --library-path "$LIBRARIES" /run/score/usr/bin/nmap --datadir /run/score/usr/share/nmap -n -Pn -oG - "$@"; }
`;

/** UDP ports of services that devices often have; the others are as closed by the same rule. */
const UDP =
  '53,67,69,111,123,137,161,427,500,514,520,546,631,1194,1701,1812,1900,3478,3702,4500,5004,5060,5353,5355,5683,51820';

function figure(version: 4 | 6, tcp: readonly string[], udp: readonly string[], tool: string): Figure {
  const open = [...tcp, ...udp];
  const below = [
    ...open.filter((port) => !WANTED.includes(port)).map((port) => `${port} is open`),
    ...WANTED.filter((port) => !open.includes(port)).map((port) => `${port} is closed`),
  ];
  return {
    id: `ports/ipv${version}`,
    title: `Ports that a neighbour finds open over IPv${version}`,
    figure: open.join(', ') || 'none',
    goal: WANTED.join(', '),
    met: below.length === 0,
    tool,
    below,
  };
}

export const ports: Measure = {
  name: 'ports',
  async run(scene) {
    const figures: Figure[] = [];
    for (const version of [4, 6] as const) {
      const [option, address] = version === 4 ? ['', '10.213.0.1'] : ['-6', 'fd13::1'];
      const tcp = await scene.root(
        `${NEIGHBOUR} scan ${option} -sS -p- --min-rate 2000 --max-retries 2 ${address}`,
        1800,
      );
      const udp = await scene.root(`${NEIGHBOUR} scan ${option} -sU -p ${UDP} --max-retries 2 ${address}`, 900);
      figures.push(figure(version, openPorts(tcp), openPorts(udp), named(scene, 'nmap')));
    }
    return figures;
  },
};
