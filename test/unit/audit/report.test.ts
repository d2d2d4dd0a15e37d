import { describe, expect, it } from 'vitest';
import { auditExitCode, jsonReport, junitReport, makeReport, textReport } from '../../../src/audit/report.ts';
import type { CheckResult } from '../../../src/core/check.ts';

const passed: CheckResult = {
  id: 'sshd/policy',
  title: 'Only root reads the policy',
  guide: [5],
  outcome: 'pass',
  evidence: '/etc/ssh/sshd_config: 0600 root:root, 23 lines',
};
const failed: CheckResult = {
  id: 'tls/no-key',
  title: 'No <key> is "in" the image & \u0000\u001b',
  guide: [],
  outcome: 'fail',
  evidence: `there is /etc/${'x'.repeat(90)} (file)\nand ]]> more`,
  expected: "nothing at 'key.pem'",
};
const report = makeReport('out/a&b.img', [passed, failed, { ...passed, id: 'sshd/include' }]);

describe('reports', () => {
  it('count, and give exit code 3 when a check failed', () => {
    expect(report).toMatchObject({ passed: 2, failed: 1 });
    expect(auditExitCode(report)).toBe(3);
    expect(auditExitCode(makeReport('x', [passed]))).toBe(0);
  });

  it('text: by stage, 80 columns, evidence for each, failures with what was expected', () => {
    const text = textReport(report);
    const lines = text.split('\n');
    const long = lines.filter((line) => line.length > 80);
    expect(long).toHaveLength(1);
    expect(long[0]).toMatch(/^ {8}\| \/etc\/x{90}$/);
    expect(lines.filter((line) => line === 'sshd')).toHaveLength(1);
    expect(text).toContain('  ok    Only root reads the policy (guide 5)\n        | /etc/ssh/');
    expect(text).toContain("        expected nothing at 'key.pem'");
    expect(text).toContain('  amslpr-image explain tls/no-key');
    expect(text).toMatch(/3 checks: 2 passed, 1 failed\n$/);
    expect(textReport(makeReport('x', [passed]))).not.toContain('explain');
  });

  it('JSON: what went in', () => {
    expect(JSON.parse(jsonReport(report))).toEqual(JSON.parse(JSON.stringify(report)));
  });

  it('JUnit: well-formed whatever the texts hold', () => {
    const xml = junitReport(report);
    expect(xml).toContain('<testsuites name="out/a&#38;b.img" tests="3" failures="1">');
    expect(xml).toContain('<testsuite name="sshd" tests="2" failures="0">');
    expect(xml).toContain('name="No &#60;key&#62; is &#34;in&#34; the image &#38; \ufffd\ufffd"');
    expect(xml).toContain('<failure message="expected nothing at &#39;key.pem&#39;">');
    expect(xml.match(/<testcase /g)).toHaveLength(3);
    const text = xml.replace(/<[^<>]*>/g, '');
    expect(text).not.toMatch(/[<>]/);
  });
});
