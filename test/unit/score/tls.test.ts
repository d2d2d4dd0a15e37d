import { expect, it } from 'vitest';
import { readExceptions } from '../../../src/score/exceptions.ts';
import { testsslFigures, tlsFindings } from '../../../src/score/measures/tls.ts';
import { met } from './met.ts';

it('sslscan: old protocols, weak ciphers, and nothing found', () => {
  const protocol = (version: string, enabled: number) =>
    `<protocol type="tls" version="${version}" enabled="${enabled}" />`;
  const cipher = (strength: string) =>
    `<cipher status="accepted" sslversion="TLSv1.2" bits="128" cipher="AES" strength="${strength}" />`;
  const good = `${protocol('1.1', 0)}${protocol('1.2', 1)}${protocol('1.3', 1)}${cipher('strong')}`;
  expect(tlsFindings(good)).toEqual([]);
  expect(tlsFindings(`${good}${protocol('1.1', 1)}${cipher('weak')}`)).toEqual(['TLSv1.1 is spoken', 'AES is weak']);
  expect(tlsFindings('')).toContain('no cipher was found');
  expect(tlsFindings(`${good}<heartbleed sslversion="TLSv1.2" vulnerable="1" />`)).toEqual(['Heartbleed']);
});

const by = { tool: 'testssl.sh' };
const one = (id: string, severity: string, finding: string) => ({ id, severity, finding });
const json = (...found: object[]) => JSON.stringify(found);

it('testssl.sh: the grade, and findings at LOW or worse', () => {
  const good = [one('overall_grade', 'OK', 'A+'), one('cert_ocspURL', 'INFO', '--')];
  expect(met(testsslFigures(json(...good), [], by))).toEqual({ 'tls/grade': true, 'tls/testssl': true });
  const bad = [
    one('overall_grade', 'HIGH', 'B'),
    one('grade_cap_reason_1', 'INFO', 'old'),
    one('BREACH', 'LOW', 'gzip'),
  ];
  expect(testsslFigures(json(...bad), [], by).map(({ below }) => below)).toEqual([['old'], ['BREACH (LOW): gzip']]);
  expect(met(testsslFigures('[]', [], by))).toMatchObject({ 'tls/grade': false });
});

it('testssl.sh: what config/score.yaml excuses, and an excuse for nothing', async () => {
  const { testssl = [] } = await readExceptions('config/score.yaml');
  const excused = [
    one('cert_revocation', 'HIGH', 'Neither CRL nor OCSP URI provided'),
    one('engine_problem', 'WARN', 'No engine or GOST support via engine'),
  ];
  const below = (...found: object[]) => testsslFigures(json(...found), testssl, by)[1]?.below;
  expect(below(...excused)).toEqual([]);
  expect(below(...excused, one('cert_revocation_2', 'HIGH', 'no'))).toEqual(['cert_revocation_2 (HIGH): no']);
  expect(below(excused[0] ?? {}, one('engine_problem', 'OK', 'there is one'))).toEqual([
    'engine_problem: the exception is not needed',
  ]);
});
