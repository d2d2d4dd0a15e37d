import type { Device } from '../../../src/qemu/device.ts';
import type { Breakages } from './breakage.ts';
import { machine } from './machine.ts';
import { parts } from './parts.ts';
import { web } from './web.ts';

/** Broken together, one after the other: what a breakage needs is still whole when its turn comes. */
export const batches: Readonly<Record<string, Breakages>> = { web, machine, parts };

/** What the commands are written in. All that it makes is in memory, and a restart forgets it. */
const WORDS = `
F=/run/broken; mkdir -p $F
# change FILE EDIT: everybody sees the file edited by sed; the card keeps it.
change() {
  c=$F/$(echo "$1" | tr / _)
  [ -e "$c" ] || { cp -p "$1" "$c"; mount --bind "$c" "$1"; }
  sed -E "$2" "$c" > "$c.new"; cat "$c.new" > "$c"
}
# copy FOLDER: everybody sees a copy of the folder, which can be changed.
copy() {
  c=$F/$(echo "$1" | tr / _)
  [ -e "$c" ] || { cp -a "$1" "$c"; mount --bind "$c" "$1"; }
}
# cover FOLDER: an empty file system in memory is mounted over it.
cover() { findmnt -t tmpfs "$1" > $F/covered || mount -t tmpfs none "$1"; }
# drop_in UNIT SECTION LINE...: sorts behind every drop-in of the image.
drop_in() {
  d=/run/systemd/system/$1.service.d; mkdir -p "$d"
  { echo "[$2]"; shift 2; printf '%s\\n' "$@"; } > "$d/zz-$(date +%N).conf"
  systemctl daemon-reload
}
# later UNIT: it is reloaded once, after the last breakage of the batch.
later() { echo "$1" >> $F/later; }
`;
const LAST = 'if [ -e $F/later ]; then systemctl reload $(sort -u $F/later); rm $F/later; fi';

/** Ids with their commands, without what cannot be broken. */
const toBreak = (batch: Breakages): [string, string][] =>
  Object.entries(batch).flatMap(([id, one]) =>
    typeof one === 'string' ? [[id, one]] : 'run' in one ? [[id, one.run]] : [],
  );

/** One script for all breakages of a batch; it says which of them could not be done. */
export const scriptOf = (batch: Breakages): string => {
  const script = toBreak(batch).map(([id, command]) => `(\n${command}\n) < /dev/null || echo 'not done: ${id}'`);
  return [WORDS, ...script, LAST].join('\n');
};

/** Takes back what a restart would keep. */
export const mendOf = (batch: Breakages): string =>
  Object.values(batch)
    .flatMap((one) => (typeof one === 'object' && 'mend' in one ? [one.mend] : []))
    .reverse()
    .join('\n');

/** Does all breakages of a batch, and returns the ids of the checks that do not say so, with what the script said. */
export async function silentAfter(device: Device, batch: Breakages): Promise<string[]> {
  const ids = toBreak(batch).map(([id]) => id);
  const said = await device.sudo(['sh', '-c', `exec 2>&1\n${scriptOf(batch)}`], { timeout: 900 });
  try {
    const results = await device.audit(...new Set(ids.map((id) => id.slice(0, id.indexOf('/')))));
    const failed = new Set(results.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id));
    const silent = ids.filter((id) => !failed.has(id));
    return silent.length === 0 ? [] : [...silent, said];
  } finally {
    await device.sudo(['sh', '-ec', mendOf(batch)], { timeout: 300 });
  }
}
