"""`amslpr-device audit [--json] [STAGE ...]`: answers the image's own questions about the running device, as root.

Questions are in /usr/share/amslpr/checks.json: {id, title, guide, run, matches, lacks, exit, when}. Answers are what
was seen, so that a reader can verify them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import groupby
from typing import Any

from amslpr_device.context import Context

SECONDS = 120
# At a time, so that the application is served meanwhile on a board with four processors.
STAGES = 2


Said = tuple[str, int] | Exception
"""What a program said and its exit code, or why it has none."""


def ask(argv: list[str]) -> Said:
    """Runs one program."""
    environment = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'}
    try:
        done = subprocess.run(
            argv,
            # Where it was started from may be a home that a check's account cannot enter.
            cwd='/',
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return error
    return done.stdout.decode(errors='replace'), done.returncode


def answer(check: dict[str, Any], said: Said) -> dict[str, Any]:
    """The result of one check, from what its program said."""
    result: dict[str, Any] = {'id': check['id'], 'title': check['title'], 'guide': check.get('guide', [])}
    command = ' '.join(check['run'])
    if isinstance(said, Exception):
        return {**result, 'outcome': 'fail', 'evidence': f'{command}: {said}', 'expected': 'a program that ends'}
    output, code = said
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


def stage(check: dict[str, Any]) -> str:
    """What a check belongs to."""
    return check['id'].partition('/')[0]


def checks(ctx: Context) -> list[dict[str, Any]]:
    """The questions that can be asked now: some only while data is open."""
    every = json.loads(ctx.at('/usr/share/amslpr/checks.json').read_text())
    is_open = ctx.is_mounted('/data')
    return [check for check in every if is_open or check.get('when', 'always') != 'data-open']


def answers(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results in the order of the questions.

    Those of one stage are asked one after the other, since one may start what the next looks at; a program that several
    of them ask the same is run once.
    """

    def of_stage(group: list[dict[str, Any]]) -> list[dict[str, Any]]:
        once = cache(lambda argv: ask(list(argv)))
        return [answer(check, once(tuple(check['run']))) for check in group]

    with ThreadPoolExecutor(STAGES) as pool:
        groups = [list(group) for _, group in groupby(questions, stage)]
        return [result for results in pool.map(of_stage, groups) for result in results]


def main(arguments: list[str], ctx: Context | None = None) -> int:
    """0: all passed, 3: a check failed, 2: not root, or a stage without a check."""
    ctx = ctx or Context()
    if ctx.real and os.geteuid() != 0:
        print('audit needs root: sudo amslpr-device audit', file=sys.stderr)
        return 2
    wanted = {one for one in arguments if one != '--json'}
    questions = checks(ctx)
    if unknown := sorted(wanted - {stage(check) for check in questions}):
        known = ' '.join(sorted({stage(check) for check in questions}))
        print(f'No checks can be asked now of: {", ".join(unknown)}. Known: {known}', file=sys.stderr)
        return 2
    results = answers([check for check in questions if not wanted or stage(check) in wanted])
    failed = [one for one in results if one['outcome'] == 'fail']
    if '--json' in arguments:
        print(json.dumps(results, indent=1))
        return 3 if failed else 0
    for one in results:
        print(f'{"ok  " if one["outcome"] == "pass" else "FAIL"} {one["id"]}: {one["title"]}')
        if one['outcome'] == 'fail':
            print(f'     seen: {one["evidence"]}\n     expected: {one["expected"]}')
    print(f'{len(results) - len(failed)} passed, {len(failed)} failed')
    return 3 if failed else 0
