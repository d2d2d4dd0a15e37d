import type { Figure, Measure, Scene } from '../figure.ts';

interface Exposure {
  readonly unit: string;
  /** 0 (safe) to 10. */
  readonly exposure: number;
}

/** Reads the last line of each unit that `systemd-analyze security` was given; as JSON it leaves the sum out. */
export const readExposures = (text: string): Exposure[] =>
  [...text.matchAll(/Overall exposure level for (\S+): ([\d.]+)/g)].map(([, unit = '', exposure]) => ({
    unit,
    exposure: Number(exposure),
  }));

const OURS = /^(amslpr-|fail2ban\.)/;

/** How open the units are to what they run; `data` is the version of systemd. */
export function unitFigures(found: readonly Exposure[], tool: string): Figure[] {
  const of = (name: string): number => found.find(({ unit }) => unit === name)?.exposure ?? 10;
  const one = (id: string, title: string, unit: string, most: number): Figure => ({
    id,
    title,
    figure: of(unit).toFixed(1),
    goal: `${most.toFixed(1)} at most`,
    met: of(unit) <= most,
    tool,
    below: [],
  });
  const others = found.filter(({ unit }) => OURS.test(unit) && unit !== 'amslpr.service');
  const over = others.filter(({ exposure }) => exposure > 5).sort((a, b) => b.exposure - a.exposure);
  const worst = others.reduce((most, { exposure }) => Math.max(most, exposure), 0);
  return [
    one('units/application', 'Exposure of the application', 'amslpr.service', 1),
    one('units/nginx', 'Exposure of nginx', 'nginx.service', 2.5),
    {
      id: 'units/others',
      title: 'Highest exposure of our other units',
      figure: `${worst.toFixed(1)}, of ${others.length}`,
      goal: '5.0 at most',
      met: others.length > 0 && over.length === 0,
      tool,
      below: over.map(({ unit, exposure }) => `${unit} ${exposure.toFixed(1)}`),
    },
  ];
}

export const units: Measure = {
  name: 'units',
  async run(scene: Scene) {
    const version = (await scene.root('systemd-analyze --version')).split('\n')[0]?.match(/\(([^)]+)\)/)?.[1] ?? '';
    // Units that are not loaded, and templates, are judged only when they are named.
    const script = `set -- $(systemctl list-unit-files --no-legend --type=service 'amslpr*' | awk '{ sub("@", "@score", $1); print $1 }')
      systemd-analyze security --no-pager "$@" nginx.service ssh.service fail2ban.service`;
    const found = readExposures(await scene.root(script));
    return unitFigures(found, `systemd-analyze ${version}`);
  },
};
