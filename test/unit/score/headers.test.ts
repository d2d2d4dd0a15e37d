import { describe, expect, it } from 'vitest';
import { headerFaults } from '../../../src/score/measures/headers.ts';

describe('headers', () => {
  const right = new Map([
    ['x-content-type-options', 'nosniff'],
    ['x-frame-options', 'SAMEORIGIN'],
    ['x-xss-protection', '0'],
    ['strict-transport-security', 'max-age=1'],
    ['content-security-policy', "default-src 'self'"],
  ]);
  const answer = (status: number, without = '', more = '') =>
    `HTTP/2 ${status}\r\n${[...right].flatMap(([name, value]) => (name === without ? [] : [`${name}: ${value}\r\n`])).join('')}${more}\r\nbody\r\n`;

  it('are there once each, with the right values, on the answer that was asked for', () => {
    expect(headerFaults(404, answer(404), right)).toEqual([]);
    expect(headerFaults(429, answer(400, 'x-frame-options') + answer(429), right)).toEqual([]);
    expect(headerFaults(301, answer(301, 'strict-transport-security'), right)).toEqual([]);
  });

  it('that are missing, twice, or of somebody else are told', () => {
    expect(headerFaults(500, answer(500, 'x-frame-options'), right)).toEqual(['500: x-frame-options is there 0 times']);
    expect(headerFaults(403, answer(403, '', 'X-XSS-Protection: 1\r\n'), right)).toEqual([
      '403: x-xss-protection is there 2 times',
    ]);
    expect(headerFaults(200, answer(200, 'x-frame-options', 'x-frame-options: DENY\r\n'), right)).toEqual([
      '200: x-frame-options is DENY',
    ]);
    expect(headerFaults(301, answer(301), right)).toEqual(['301: strict-transport-security over HTTP']);
    expect(headerFaults(502, answer(500), right)).toEqual(['502: no such answer']);
  });
});
