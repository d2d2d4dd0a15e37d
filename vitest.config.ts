import { defineConfig } from 'vitest/config';

// Projects by what they need: `unit` and `golden` need Node and python3 alone; `image` builds for real; `boot` starts QEMU;
// `extended` is what `ci/test --all` adds.
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'golden', include: ['test/golden/**/*.test.ts'] } },
      {
        test: {
          name: 'image',
          include: ['test/image/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 3_600_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'boot',
          include: ['test/boot/**/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'extended',
          include: ['test/extended/**/*.test.ts'],
          testTimeout: 5_400_000,
          hookTimeout: 5_400_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
