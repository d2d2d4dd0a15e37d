import type { OpenPort } from './contribution.ts';

/**
 * The text of ufw's user.rules (4) or user6.rules (6) with one rule for each port, byte for byte as ufw 0.36 writes it,
 * so that `ufw` on the device finds its own format. Comments are hex, as ufw keeps them.
 */
export function rulesFile(version: 4 | 6, ports: readonly OpenPort[], logging: 'off' | 'low'): string {
  const ufw = version === 4 ? 'ufw' : 'ufw6';
  const any = version === 4 ? '0.0.0.0/0' : '::/0';
  const chains = [
    ...['input', 'output', 'forward'].map((name) => `user-${name}`),
    ...['input', 'output', 'forward'].map((name) => `before-logging-${name}`),
    ...['input', 'output', 'forward'].map((name) => `user-logging-${name}`),
    ...['input', 'output', 'forward'].map((name) => `after-logging-${name}`),
    'logging-deny',
    'logging-allow',
    'user-limit',
    'user-limit-accept',
  ];
  const lines = [
    '*filter',
    ...chains.map((name) => `:${ufw}-${name} - [0:0]`),
    '### RULES ###',
    '',
    ...ports.flatMap((port) => [...rule(ufw, any, port), '']),
    '### END RULES ###',
    '',
    '### LOGGING ###',
    ...loggingRules(ufw, logging),
    '### END LOGGING ###',
    '',
    '### RATE LIMITING ###',
    ...(logging === 'off'
      ? []
      : [`-A ${ufw}-user-limit -m limit --limit 3/minute -j LOG --log-prefix "[UFW LIMIT BLOCK] "`]),
    `-A ${ufw}-user-limit -j REJECT`,
    `-A ${ufw}-user-limit-accept -j ACCEPT`,
    '### END RATE LIMITING ###',
    'COMMIT',
  ];
  return `${lines.join('\n')}\n`;
}

function rule(ufw: string, any: string, { port, protocol, action, comment }: OpenPort): string[] {
  const tuple = `### tuple ### ${action} ${protocol} ${port} ${any} any ${any} in comment=${Buffer.from(comment).toString('hex')}`;
  const match = `-A ${ufw}-user-input -p ${protocol} --dport ${port}`;
  if (action === 'allow') return [tuple, `${match} -j ACCEPT`];
  const fresh = `${match} -m conntrack --ctstate NEW -m recent`;
  return [
    tuple,
    `${fresh} --set`,
    `${fresh} --update --seconds 30 --hitcount 6 -j ${ufw}-user-limit`,
    `${match} -j ${ufw}-user-limit-accept`,
  ];
}

function loggingRules(ufw: string, logging: 'off' | 'low'): string[] {
  if (logging === 'off')
    return ['input', 'output', 'forward'].map((name) => `-I ${ufw}-user-logging-${name} -j RETURN`);
  const slow = '-m limit --limit 3/min --limit-burst 10';
  const log = (chain: string, prefix: string) => `-A ${ufw}-${chain} -j LOG --log-prefix "[UFW ${prefix}] " ${slow}`;
  return [
    log('after-logging-input', 'BLOCK'),
    log('after-logging-forward', 'BLOCK'),
    `-I ${ufw}-logging-deny -m conntrack --ctstate INVALID -j RETURN ${slow}`,
    log('logging-deny', 'BLOCK'),
    log('logging-allow', 'ALLOW'),
  ];
}
