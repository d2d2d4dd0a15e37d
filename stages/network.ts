import { built, file, run, runBook, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

const onDevice = 'Seen in the guest alone: the site file makes this network, and the image knows no site.';

export const network = defineStage({
  name: 'network',
  title: 'Connect, and keep the time',
  about:
    'NetworkManager for wired and wireless networks, with the connections that the first boot writes from the site file, and systemd-timesyncd for the time. The device announces itself to nobody and asks no server whether it is on line. Name your own time servers with `timeServers`.',
  guide: {
    30: runBook('cameras', 'Cameras are set up by people; the image holds no camera password that could be a default.'),
    31: runBook('cameras', 'How to make one for each camera, and where to keep it.'),
    32: runBook('cameras', 'Which services a camera needs for AMSLPR; the others are switched off.'),
    33: runBook('cameras', 'Twice a year, and when the maker announces a fault.'),
    34: built(
      'The site file’s `network.cameras` makes the device a member of the cameras’ network, with no route from there to anywhere; see the run-book for the switch.',
      onDevice,
    ),
    35: built('The same: a tagged VLAN on the wired port, by its number.', onDevice),
    38: runBook('network', 'A network of its own for the device: what switch and router must do.'),
    39: runBook('network', 'Which connections the device needs, for the rules between networks.'),
    47: runBook('scans', 'How to scan the device from another machine, and what must be seen.'),
    48: runBook(
      'scans',
      'A vulnerability scanner runs on another machine: too heavy for the device, and Debian 13 has none.',
    ),
  },

  options: Type.Object(
    {
      timeServers: Type.Array(textOf('server'), {
        default: [],
        description: "Time servers by name or address. Empty: Debian's pool.",
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ timeServers }, { overlay }) {
    return {
      packages: ['network-manager', 'wpasupplicant', 'wireless-regdb', 'firmware-brcm80211', 'systemd-timesyncd'],
      files: [
        overlay('/etc/NetworkManager/conf.d/60-amslpr.conf'),
        overlay('/etc/systemd/timesyncd.conf.d/60-amslpr.conf', { data: { servers: timeServers.join(' ') } }),
      ],
      units: {
        'NetworkManager.service': 'enabled',
        'systemd-timesyncd.service': 'enabled',
        // Masked, since enabling NetworkManager enables it too; a device without a network starts as fast as one with it.
        'NetworkManager-wait-online.service': 'masked',
      },
      checks: {
        starts: unit('NetworkManager starts at boot', 'NetworkManager.service', 'enabled'),
        'no-wait': unit('No start-up waits for a network', 'NetworkManager-wait-online.service', 'masked'),
        time: unit('The time is kept', 'systemd-timesyncd.service', 'enabled'),
        quiet: file('The device does not announce itself', '/etc/NetworkManager/conf.d/60-amslpr.conf', {
          guide: [4],
          matches: [/^connection\.mdns=0$/m, /^connection\.llmnr=0$/m, /^enabled=false$/m],
        }),
        'connections-private': run(
          'Only root reads the connections',
          'find /etc/NetworkManager/system-connections -type f -perm /077',
          {
            lacks: /\S/,
          },
        ),
        cameras: {
          ...run('Cameras that have a network of their own reach nothing on the device', 'sh', {
            guide: [34, 35, 36],
            matches: [
              /^(no cameras|-A ufw-user-input -i cameras -j DROP)$/m,
              /^(no cameras|-A ufw6-user-input -i cameras -j DROP)$/m,
            ],
          }),
          run: [
            'sh',
            '-c',
            'if test -e /sys/class/net/cameras; then iptables -S ufw-user-input; ip6tables -S ufw6-user-input; else echo no cameras; fi',
          ],
        },
        effective: run('NetworkManager uses our settings', 'NetworkManager --print-config', {
          matches: [/^auth-polkit=root-only$/m, /^plugins=keyfile$/m],
        }),
      },
    };
  },
});
