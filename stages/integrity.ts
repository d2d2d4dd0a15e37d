import { built, file, run, text, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';
import { textOf } from '../src/core/values.ts';

export const integrity = defineStage({
  name: 'integrity',
  title: 'Find files that somebody changed, and audit each month',
  about:
    'The build writes a manifest of every file below /boot, /etc, /opt and /usr into the image. Each night the device compares what was touched since, each month every file, and answers the checks that the image was released with. Signed upgrades move the manifest on; a hand edit is an alert until `amslpr-device integrity accept`. Whoever is root can also change the manifest: this finds mistakes and careless intruders.',
  guide: {
    62: built(
      'A timer runs the checks of the image and compares every file each month; what fails is an alert. People do the rest by a run-book.',
    ),
  },
  needs: ['monitoring', 'updates'],

  options: Type.Object(
    {
      time: textOf('timeOfDay', {
        default: '04:20',
        description: 'When files are compared, in device time: "HH:MM". Updates are installed at about six.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ time }, { overlay }) {
    const units = '/etc/systemd/system';
    const hooks = '/etc/apt/apt.conf.d/90amslpr-integrity';
    return {
      packages: ['python3'],
      files: [
        // That it is there has the build write the manifest.
        text('/usr/share/amslpr/integrity.json', `${JSON.stringify({ time })}\n`),
        overlay(hooks),
        overlay(`${units}/amslpr-integrity.service`),
        overlay(`${units}/amslpr-integrity.timer`, { data: { time } }),
        overlay(`${units}/amslpr-audit.service`),
        overlay(`${units}/amslpr-audit.timer`),
      ],
      units: { 'amslpr-integrity.timer': 'enabled', 'amslpr-audit.timer': 'enabled' },
      checks: {
        nightly: unit('Files are compared each night', 'amslpr-integrity.timer', 'enabled', { guide: [62] }),
        monthly: unit('The image’s own checks run each month', 'amslpr-audit.timer', 'enabled', { guide: [62] }),
        manifest: file('The image has a manifest of its files, for root alone', '/usr/share/amslpr/manifest.gz', {
          guide: [62],
          mode: '0600',
          owner: 'root:root',
        }),
        upgrades: file('Signed upgrades move the manifest on', hooks, {
          guide: [62],
          matches: [
            /^DPkg::Pre-Install-Pkgs \{ "\/usr\/sbin\/amslpr-device integrity before \|\| true"; \};$/m,
            /^DPkg::Tools::Options::\/usr\/sbin\/amslpr-device::Version "3";$/m,
            /^DPkg::Post-Invoke \{ "\/usr\/sbin\/amslpr-device integrity after \|\| true"; \};$/m,
          ],
        }),
        works: run('Files can be compared now', 'systemctl start amslpr-integrity.service', { guide: [62], exit: 0 }),
        same: run('No file differs from the image', '/usr/sbin/amslpr-device integrity show', {
          guide: [62],
          matches: /^0 differ/m,
          exit: 0,
        }),
        hooked: run('apt calls both hooks', 'apt-config dump --no-empty DPkg', {
          guide: [62],
          matches: [
            /Pre-Install-Pkgs:: "\/usr\/sbin\/amslpr-device integrity before/,
            /Post-Invoke:: "\/usr\/sbin\/amslpr-device integrity after/,
          ],
        }),
      },
    };
  },
});
