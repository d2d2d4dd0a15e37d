import { describe, expect, it } from 'vitest';
import { countPytest, countVitest } from '../../../ci/summary.ts';

describe('the last line of ci/test', () => {
  it('counts what vitest reports, skipped and todo apart', () => {
    const statuses = ['passed', 'passed', 'failed', 'skipped', 'todo'].map((status) => ({ status }));
    const report = { testResults: [{ status: 'failed', assertionResults: statuses }] };
    expect(countVitest(JSON.stringify(report))).toEqual({ passed: 2, failed: 1, skipped: 2 });
  });
  it('counts a test file that could not be loaded', () => {
    const report = { testResults: [{ status: 'failed', assertionResults: [] }] };
    expect(countVitest(JSON.stringify(report))).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });
  it('does not take a run without tests for success', () => {
    expect(countVitest('{"testResults": []}').failed).toBe(1);
    expect(countPytest('<testsuites></testsuites>').failed).toBe(1);
  });
  it('counts what pytest reports', () => {
    const xml = '<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1">';
    expect(countPytest(xml)).toEqual({ passed: 4, failed: 3, skipped: 3 });
  });
});
