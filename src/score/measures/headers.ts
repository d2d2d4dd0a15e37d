import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Figure, Measure, Scene } from '../figure.ts';

/** The guide's names (items 20 to 24). */
const NAMES = [
  'x-content-type-options',
  'x-frame-options',
  'x-xss-protection',
  'strict-transport-security',
  'content-security-policy',
] as const;
const HSTS = 'strict-transport-security';

/** Each status and who is asked for it: the application by a path, or nginx itself. 502 comes when there is no application. */
const ASKED: Readonly<Record<number, string>> = {
  200: 'https://127.0.0.1/200',
  301: 'http://127.0.0.1/',
  401: 'https://127.0.0.1/401',
  403: 'https://127.0.0.1/403',
  404: 'https://127.0.0.1/404',
  413: '--http1.1 --request POST --header Content-Length:999999999 https://127.0.0.1/',
  429: '--request POST https://127.0.0.1/login?[1-40]',
  500: 'https://127.0.0.1/500',
  502: 'https://127.0.0.1/502',
};

/** What is wrong with the headers of one status: `text` is what `curl --include` said, the last answer counts. */
export function headerFaults(status: number, text: string, right: ReadonlyMap<string, string>): string[] {
  const answers = text.split(/^(?=HTTP\/)/m).filter((one) => one.startsWith('HTTP/'));
  const answer = answers.filter((one) => /^HTTP\/\S+ (\d+)/.exec(one)?.[1] === String(status)).at(-1);
  if (answer === undefined) return [`${status}: no such answer`];
  const found = fieldsOf(answer);
  return NAMES.flatMap((name) => {
    const values = found.filter(([one]) => one === name).map(([, value]) => value);
    // Over plain HTTP it is forbidden (RFC 6797, 7.2).
    if (name === HSTS && status === 301) return values.length === 0 ? [] : [`301: ${name} over HTTP`];
    if (values.length !== 1) return [`${status}: ${name} is there ${values.length} times`];
    return values[0] === right.get(name) ? [] : [`${status}: ${name} is ${values[0]}`];
  });
}

const fieldsOf = (answer: string): [string, string][] =>
  (answer.split(/\r?\n\r?\n/)[0] ?? '')
    .split(/\r?\n/)
    .slice(1)
    .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]);

const SOCKET = '/run/amslpr/app.sock';
const start = `systemctl stop amslpr.service; rm -f ${SOCKET}
systemd-run --quiet --unit=score-upstream --uid=amslpr --gid=amslpr python3 /run/score-upstream.py ${SOCKET}
for i in $(seq 60); do [ -S ${SOCKET} ] && break; sleep 1; done`;

export const headers: Measure = {
  name: 'headers',
  async run(scene: Scene): Promise<Figure[]> {
    const program = await readFile(join(import.meta.dirname, 'upstream.py'), 'utf8');
    const ask = (arguments_: string, from: string): Promise<string> =>
      scene.root(
        `curl --silent --insecure --include --max-time 60 --interface ${from} ${arguments_} </dev/null || true`,
      );
    // What it says with the real application is right; checks of the stage nginx compare it with what was configured.
    const real = fieldsOf(await ask('https://127.0.0.1/login', '127.0.0.20'));
    await scene.root(`cat >/run/score-upstream.py; chmod 0644 /run/score-upstream.py\n${start}`, 300, program);
    const below: string[] = [];
    try {
      for (const [status, asked] of Object.entries(ASKED)) {
        if (status === '502') await scene.root(`systemctl stop score-upstream.service; rm -f ${SOCKET}`);
        // An address for each, so that the limits of one are not those of another.
        below.push(...headerFaults(Number(status), await ask(asked, `127.0.1.${Number(status) % 250}`), new Map(real)));
      }
    } finally {
      await scene.root('systemctl stop score-upstream.service 2>/dev/null; systemctl restart amslpr.service', 300);
    }
    const statuses = Object.keys(ASKED);
    return [
      {
        id: 'headers/statuses',
        title: `The guide's headers, once each, on ${statuses.join(', ')}`,
        figure: `${below.length} faults`,
        goal: '0 faults',
        met: below.length === 0 && NAMES.every((name) => real.some(([one]) => one === name)),
        tool: 'curl',
        below,
      },
    ];
  },
};
