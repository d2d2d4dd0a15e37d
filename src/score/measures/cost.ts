import type { Measure } from '../figure.ts';

/** What the device uses while nobody asks it for anything; emulated times say little of a board. */
export const cost: Measure = {
  name: 'cost',
  async run(scene) {
    const memory = await scene.root("awk '/^Mem(Total|Available)/ { print $2 }' /proc/meminfo");
    const [total = 0, free = 0] = memory.trim().split('\n').map(Number);
    const processes = await scene.root('ls -d /proc/[0-9]*/exe | xargs -n 1 readlink 2>/dev/null | wc -l');
    const written = 'awk \'$3 == "vda" { print $10 }\' /proc/diskstats';
    const sectors = await scene.root(`${written}; sleep 120; ${written}`, 300);
    const [before = 0, after = 0] = sectors.trim().split('\n').map(Number);
    const times = await scene.root('systemd-analyze time --no-pager');
    const report = (id: string, title: string, figure: string, tool: string) => ({
      id,
      title,
      figure,
      tool,
      below: [],
    });
    return [
      report(
        'cost/memory',
        'Memory in use',
        `${Math.round((total - free) / 1024)} of ${Math.round(total / 1024)} MiB`,
        'kernel',
      ),
      report('cost/processes', 'Processes', processes.trim(), 'kernel'),
      report(
        'cost/writes',
        'Written to the card in an hour',
        `${(((after - before) * 512 * 30) / 1e6).toFixed(1)} MB`,
        'kernel',
      ),
      report(
        'cost/boot',
        'Start, under emulation',
        times.split('\n')[0]?.replace(/^Startup finished in /, '') ?? '',
        'systemd',
      ),
    ];
  },
};
