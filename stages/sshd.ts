import { absent, built, file, folder, run, symlink, unit } from '../src/core/shorthand.ts';
import { defineStage, Type } from '../src/core/stage.ts';

const policy = '/etc/ssh/sshd_config';
const effective = '/usr/sbin/sshd -T -C user=nobody,host=localhost,addr=127.0.0.1';

export const sshd = defineStage({
  name: 'sshd',
  title: 'Harden the SSH daemon',
  about:
    'Keys only, administrators only, modern algorithms with a post-quantum key exchange only. The host key is made on the device: the image has none, and sshd does not start before it and the administrators exist. Change the port with `port`.',
  guide: {
    5: built(
      'A file in the place of the packaged one, since sshd keeps the first value it reads; lines appended as the guide says lose.',
    ),
  },
  needs: ['accounts'],

  options: Type.Object(
    {
      port: Type.Integer({ minimum: 1, maximum: 65535, default: 22, description: 'TCP port to listen on.' }),
      maxAuthTries: Type.Integer({ minimum: 1, maximum: 4, default: 3, description: 'Guesses per connection.' }),
      idleMinutes: Type.Integer({
        minimum: 1,
        maximum: 60,
        default: 5,
        description: 'Ask a silent client after this.',
      }),
    },
    { additionalProperties: false },
  ),

  contribute({ port, maxAuthTries, idleMinutes }, { overlay }) {
    return {
      packages: ['openssh-server'],
      diversions: [policy],
      files: [
        overlay(policy, { mode: '0600', data: { port, maxAuthTries, seconds: idleMinutes * 60 } }),
        overlay('/etc/systemd/system/ssh.service.d/10-amslpr.conf'),
        folder('/etc/ssh/authorized_keys.d'),
        symlink('/etc/systemd/system-generators/systemd-ssh-generator', '/dev/null'), // more sockets, in virtual machines
      ],
      units: {
        'ssh.service': 'enabled',
        'ssh.socket': 'masked',
        // Would make zero-length keys when cut, and only if systemd sees a first boot. The first-boot stage makes them.
        'sshd-keygen.service': 'masked',
      },
      openPorts: [{ port, protocol: 'tcp', action: 'limit', comment: 'SSH' }],
      checks: {
        'no-host-key': absent('No host key is in the image', ['/etc/ssh/ssh_host_*'], { guide: [5] }),
        policy: file('Only root reads the policy, and additions come last', policy, {
          guide: [5],
          mode: '0600',
          owner: 'root:root',
          matches: [
            /^PermitRootLogin no$/m,
            /^PasswordAuthentication no$/m,
            /^X11Forwarding no$/m,
            /^MaxAuthTries [1-4]$/m,
            /^PerSourceNetBlockSize 32:64$/m,
            /^Banner \/etc\/issue\.net$/m,
            /^Include \/etc\/ssh\/sshd_config\.d\/\*\.conf$/m,
          ],
          lacks: /^Include [\s\S]*\n[A-Za-z]/m,
          why: 'sshd keeps the first value it reads: what is included before the policy would win.',
        }),
        'waits-for-keys': file('sshd waits for the first boot', '/etc/systemd/system/ssh.service.d/10-amslpr.conf', {
          matches: /^ConditionPathExists=\/var\/lib\/amslpr-device\/ssh-ready$/m,
        }),
        starts: unit('sshd starts at boot', 'ssh.service', 'enabled', { guide: [5] }),
        'no-socket': unit('Nothing else listens for SSH', 'ssh.socket', 'masked', { guide: [4, 5] }),
        'no-passwords': run('Passwords are refused', effective, {
          guide: [5],
          matches: [
            /^passwordauthentication no$/m,
            /^kbdinteractiveauthentication no$/m,
            /^authenticationmethods publickey$/m,
          ],
        }),
        'no-forwarding': run('Nothing is forwarded', effective, {
          guide: [5],
          matches: [/^disableforwarding yes$/m, /^x11forwarding no$/m],
        }),
        'no-root': run('root cannot log in, and guesses are few', effective, {
          guide: [5],
          matches: [/^permitrootlogin no$/m, new RegExp(`^maxauthtries ${maxAuthTries}$`, 'm')],
        }),
        'admins-only': run('Only administrators may log in', effective, { matches: /^allowgroups amslpr-admins$/m }),
        'post-quantum': run('Every key exchange is post-quantum', effective, {
          matches: /^kexalgorithms mlkem768x25519-sha256,sntrup761x25519-sha512@openssh\.com$/m,
        }),
        'one-key': run('The only host key is Ed25519', effective, {
          matches: /^hostkey \/etc\/ssh\/ssh_host_ed25519_key$/m,
          lacks: /^hostkey .*(rsa|ecdsa)/m,
        }),
      },
    };
  },
});
