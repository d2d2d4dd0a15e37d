import { readFileSync } from 'node:fs';

// Adds up the reports of vitest (JSON) and pytest (JUnit XML) and prints the one line that ends a test run. A report that
// is missing or empty counts as a failure: a runner that never ran must not look like success.

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const NOTHING_RAN: Count = { passed: 0, failed: 1, skipped: 0 };

/** `json` is vitest's report; a file that could not even be loaded has no tests and counts as one failure. */
export function countVitest(json: string): Count {
  const report = JSON.parse(json) as {
    testResults: { status: string; assertionResults: { status: string }[] }[];
  };
  const tests = report.testResults.flatMap(({ status, assertionResults }) =>
    assertionResults.length === 0 && status === 'failed' ? ['failed'] : assertionResults.map((test) => test.status),
  );
  if (tests.length === 0) return NOTHING_RAN;
  const passed = tests.filter((status) => status === 'passed').length;
  const failed = tests.filter((status) => status === 'failed').length;
  return { passed, failed, skipped: tests.length - passed - failed };
}

/** `xml` is pytest's report. */
export function countPytest(xml: string): Count {
  const suite = /<testsuite\s[^>]*>/.exec(xml)?.[0] ?? '';
  const number = (name: string): number => Number(new RegExp(`\\s${name}="(\\d+)"`).exec(suite)?.[1] ?? '0');
  const [tests, skipped] = [number('tests'), number('skipped')];
  const failed = number('failures') + number('errors');
  return tests === 0 ? NOTHING_RAN : { passed: tests - failed - skipped, failed, skipped };
}

function count(file: string): Count {
  try {
    const text = readFileSync(file, 'utf8');
    return file.endsWith('.xml') ? countPytest(text) : countVitest(text);
  } catch (error) {
    console.error(`${file}: ${error instanceof Error ? error.message : error}`);
    return NOTHING_RAN;
  }
}

if (process.argv[1] === import.meta.filename) {
  const counts = process.argv.slice(2).map(count);
  const sum = (pick: (one: Count) => number): number => counts.reduce((total, one) => total + pick(one), 0);
  const failed = sum((one) => one.failed);
  console.log(`Tests: ${sum((one) => one.passed)} passed, ${failed} failed, ${sum((one) => one.skipped)} skipped`);
  process.exit(failed === 0 ? 0 : 1);
}
