import type { Figure, Measure, Scene } from '../figure.ts';
import { type Hardware, type Kind, openedFor, reachedHardware, works } from '../hardware.ts';

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

/** What the application is open for, and what of it a program in its sandbox reached. */
export interface Opened {
  readonly kinds: readonly Kind[];
  readonly reached: Hardware;
}

const NAMES: Readonly<Record<Kind, string>> = { camera: 'cameras', gpio: 'GPIO', serial: 'serial port' };

/** An application that uses hardware may be more open, and has to reach it. */
function openedFigure(exposure: number, { kinds, reached }: Opened, tool: string): Figure {
  const failed = kinds.filter((kind) => !works(kind, reached));
  return {
    id: 'units/devices',
    title: `Exposure of the application with ${kinds.map((kind) => NAMES[kind]).join(', ')} on`,
    figure: `${exposure.toFixed(1)}; ${kinds.map((kind) => `${NAMES[kind]}: ${reached[kind]}`).join(', ')}`,
    goal: '2.0 at most, each is reached',
    met: exposure <= 2 && failed.length === 0,
    tool,
    below: failed.map((kind) => `${NAMES[kind]}: ${reached[kind]}`),
  };
}

/** How open the units are to what they run. `opened`: absent when the application has no network and no devices. */
export function unitFigures(found: readonly Exposure[], opened: Opened | undefined, tool: string): Figure[] {
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
    opened === undefined
      ? one('units/application', 'Exposure of the application', 'amslpr.service', 1)
      : openedFigure(of('amslpr.service'), opened, tool),
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
    const shown = await scene.root('systemctl show --property PrivateNetwork,DeviceAllow amslpr.service');
    const kinds = openedFor(shown);
    const opened = kinds.length === 0 ? undefined : { kinds, reached: await reachedHardware(scene.device) };
    return unitFigures(found, opened, `systemd-analyze ${version}`);
  },
};
