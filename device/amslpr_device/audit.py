"""`amslpr-device audit`: answers the image's own questions about the running device, as root.

Questions are in /usr/share/amslpr/checks.json: {id, title, guide, run, matches, lacks, exit, when}. Answers are what
was seen, so that a reader can verify them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from amslpr_device.context import Context

SECONDS = 120


def answer(check: dict[str, Any]) -> dict[str, Any]:
    """The result of one check."""
    result: dict[str, Any] = {'id': check['id'], 'title': check['title'], 'guide': check.get('guide', [])}
    environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'}
    command = ' '.join(check['run'])
    try:
        done = subprocess.run(
            check['run'],
            # Where it was started from may be a home that a check's account cannot enter.
            cwd='/',
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            env=environment,
            check=False,
        )
        output, code = done.stdout.decode(errors='replace'), done.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return {**result, 'outcome': 'fail', 'evidence': f'{command}: {error}', 'expected': 'a program that ends'}
    wrong: list[str] = []
    if code != check.get('exit', 0):
        wrong.append(f'exit code {check.get("exit", 0)}')
    wrong += [f'output that matches {one}' for one in check.get('matches', []) if not re.search(one, output)]
    wrong += [f'output without {one}' for one in check.get('lacks', []) if re.search(one, output)]
    seen = excerpt(output, check.get('matches', []) if not wrong else [])
    result |= {'outcome': 'fail' if wrong else 'pass', 'evidence': f'{command}: exit {code}, {seen}'}
    return {**result, 'expected': '; '.join(wrong)} if wrong else result


def excerpt(output: str, patterns: list[str]) -> str:
    """What of the output shows it: the matches, or its beginning."""
    found = [match[0].strip() for one in patterns if (match := re.search(one, output)) and match[0].strip()]
    text = '; '.join(found) if found else output.strip()
    text = text if len(text) <= 600 else text[:600] + ' …'
    return f'said: {text}' if text else 'said nothing'


def checks(ctx: Context) -> list[dict[str, Any]]:
    """The questions that can be asked now: some only while data is open."""
    every = json.loads(ctx.at('/usr/share/amslpr/checks.json').read_text())
    is_open = ctx.is_mounted('/data')
    return [check for check in every if is_open or check.get('when', 'always') != 'data-open']


def main(as_json: bool, ctx: Context | None = None) -> int:
    """0: all passed, 3: a check failed, 2: not root."""
    ctx = ctx or Context()
    if ctx.real and os.geteuid() != 0:
        print('audit needs root: sudo amslpr-device audit')
        return 2
    results = [answer(check) for check in checks(ctx)]
    failed = [one for one in results if one['outcome'] == 'fail']
    if as_json:
        print(json.dumps(results, indent=1))
        return 3 if failed else 0
    for one in results:
        print(f'{"ok  " if one["outcome"] == "pass" else "FAIL"} {one["id"]}: {one["title"]}')
        if one['outcome'] == 'fail':
            print(f'     seen: {one["evidence"]}\n     expected: {one["expected"]}')
    print(f'{len(results) - len(failed)} passed, {len(failed)} failed')
    return 3 if failed else 0
