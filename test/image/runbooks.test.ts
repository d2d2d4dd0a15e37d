import { expect, it } from 'vitest';
import { readImage } from '../../src/audit/image.ts';
import { programs } from '../helpers/run-books.ts';
import { builtImage } from './built-image.ts';

it('programs that run-books name are in the image, each from the package that is said to bring it', async () => {
  const tree = await readImage((await builtImage()).image);
  const missing = Object.entries(programs).flatMap(([name, all]) => {
    const list = ['', ':arm64']
      .map((end) => tree.text(`/var/lib/dpkg/info/${name}${end}.list`))
      .join('\n')
      .split('\n');
    return all.filter((program) => {
      const paths = ['/usr/bin', '/usr/sbin'].map((folder) => `${folder}/${program}`);
      return !paths.some((path) => tree.get(path) !== undefined && list.includes(path));
    });
  });
  expect(missing).toEqual([]);
});
