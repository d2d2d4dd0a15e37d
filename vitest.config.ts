import { defineConfig } from 'vitest/config';

// Projects by what they need: `unit` and `golden` need Node and python3 alone, and run before each commit; `slow` is the
// unit tests that start whole programs or wait for the disk (kills in the middle, direct I/O); `image` builds for real; `boot` starts QEMU;
// `extended` is what `ci/test --all` adds. A group starts when the one before it has ended: builds and emulators need
// the processors to themselves, and so do tests that have a time limit.
export default defineConfig({
  test: {
    projects: [
      // Their modules are loaded once for all files: no test changes what a module holds. The time limit is there for
      // what hangs, on a slow machine too.
      {
        test: {
          name: 'unit',
          isolate: false,
          include: ['test/unit/**/*.test.ts'],
          exclude: ['**/*.slow.test.ts'],
          testTimeout: 30_000,
        },
      },
      { test: { name: 'golden', isolate: false, include: ['test/golden/**/*.test.ts'] } },
      {
        test: {
          name: 'slow',
          sequence: { groupOrder: 1 },
          include: ['test/unit/**/*.slow.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'image',
          sequence: { groupOrder: 2 },
          include: ['test/image/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 3_600_000,
          fileParallelism: false,
          maxConcurrency: 3,
        },
      },
      {
        test: {
          name: 'boot',
          sequence: { groupOrder: 3 },
          include: ['test/boot/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'extended',
          sequence: { groupOrder: 4 },
          include: ['test/extended/**/*.test.ts'],
          testTimeout: 5_400_000,
          hookTimeout: 5_400_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
