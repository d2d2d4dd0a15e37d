import { expect, it } from 'vitest';
import {
  mdnsFigure,
  missingSockets,
  openPorts,
  portsFigure,
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
  expect(portsFigure(6, open, [], by)).toMatchObject({ id: 'ports/ipv6', met: true });
  expect(portsFigure(4, ['22/tcp', '443/tcp', '631/tcp'], ['5353/udp'], by).below).toEqual([
    '631/tcp is open',
    '5353/udp is open',
    '80/tcp is closed',
  ]);
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
