import ast
import copy
import functools
import gc
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault('OMP_NUM_THREADS', '1')  # subprocesses of tests share the cores with them

import mmseg  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from fork_server import share  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import mmseg_kd  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]

# Properties: few and always the same examples in `make test`, many random ones in `make test-slow`.
COMMON = dict(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)
settings.register_profile('quick', max_examples=2, derandomize=True, database=None, **COMMON)
settings.register_profile('deep', max_examples=100, database=None, **COMMON)
settings.load_profile('quick')

PROCESS = re.compile(
    r'\b(subprocess|Popen|multiprocessing|mp|spawn)\.|\b(run_ranks|forked_python|forked_environment)\('
)


@pytest.fixture(scope='session', autouse=True)
def nothing_waits():
    """MMEngine formats a config five times a run, which takes longer than some steps, as waiting for the disk does.

    It also collects garbage for each data set, which searches all that was imported.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, 'fsync', lambda descriptor: None)
        patch.setattr('mmengine.dataset.base_dataset.gc', SimpleNamespace(collect=lambda: 0))
        # One stack imports it late, the other early.
        for module in ('yapf.yapflib.yapf_api', 'mmengine.config.config'):
            patch.setattr(f'{module}.FormatCode', lambda text, **_: (text, False), raising=False)
        patch.setattr(Config, '_file2dict', staticmethod(parsed_once(Config._file2dict)))
        # PyTorch keeps the stack of each `manual_seed` for the day on which such a device is used.
        for name in ('cuda', 'xpu', 'mtia'):
            devices = getattr(torch, name, None)  # torch 2.1 lacks the last two
            if hasattr(devices, 'manual_seed_all') and not devices.is_available():
                patch.setattr(devices, 'manual_seed_all', lambda seed: None)
        yield


def parsed_once(parse):
    """MMEngine writes each base of a config to three files; most tests read the same bases, which no test changes."""
    fixed = tuple(f'{folder}{os.sep}' for folder in (ROOT / 'configs', *mmseg_kd.__path__, *mmseg.__path__))
    known = {}

    @functools.wraps(parse)
    def remembered(filename, *options, **named):
        key = (os.path.abspath(filename), *options, *sorted(named.items()))
        if not key[0].startswith(fixed):
            return parse(filename, *options, **named)
        if key not in known:
            known[key] = parse(filename, *options, **named)
            if known[key][2]:  # variables of the environment, which tests change
                return known.pop(key)
        return copy.deepcopy(known[key])

    return remembered


@pytest.fixture(scope='module', autouse=True)
def networks_can_be_built():
    """Fixtures of a module are made before :func:`deterministic`."""
    init_default_scope('mmseg')


@pytest.fixture(autouse=True)
def deterministic():
    torch.manual_seed(0)
    init_default_scope('mmseg')


# Functions that `make test-fast` leaves out because of their time, as `--write-long-tests` found them.
LONG_TESTS = Path(__file__).parent / 'long_tests.txt'
LONGEST, LONGEST_IN_ALL = 0.2, 0.6  # seconds of a test, and of all cases of a function
KEPT = {'tests/test_config_tree.py::test_takes_one_step'}  # one config per folder


def pytest_configure(config):
    share()  # by all workers


def pytest_addoption(parser):
    parser.addoption(
        '--write-long-tests', action='store_true', help=f'write the times of this run to {LONG_TESTS.name}'
    )


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption('--write-long-tests'):
        return
    seconds: dict[str, float] = Counter()
    for report in (each for reports in terminalreporter.stats.values() for each in reports):
        if hasattr(report, 'duration'):
            seconds[report.nodeid] += report.duration
    functions = defaultdict(list)
    for test, taken in seconds.items():
        functions[test.partition('[')[0]].append(taken)
    long = sorted(name for name, all in functions.items() if max(all) >= LONGEST or sum(all) >= LONGEST_IN_ALL)
    LONG_TESTS.write_text(''.join(f'{name}\n' for name in long if name not in KEPT))


def pytest_collection_modifyitems(items):
    """Mark what starts processes, so that nobody can forget to, and what takes long."""
    long = set(LONG_TESTS.read_text().splitlines())
    for item in items:
        if item.nodeid.partition('[')[0] in long:
            item.add_marker(pytest.mark.long)
        starting = functions_that_start_processes(item.path)
        if item.originalname in starting or starting & set(item.fixturenames):
            item.add_marker(pytest.mark.process)


def pytest_collection_finish():
    """What was imported is no garbage; to search it takes 0.3 s each time."""
    gc.collect()
    gc.freeze()


@functools.cache
def functions_that_start_processes(path: Path) -> frozenset[str]:
    """Names of the functions of a test module that start processes, themselves or by another one of them."""
    text = path.read_text()
    if not PROCESS.search(text):
        return frozenset()
    lines = text.splitlines()
    bodies = {
        node.name: '\n'.join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }
    found = {name for name, body in bodies.items() if PROCESS.search(body)}
    while True:
        named = re.compile(rf'\b({"|".join(found)})\b') if found else None
        more = {name for name, body in bodies.items() if named and name not in found and named.search(body)}
        if not more:
            return frozenset(found)
        found |= more
