import { hostRunner } from '../src/host/runner.ts';
import { project } from './context.ts';

let once: Promise<unknown> | undefined;

/** Makes dist/ from the sources as they are; once in a run. */
export function compiled(): Promise<unknown> {
  once ??= hostRunner.run(['npm', 'run', '--silent', 'build'], { cwd: project });
  return once;
}
