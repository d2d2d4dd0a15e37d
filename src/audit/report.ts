import type { CheckResult, PlannedCheck } from '../core/check.ts';
import { EXIT, type ExitCode } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { evaluate, isOffline } from './evaluate.ts';
import { type ReadOptions, readImage } from './image.ts';

export interface AuditReport {
  /** The image as it was named. */
  readonly image: string;
  readonly passed: number;
  readonly failed: number;
  /** In the order of the checks. */
  readonly results: readonly CheckResult[];
}

/**
 * Answers every offline check from a finished image file; unprivileged, on any Raspberry Pi image. Failed checks are no
 * error: `exitCode` tells.
 * @throws UserError when the file is no image that can be read
 */
export async function auditImage(
  image: string,
  checks: readonly PlannedCheck[],
  log: Log,
  options: Omit<ReadOptions, 'keep' | 'log'> = {},
): Promise<AuditReport> {
  const offline = checks.filter(isOffline);
  const started = Date.now();
  log({ kind: 'step-start', step: 'audit' });
  const keep = offline.flatMap((check) => (check.kind === 'file' ? [check.path] : []));
  try {
    const results = evaluate(await readImage(image, { ...options, keep, log }), offline);
    const report = makeReport(image, results);
    log({ kind: 'step-end', step: 'audit', seconds: (Date.now() - started) / 1000, ok: report.failed === 0 });
    return report;
  } catch (error) {
    log({ kind: 'step-end', step: 'audit', seconds: (Date.now() - started) / 1000, ok: false });
    throw error;
  }
}

/** Counts results, of the image or of a booted guest. */
export function makeReport(image: string, results: readonly CheckResult[]): AuditReport {
  const failed = results.filter((result) => result.outcome === 'fail').length;
  return { image, passed: results.length - failed, failed, results };
}

export const auditExitCode = (report: AuditReport): ExitCode => (report.failed === 0 ? EXIT.ok : EXIT.audit);

const WIDTH = 80;

/** Breaks a text at spaces; a word that is longer than the line stays whole, so that paths can be copied. */
function wrap(text: string, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(/\s+/).filter((part) => part !== '')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line];
}

const stageOf = (id: string): string => id.slice(0, id.indexOf('/'));

/** Groups keep the order in which their stage first comes. */
function byStage(results: readonly CheckResult[]): Map<string, CheckResult[]> {
  const groups = new Map<string, CheckResult[]>();
  for (const result of results) groups.set(stageOf(result.id), [...(groups.get(stageOf(result.id)) ?? []), result]);
  return groups;
}

const guideText = (result: CheckResult): string =>
  result.guide.length > 0 ? ` (guide ${result.guide.join(', ')})` : '';

/** For people: 80 columns, by stage, evidence for each check; what failed is told again at the end. */
export function textReport(report: AuditReport): string {
  const lines: string[] = [...wrap(report.image, 'Audit of ', '  '), ''];
  for (const [stage, results] of byStage(report.results)) {
    lines.push(stage);
    for (const result of results) {
      const mark = result.outcome === 'pass' ? '  ok    ' : '  FAIL  ';
      lines.push(...wrap(`${result.title}${guideText(result)}`, mark, '        '));
      lines.push(...wrap(result.evidence, '        | ', '        | '));
      if (result.expected !== undefined) lines.push(...wrap(result.expected, '        expected ', '          '));
    }
    lines.push('');
  }
  const failed = report.results.filter((result) => result.outcome === 'fail');
  if (failed.length > 0) {
    lines.push('Failed, with what it is and how to change it:');
    lines.push(...failed.map((result) => `  amslpr-image explain ${result.id}`), '');
  }
  lines.push(`${report.results.length} checks: ${report.passed} passed, ${report.failed} failed`);
  return `${lines.join('\n')}\n`;
}

/** For programs: the report as it is. */
export function jsonReport(report: AuditReport): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** XML 1.0 allows few control characters, not even escaped; the others become U+FFFD. */
function xml(text: string): string {
  return text
    .replace(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\u{fffd}');
}

/** For CI: one test suite a stage. */
export function junitReport(report: AuditReport): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${xml(report.image)}" tests="${report.results.length}" failures="${report.failed}">`,
  ];
  for (const [stage, results] of byStage(report.results)) {
    const failures = results.filter((result) => result.outcome === 'fail').length;
    lines.push(`  <testsuite name="${xml(stage)}" tests="${results.length}" failures="${failures}">`);
    for (const { id, title, outcome, evidence, expected } of results) {
      lines.push(`    <testcase classname="${xml(id)}" name="${xml(title)}">`);
      if (outcome === 'fail') {
        lines.push(`      <failure message="${xml(`expected ${expected ?? 'otherwise'}`)}">${xml(evidence)}</failure>`);
      }
      lines.push(`      <system-out>${xml(evidence)}</system-out>`, '    </testcase>');
    }
    lines.push('  </testsuite>');
  }
  lines.push('</testsuites>');
  return `${lines.join('\n')}\n`;
}
