import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Figure, Measure, Scene } from '../figure.ts';
import { address, DEVICE, type Neighbour, type Version } from '../neighbour.ts';

/** One try of guess.py; times in seconds of the neighbour's clock. */
export interface Try {
  readonly begin: number;
  readonly end: number;
  /** `answered`, `limited` (told to wait), or `refused` with the reason. */
  readonly said: string;
}

/**
 * `ssh`: a key for a user that does not exist; `known`: one for an account that does; `greet`: connections alone; `web`: a
 * wrong password.
 */
type Kind = 'ssh' | 'known' | 'greet' | 'web';

/** Controls by name, and how each is switched off and on again. Only the firewall's limit goes, not its rules. */
const CONTROLS = {
  fail2ban: {
    off: 'systemctl stop fail2ban',
    on: 'systemctl start fail2ban; for i in $(seq 60); do fail2ban-client ping >/dev/null 2>&1 && break; sleep 1; done',
  },
  penalties: {
    off: "echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/score.conf; systemctl reload ssh",
    on: 'rm -f /etc/ssh/sshd_config.d/score.conf; systemctl reload ssh',
  },
  'ufw limit': {
    off: 'for one in iptables ip6tables; do $one -I INPUT -p tcp --dport 22 -j ACCEPT; done',
    on: 'for one in iptables ip6tables; do $one -D INPUT -p tcp --dport 22 -j ACCEPT; done',
  },
  'nginx limits': {
    off: "cp -p /etc/nginx/conf.d/amslpr.conf /run/score.conf; sed -i 's/rate=[0-9]*r/rate=60000r/' /etc/nginx/conf.d/amslpr.conf; systemctl reload nginx",
    on: 'cat /run/score.conf >/etc/nginx/conf.d/amslpr.conf; rm /run/score.conf; systemctl reload nginx',
  },
} as const;
type Control = keyof typeof CONTROLS;
const ALL = Object.keys(CONTROLS) as Control[];

/** Which controls are on, what is tried, and how many tries must be the end of it. */
const ROWS: readonly { readonly kind: Kind; readonly on: readonly Control[]; readonly most: number }[] = [
  { kind: 'ssh', on: ['fail2ban'], most: 12 },
  // sshd does not ask about keys of users that do not exist, and punishes nobody for them: those are fail2ban's.
  { kind: 'known', on: ['penalties'], most: 12 },
  { kind: 'greet', on: ['ufw limit'], most: 8 },
  { kind: 'web', on: ['fail2ban'], most: 60 },
  { kind: 'web', on: ['nginx limits'], most: 12 },
  { kind: 'ssh', on: ALL, most: 12 },
  { kind: 'web', on: ALL, most: 60 },
];

/** Failures after which fail2ban bans, and how soon it has to. */
const ALLOWED = 3;
const SOON = 10;

/** Seconds from the end of the last allowed try to the first that found no connection; undefined when each found one. */
export function secondsToBan(tries: readonly Try[], allowed = ALLOWED): number | undefined {
  const refused = tries.find(({ said }) => said.startsWith('refused'));
  const last = tries[allowed - 1];
  if (refused === undefined) return undefined;
  return last === undefined ? 0 : Math.max(0, refused.begin - last.end);
}

const WHAT: Record<Kind, string> = {
  ssh: 'Guessing over SSH',
  known: 'Guessing at an account over SSH',
  greet: 'Connecting to SSH again and again',
  web: 'Guessing at the web log-in',
};

export interface Guessed {
  readonly kind: Kind;
  readonly version: Version;
  readonly on: readonly Control[];
  readonly tries: readonly Try[];
  /** Whether a client at another address was served meanwhile, by SSH and by nginx. */
  readonly others: readonly Try[];
}

export function bansFigure({ kind, version, on, tries, others }: Guessed): Figure {
  const whole = on.length === ALL.length;
  const alone = whole ? 'all controls' : `${on.join(', ')} alone`;
  const stopped = tries.findIndex(({ said }) => said !== 'answered');
  // Only fail2ban bans for long; what slows down without it has to have done so within the tries that were made.
  const timed = on.includes('fail2ban');
  const seconds = timed ? secondsToBan(tries) : undefined;
  const served = others.length === 2 && others.every(({ said }) => said === 'answered');
  const ended = timed ? seconds !== undefined && seconds <= SOON : stopped >= 0;
  const last = tries.at(-1)?.said ?? 'nothing was tried';
  const after = stopped < 0 ? `never stopped in ${tries.length} tries` : `stopped after ${stopped} tries`;
  return {
    id: `bans/${kind}-${whole ? 'all' : on.join('-').replaceAll(' ', '-')}-ipv${version}`,
    title: `${WHAT[kind]} over IPv${version}, ${alone}`,
    figure: seconds === undefined ? after : `${after}, banned ${seconds.toFixed(1)} s after the last allowed one`,
    goal: `${timed ? `banned within ${SOON} s` : 'stopped'}, another client is served`,
    met: ended && served,
    tool: 'ssh, python3',
    below: [
      ...(ended ? [] : [`the last try: ${last}`]),
      ...(served ? [] : [`the other client: ${others.map(({ said }) => said).join(', ') || 'not tried'}`]),
    ],
  };
}

async function guess(
  neighbour: Neighbour,
  program: string,
  kind: Kind,
  version: Version,
  from: number,
  tries: number,
  account: string,
): Promise<Try[]> {
  const said = await neighbour.root(
    `exec python3 - ${kind} ${address(version, from)} ${address(version, DEVICE)} ${tries} ${account}`,
    900,
    program,
  );
  return JSON.parse(said) as Try[];
}

export const bans: Measure = {
  name: 'bans',
  async run(scene: Scene) {
    const program = await readFile(join(import.meta.dirname, 'guess.py'), 'utf8');
    const neighbour = await scene.neighbour();
    const account = (await scene.root('echo "$SUDO_USER"')).trim();
    const figures: Figure[] = [];
    // Each guesser has an address of its own: fail2ban reads the last ten minutes again when it starts.
    let number = DEVICE;
    for (const { kind, on, most } of ROWS) {
      const off = ALL.filter((name) => !on.includes(name));
      try {
        for (const name of off) await scene.root(CONTROLS[name].off);
        for (const version of [4, 6] as const) {
          number += 1;
          const tries = await guess(neighbour, program, kind, version, number, most, account);
          number += 1;
          const others = [
            ...(await guess(neighbour, program, 'greet', version, number, 1, account)),
            ...(await guess(neighbour, program, 'web', version, number, 1, account)),
          ];
          figures.push(bansFigure({ kind, version, on, tries, others }));
        }
      } finally {
        for (const name of off) await scene.root(CONTROLS[name].on);
      }
    }
    return figures;
  },
};
