import type { Check } from '../../src/core/check.ts';
import type { OpenPort } from '../../src/core/contribution.ts';
import { file, run } from '../../src/core/shorthand.ts';

/** What must hold of ufw's rules, and of the kernel's, when just these ports are open. */
export function portChecks(ports: readonly OpenPort[]): Readonly<Record<string, Check>> {
  // A site may let fewer networks reach a limited port, perhaps of one version alone.
  const opened = ports.flatMap(({ port, protocol, action }) =>
    action === 'limit'
      ? [`${port}/${protocol}( \\(v6\\)| on e\\+)? +LIMIT IN `]
      : ['', ' \\(v6\\)'].map((end) => `${port}/${protocol}${end} +ALLOW IN `),
  );
  const accepted = ports
    .filter(({ action }) => action === 'allow')
    .map(({ protocol, port }) => `${protocol} dport ${port} `);
  return {
    ports: run('Just our ports are open', 'ufw status verbose', {
      guide: [3],
      matches: opened.map((rule) => new RegExp(`^${rule}`, 'm')),
      // The site's rules for the cameras' interface are looked at by `cameras` of the stage `network`.
      lacks: new RegExp(`^(?!${opened.join('|')}|.* on cameras ).* (ALLOW|LIMIT) (IN|FWD) `, 'm'),
    }),
    loaded: run('The kernel has the rules and no other, for IPv4 and IPv6', 'nft list ruleset', {
      guide: [3],
      matches: [4, 6].map((version) => {
        const chain = version === 4 ? 'ufw' : 'ufw6';
        const first = ['before-logging-input', 'before-input'].map((to) => `\\s+counter [^\\n]* jump ${chain}-${to}`);
        return new RegExp(`chain INPUT \\{\\s+type filter hook input priority filter; policy drop;${first.join('')}`);
      }),
      // Versions of iptables differ in whether the interface comes before the addresses.
      lacks: new RegExp(
        `chain ufw6?-user-input \\{\\n([^}\\n]*\\n)*?(?!\\s+(${accepted.join('|')})|[^\\n]*iifname "cameras" )[^}\\n]* accept\\n`,
      ),
    }),
    rules: file('Every rule of the files is one of ours', '/etc/ufw/user*.rules', {
      guide: [3],
      mode: '0640',
      owner: 'root:root',
      // The site's rules for the cameras' interface; the first of them is seen by `cameras`.
      lacks: new RegExp(
        `^### tuple ### (?!.* (in|out)_cameras )(?!${ports.map((p) => `${p.action} ${p.protocol} ${p.port} `).join('|')})`,
        'm',
      ),
    }),
  };
}
