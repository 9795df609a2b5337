"""Write the generated pages that are under version control; the site build generates all others."""

import argparse
import sys
from pathlib import Path

from mmengine.registry import init_default_scope

from mmseg_kd_startup import run_tool

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'docs'))
from method_pages import docs_pages  # noqa: E402

from mmseg_kd.io.errors import ConfigError  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='write nothing; fail if a page is out of date')
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    init_default_scope('mmseg')
    for name, text in docs_pages(ROOT).items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding='utf-8') == text:
            continue
        if args.check:
            raise ConfigError(f'{name} is out of date; run: python tools/make_docs.py')
        path.write_text(text, encoding='utf-8')
        print(f'written: {name}')


if __name__ == '__main__':
    run_tool(main)
