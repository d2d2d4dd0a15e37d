import { file, run, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const settings = '/etc/avahi/avahi-daemon.conf';
const daemon = ['avahi-daemon.service', 'avahi-daemon.socket'] as const;

export const mdns = defineStage({
  name: 'mdns',
  title: 'Announce the host name in the local network, or do not (mDNS)',
  about:
    'Off, the device announces itself to nobody. With `announce` it answers to HOSTNAME.local by mDNS in its own network, and tells nothing else: no services, no hardware, no users. Cameras that have a network of their own are not told.',
  guide: {},
  needs: ['services', 'network'],

  options: Type.Object(
    {
      announce: Type.Boolean({ default: false, description: 'Answer to HOSTNAME.local in the local network.' }),
    },
    { additionalProperties: false },
  ),

  contribute({ announce }, { overlay }) {
    if (!announce) {
      return {
        purge: ['avahi-daemon'],
        units: Object.fromEntries(daemon.map((name) => [name, 'masked' as const])),
        checks: {
          off: unit('The device does not announce itself', daemon[0], 'masked', { guide: [4] }),
          silent: run('Nobody answers by mDNS', 'ss -Hlnu', { guide: [4], lacks: /:5353\b/ }),
        },
      };
    }
    return {
      packages: ['avahi-daemon'],
      diversions: [settings],
      files: [overlay(settings), overlay('/etc/systemd/system/avahi-daemon.service.d/10-amslpr.conf')],
      units: Object.fromEntries(daemon.map((name) => [name, 'enabled' as const])),
      checks: {
        on: unit('The name is announced', daemon[0], 'enabled'),
        'name-only': file('Nothing but the name is told', settings, {
          guide: [4],
          matches: [/^publish-hinfo=no$/m, /^publish-workstation=no$/m, /^enable-reflector=no$/m],
        }),
        answers: run('It answers by mDNS', 'ss -Hlnu', { matches: /:5353\b/ }),
        sandbox: run('It is locked in', 'systemd-analyze security --no-pager --threshold=50 avahi-daemon.service', {
          matches: /Overall exposure level for avahi-daemon\.service/,
        }),
      },
    };
  },
});
