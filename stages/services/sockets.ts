import type { RunCheck } from '../../src/core/check.ts';
import type { OpenPort } from '../../src/core/contribution.ts';
import { run } from '../../src/core/shorthand.ts';

/** Which unit listens at a port, by the first word of the comment that the port was opened with. */
const units: Readonly<Record<string, string>> = { SSH: 'ssh', HTTP: 'nginx', HTTPS: 'nginx' };

/** Of a line of `ss`: the port at the end of the local address, then the unit in the path of its control group. */
const listener = ({ protocol, port, comment }: OpenPort): string =>
  `${protocol} .*:${port} .* cgroup:/system\\.slice/${units[/^\w+/.exec(comment)?.[0] ?? ''] ?? '\\S+'}\\.service( |$)`;

/** Clients of DHCP and of time, and avahi where mDNS is on: they listen for answers over UDP. */
const clients = [
  'udp .*:(68|546) .* cgroup:/system\\.slice/NetworkManager\\.service( |$)',
  'udp .* cgroup:/system\\.slice/(systemd-timesyncd|avahi-daemon)\\.service( |$)',
];

/** That each socket which listens is one of a port that a stage opened, and of the unit that it was opened for. */
export function socketsCheck(openPorts: readonly OpenPort[]): RunCheck {
  const listeners = openPorts.map(listener);
  return run('Nothing listens but our services, at their ports', 'ss -Hltunpe', {
    guide: [4],
    matches: listeners.map((one) => new RegExp(`^${one}`, 'm')),
    lacks: new RegExp(`^(?!${[...listeners, ...clients].join('|')}).+$`, 'm'),
    why: 'By the control group, not by a name that a program gives itself. UDP sockets of DHCP and time are clients; ufw refuses what nobody asked for.',
  });
}
