import type { Runner } from '../host/runner.ts';
import type { Range } from './ranges.ts';

// Node cannot ask a file for its holes; Python can.
const SCRIPT = `
import errno, json, os, sys
out, at = [], 0
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
while at < size:
    try:
        start = os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            break
        raise
    at = os.lseek(fd, start, os.SEEK_HOLE)
    out.append([start, at - start])
print(json.dumps(out))
`;

/**
 * The runs of a sparse file that hold data, ascending; everything else reads as zeros. Undefined where that cannot be
 * found out: without Python, or on a file system that does not tell.
 */
export async function dataRanges(runner: Runner, path: string): Promise<Range[] | undefined> {
  const result = await runner
    .run(['/usr/bin/python3', '-I', '-c', SCRIPT, path], { timeout: 60 })
    .catch(() => undefined);
  if (result === undefined) return undefined;
  const parsed: unknown = JSON.parse(result.stdout);
  if (!Array.isArray(parsed)) return undefined;
  return parsed.map((pair: readonly number[]) => ({ start: pair[0] ?? 0, length: pair[1] ?? 0 }));
}
