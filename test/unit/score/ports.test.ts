import { expect, it } from 'vitest';
import {
  mdnsFigure,
  missingSockets,
  openPorts,
  portsFigure,
  udpReplies,
  unexpectedSockets,
} from '../../../src/score/measures/ports.ts';

const by = { tool: 'nmap' };

it('nmap: open ports, and no answer is not open', () => {
  const line =
    'Host: 10.0.0.1 ()\tPorts: 22/open/tcp//ssh///, 25/filtered/tcp//smtp///, 5353/open|filtered/udp//x///\tIgnored';
  expect(openPorts(line)).toEqual(['22/tcp']);
  expect(openPorts('')).toEqual([]);
});

it('nmap: what is open beside the three, and what of them is closed', () => {
  const open = ['22/tcp', '80/tcp', '443/tcp'];
  expect(portsFigure(6, { tcp: open, udp: [], mdns: false }, by)).toMatchObject({ id: 'ports/ipv6', met: true });
  const found = { tcp: ['22/tcp', '443/tcp', '631/tcp'], udp: ['5353/udp (open)'], mdns: false };
  expect(portsFigure(4, found, by).below).toEqual(['631/tcp is open', '80/tcp is closed', '5353/udp (open) answers']);
  expect(portsFigure(4, { tcp: open, udp: found.udp, mdns: true }, by).met).toBe(true);
});

it('nmap: a UDP port that says that it is closed answers', () => {
  const line = (ports: string) => `Host: 10.0.0.1 ()\tPorts: ${ports}\n`;
  const udp = udpReplies(line('53/closed/udp//domain///, 68/open|filtered/udp//dhcpc///, 123/open/udp//ntp///'));
  expect(udp).toEqual(['53/udp (closed)', '123/udp (open)']);
  expect(udpReplies('Host: 10.0.0.1 ()\tIgnored State: closed (26)\n')).toEqual(['26 others/udp (closed)']);
  expect(udpReplies('Host: 10.0.0.1 ()\tIgnored State: open|filtered (26)\n')).toEqual([]);
  const tcp = ['22/tcp', '80/tcp', '443/tcp'];
  expect(portsFigure(4, { tcp, udp: ['53/udp (closed)'], mdns: true }, by).met).toBe(false);
  expect(portsFigure(4, { tcp, udp: ['5353/udp (closed)'], mdns: true }, by).met).toBe(false);
});

it('ss: sockets beyond the loopback interface that are on no list', () => {
  const lines = [
    'udp   UNCONN 0      0      10.0.2.15%enp0s2:68        0.0.0.0:*',
    'tcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*',
    'tcp   LISTEN 0      511             [::]:443          [::]:*',
    'tcp   LISTEN 0      511        127.0.0.1:8080      0.0.0.0:*',
  ];
  expect(unexpectedSockets(lines.join('\n'), false)).toEqual([]);
  const more = 'tcp LISTEN 0 5 *:5000 *:*\nudp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:*\n';
  expect(unexpectedSockets(more, false)).toEqual(['tcp *:5000', 'udp 0.0.0.0:5353']);
  expect(unexpectedSockets(more, true)).toEqual(['tcp *:5000']);
});

it('ss: sockets of the list that are missing', () => {
  const line = (local: string) => `tcp LISTEN 0 128 ${local} 0.0.0.0:*\n`;
  const all = ['0.0.0.0:22', '[::]:22', '0.0.0.0:80', '[::]:80', '0.0.0.0:443', '[::]:443'];
  expect(missingSockets(all.map(line).join(''))).toEqual([]);
  expect(missingSockets(all.slice(1).map(line).join(''))).toEqual(['tcp 0.0.0.0:22 is missing']);
  expect(missingSockets('')).toHaveLength(6);
});

it('mDNS: one answer when it is chosen, none otherwise', () => {
  expect(mdnsFigure(4, [], false)).toMatchObject({ met: true, figure: 'none' });
  expect(mdnsFigure(4, ['10.213.0.1'], true)).toMatchObject({ met: true });
  expect(mdnsFigure(6, ['fe80::1'], false).met).toBe(false);
  expect(mdnsFigure(6, [], true).met).toBe(false);
});
