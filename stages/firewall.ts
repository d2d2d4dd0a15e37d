import { built, file, installed, run, text, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { rulesFile } from '../src/core/ufw.ts';
import { portChecks } from './firewall/checks.ts';

export const firewall = defineStage({
  name: 'firewall',
  title: 'Close all ports but ours (ufw)',
  about:
    'ufw refuses everything that comes in but the ports that stages open (SSH, HTTP, HTTPS), for IPv4 and IPv6 alike, and forwards nothing. The rules are written as ufw itself writes them, so `ufw` on the device goes on from there. Stages open ports with `openPorts`.',
  guide: {
    3: built(
      'ufw with the rules of the guide; SSH is limited to five connections in thirty seconds for each address, which slows guessing down and nobody’s work. `ufw enable` cannot run in a build, so its files are written.',
    ),
    36: built(
      'The site file’s `network.cameras`: cameras reach nothing on the device, and the device asks them for pictures alone. Nothing is forwarded.',
    ),
  },

  options: Type.Object(
    {
      logging: Type.Union([Type.Literal('off'), Type.Literal('low')], {
        default: 'low',
        description: 'Whether refused packets are logged, three a minute.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute(_options, { overlay }) {
    return {
      packages: ['ufw', 'iptables'],
      files: [overlay('/etc/systemd/system/ufw.service.d/10-amslpr.conf')],
      units: { 'ufw.service': 'enabled' },
      checks: {
        installed: installed('ufw is there', 'ufw', { guide: [3] }),
        starts: unit('The firewall starts at boot', 'ufw.service', 'enabled', { guide: [3] }),
        enabled: file('ufw is switched on', '/etc/ufw/ufw.conf', { guide: [3], matches: /^ENABLED=yes$/m }),
        policies: file('What no rule names is refused', '/etc/default/ufw', {
          guide: [3, 36],
          matches: [
            /^IPV6=yes$/m,
            /^DEFAULT_INPUT_POLICY="DROP"$/m,
            /^DEFAULT_OUTPUT_POLICY="ACCEPT"$/m,
            /^DEFAULT_FORWARD_POLICY="DROP"$/m,
          ],
        }),
        active: run('ufw is active: refuse in, allow out, forward nothing', 'ufw status verbose', {
          guide: [3, 36],
          matches: [
            /^Status: active$/m,
            /^Default: deny \(incoming\), allow \(outgoing\), (deny|disabled) \(routed\)$/m,
          ],
        }),
        backend: run('ufw and fail2ban use one backend, nf_tables', 'iptables --version', { matches: /nf_tables/ }),
        'no-forward': run('The device forwards nothing', 'sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding', {
          guide: [36],
          matches: /^0\n0\n?$/,
        }),
      },
    };
  },

  collect({ openPorts }, { logging }) {
    const ports = [...openPorts].sort((a, b) => a.port - b.port);
    return {
      files: [
        text('/etc/ufw/ufw.conf', `ENABLED=yes\nLOGLEVEL=${logging}\n`),
        text('/etc/ufw/user.rules', rulesFile(4, ports, logging), '0640'),
        text('/etc/ufw/user6.rules', rulesFile(6, ports, logging), '0640'),
      ],
      checks: portChecks(ports),
    };
  },
});
