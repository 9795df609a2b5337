"""Change single operations of the package, and see whether the tests notice.

Each mutant is run in a fork of a process that has imported everything else, with the file's own tests, short ones
first, and then, if these pass, with those of all files of its folder. Survivors are printed.
``mutation_equivalents.txt`` lists mutants that behave like the original, with a reason.

The results are kept in ``mutation_results.json`` after every mutant: an interrupted run goes on where it stopped, a
changed file begins anew, and earlier survivors are tried again, since tests may have become better.

    make mutation FILES='losses/cwd_loss.py masks/*.py' LIMIT=10
"""

import argparse
import ast
import contextlib
import copy
import functools
import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmseg_kd'
EQUIVALENTS = Path(__file__).with_name('mutation_equivalents.txt')
RESULTS = Path(__file__).with_name('mutation_results.json')
SHORT, LONG = (['-m', f'not slow and not process and {which}'] for which in ('not long', 'long'))
COMMON = dict(
    losses=[f'tests/losses/test_{name}.py' for name in ('defaults', 'contract', 'loss_properties')],
    distillers=['tests/distillers/test_distiller_defaults.py'],
)
TIMEOUT = 120  # seconds of the processor; a mutant that takes longer is noticed as well
PAIRS = [
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.BitAnd, ast.BitOr),
    (ast.And, ast.Or),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
]
SWAPS = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])} | {ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult}


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Copies of a node with one operation changed."""
    if isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in SWAPS:
        new = copy.copy(node)
        new.op = SWAPS[type(node.op)]()
        yield new
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = copy.copy(node)
        new.ops = [SWAPS[type(node.ops[0])](), *node.ops[1:]]
        yield new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.Invert)):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)


def mutants(source: str) -> list[tuple[int, str, str]]:
    """Line, description and source of every mutant. Messages and annotations stay as they are."""
    tree, found = ast.parse(source), []

    def visit(node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if name in ('annotation', 'returns', 'decorator_list') or isinstance(node, (ast.Raise, ast.JoinedStr)):
                continue
            for i, child in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(child, ast.AST):
                    continue
                for new in variants(child):
                    # A number is shown within its expression.
                    shown = isinstance(child, ast.Constant) and isinstance(node, ast.expr)
                    what = f'{ast.unparse(node if shown else child)} -> '
                    put(node, name, i, value, new)
                    what += ast.unparse(ast.fix_missing_locations(node if shown else new))
                    found.append((getattr(child, 'lineno', 0), what, ast.unparse(ast.fix_missing_locations(tree))))
                    put(node, name, i, value, child)
                visit(child)

    def put(node: ast.AST, name: str, i: int, value: object, new: ast.AST) -> None:
        if isinstance(value, list):
            value[i] = new
        else:
            setattr(node, name, new)

    visit(tree)
    return found


@functools.cache
def compiled() -> dict[str, CodeType]:
    """The code of the package, by file; each fork would compile it again."""
    return {str(file): compile(file.read_text(), str(file), 'exec') for file in PACKAGE.rglob('*.py')}


def run(file: Path, source: str, tests: list[str]) -> bool:
    """Whether the tests pass with another source of a file, in a fork of this process."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    signal.setitimer(signal.ITIMER_PROF, TIMEOUT)
    signal.alarm(10 * TIMEOUT)  # for one that waits
    loader, read = SourceFileLoader, SourceFileLoader.get_code
    known = {**compiled(), str(file): compile(source, str(file), 'exec')}
    loader.get_code = lambda self, name: known[self.path] if self.path in known else read(self, name)
    with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        status = 1
        with contextlib.suppress(BaseException):
            import pytest

            options = ['-x', '-q', '-p', 'no:cacheprovider', '--assert=plain']
            status = pytest.main([*options, *tests])
    os._exit(0 if status in (0, 5) else 1)  # 5: none of these tests is about the file


def own_tests(file: Path, source: str) -> list[list[str]]:
    """The file's own tests, short and long ones, and those of all files of its folder for the classes in it."""
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    own = ROOT / 'tests' / file.parent.name / f'test_{file.stem}.py'
    parts = [[*SHORT, str(own)], [*LONG, str(own)]] if own.exists() else []
    if names:
        common = COMMON.get(file.parent.name, [])
        parts += [['-m', 'not slow and not process', *common, '-k', ' or '.join(names)]] if common else []
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', help='patterns of files below mmseg_kd, such as losses/*.py')
    parser.add_argument('--limit', type=int, default=10**6, help='mutants of a file, in an order by chance')
    parser.add_argument('--least', type=float, default=0, help='percentage of mutants that must be noticed')
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]
    import fork_server
    import hypothesis  # noqa: F401
    import mmseg.models  # noqa: F401
    import pytest  # noqa: F401

    fork_server.share()  # a folder for all forks, which is removed at the end
    compiled()
    known = [line.split(' | ') for line in EQUIVALENTS.read_text().splitlines() if ' | ' in line]
    equivalents = {(file, what) for file, what, _ in known}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    noticed, total, broken = 0, 0, []
    for file in sorted({path for pattern in arguments.files for path in PACKAGE.glob(pattern)}):
        source, name = file.read_text(), file.relative_to(PACKAGE).as_posix()
        tests = own_tests(file, source)
        if not tests:
            print(f'{name}: no tests of its own')
            continue
        each = sorted(mutants(source), key=lambda mutant: hashlib.sha1(repr(mutant[:2]).encode()).hexdigest())
        digest = hashlib.sha1(source.encode()).hexdigest()
        result = results.get(name, {})
        if result.get('source') != digest:
            result = dict(source=digest, tried=0, survivors={})
        again = set(result['survivors'])
        if (result['tried'] < min(arguments.limit, len(each)) or again) and not all(
            run(file, source, part) for part in tests
        ):
            broken.append(name)
            continue
        for index, (line, what, new) in enumerate(each):
            if str(index) not in again and not result['tried'] <= index < arguments.limit:
                continue
            survives = (name, what) not in equivalents and all(run(file, new, part) for part in tests)
            result['survivors'].pop(str(index), None)
            if survives:
                result['survivors'][str(index)] = [line, what]
            result['tried'], result['of'] = max(result['tried'], index + 1), len(each)
            results[name] = result
            keep(results)
        if not result['tried']:
            continue
        tried = sum((name, what) not in equivalents for _, what, _ in each[: result['tried']])
        killed = tried - len(result['survivors'])
        noticed, total = noticed + killed, total + tried
        print(f'{name}: {killed} of {tried} noticed', flush=True)
        for line, what in sorted(result['survivors'].values()):
            print(f'    line {line}: {what}', flush=True)
    print(f'{noticed} of {total} mutants noticed ({noticed / max(total, 1):.0%})')
    if 100 * noticed < arguments.least * total:
        sys.exit(f'at least {arguments.least:g} % must be noticed')
    if broken:
        sys.exit(f'not tried, since their own tests fail as they are: {", ".join(broken)}')


def keep(results: dict) -> None:
    """Write the results, whole or not at all."""
    new = RESULTS.with_suffix('.new')
    new.write_text(json.dumps(results, indent=1, sort_keys=True) + '\n')
    new.replace(RESULTS)


if __name__ == '__main__':
    main()
