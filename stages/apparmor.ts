import { file, installed, run, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

export const apparmor = defineStage({
  name: 'apparmor',
  title: 'Confine nginx and the application (AppArmor)',
  about:
    'Profiles that say which files nginx and the application may read and write, kept by the kernel beside the sandbox that systemd makes. What they do not list is refused. `mode: complain` only reports it, to try a new version of the application with. On a kernel without AppArmor both run without.',
  guide: {},
  needs: ['kernel', 'nginx', 'application'],

  options: Type.Object(
    {
      mode: Type.Union([Type.Literal('complain'), Type.Literal('enforce')], {
        default: 'enforce',
        description: 'Refuse what a profile does not list, or report it and let it pass.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute(options, { overlay }) {
    const data = { complain: options.mode === 'complain' };
    const wanted = options.mode;
    const inProfile = (profile: string, program: string) => new RegExp(`^${profile} \\(${wanted}\\) +${program}`, 'm');
    return {
      packages: ['apparmor', 'procps'],
      files: [
        overlay('/etc/apparmor.d/amslpr-nginx', { data }),
        overlay('/etc/apparmor.d/amslpr-app', { data }),
        overlay('/etc/systemd/system/amslpr-apparmor.service'),
        overlay('/etc/systemd/system/nginx.service.d/60-apparmor.conf'),
        overlay('/etc/systemd/system/amslpr.service.d/60-apparmor.conf'),
      ],
      units: { 'amslpr-apparmor.service': 'enabled', 'apparmor.service': 'disabled' },
      checks: {
        installed: installed('The program that loads profiles is there', 'apparmor'),
        starts: unit('Our profiles are loaded at boot', 'amslpr-apparmor.service', 'enabled'),
        alone: unit('No profile for programs that are not here is loaded', 'apparmor.service', 'disabled'),
        'nginx-unit': file('nginx is started in its profile', '/etc/systemd/system/nginx.service.d/60-apparmor.conf', {
          matches: /^AppArmorProfile=-amslpr-nginx$/m,
        }),
        'application-unit': file(
          'The application is started in its profile',
          '/etc/systemd/system/amslpr.service.d/60-apparmor.conf',
          { matches: /^AppArmorProfile=-amslpr-app$/m },
        ),
        'application-keys': file('The profile keeps keys from the application', '/etc/apparmor.d/amslpr-app', {
          matches: [/^ {2}deny \/etc\/amslpr\/ssl\/\*\* rwklx,$/m, /^ {2}deny \/etc\/amslpr\/secrets\/\*\* rwklx,$/m],
        }),
        loaded: run('The kernel has both profiles', 'cat /sys/kernel/security/apparmor/profiles', {
          matches: [new RegExp(`^amslpr-nginx \\(${wanted}\\)$`, 'm'), new RegExp(`^amslpr-app \\(${wanted}\\)$`, 'm')],
        }),
        confined: run('nginx and the application run in them', 'ps -eo label:40,comm', {
          when: 'data-open',
          matches: [inProfile('amslpr-nginx', 'nginx$'), inProfile('amslpr-app', 'gunicorn')],
          lacks: new RegExp(`^(?!amslpr-(nginx|app) \\(${wanted}\\) ).* (nginx|gunicorn)`, 'm'),
        }),
      },
    };
  },
});
