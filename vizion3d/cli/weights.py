# SPDX-License-Identifier: Apache-2.0
"""`vizion3d weights`: see, fetch, find and check weights files.

Exit codes: 0 all is well, 1 something could not be had or is not what it should be, 2 the command line is wrong.
"""

import argparse
import sys
from collections.abc import Callable

from vizion3d.errors import WeightsError
from vizion3d.weights import RECORDS, cache_dir, cache_path, find, resolve, trust, verify
from vizion3d.weights.integrity import sha256_of
from vizion3d.weights.progress import megabytes
from vizion3d.weights.terms import groups


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; the parsed arguments then have `run`, a function from them to the exit code."""
    parser = subparsers.add_parser("weights", help="see, fetch, find and check weights files")
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    action = actions.add_parser("list", help="the known weights, their licences, and which are in the cache")
    action.set_defaults(run=_list)

    action = actions.add_parser("get", help="fetch weights into the cache")
    action.add_argument("names", nargs="+", metavar="NAME", help="a name from `list`, or an http(s) address")
    action.set_defaults(run=_get)

    action = actions.add_parser("path", help="where the file is, or belongs if it is not there (exit code 1)")
    action.add_argument("name", metavar="NAME", help="a name from `list`, or an http(s) address")
    action.set_defaults(run=_path)

    action = actions.add_parser("verify", help="hash cached files and compare with the digests on record")
    action.add_argument("names", nargs="*", metavar="NAME", help="default: all known weights that are in the cache")
    action.add_argument(
        "--online",
        action="store_true",
        help="fetch what is not in the cache, load it into its network, and print what the registry should say of it; without "
        "NAME of all known weights, which are gigabytes",
    )
    action.set_defaults(run=_verify)


def _list(arguments: argparse.Namespace) -> int:
    width = max(len(record.name) for record in RECORDS)
    print(f"{'name':{width}} {'size':>9} {'licence':12} {'commercial':10} cached")
    for record in RECORDS:
        size = megabytes(record.approx_bytes) + ("" if record.sha256 else "*")
        cached = "yes" if cache_path(record.name).is_file() else "no"
        print(f"{record.name:{width}} {size:>9} {record.licence:12} {record.commercial_use:10} {cached}")
    print("\n* unverified: no one of this project has fetched the file; `weights verify --online` does")
    print("\ncommercial use rests on:")
    for group in groups():
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        print(f"{group[0].commercial_use:8} {group[0].name}{others}: {group[0].basis}")
    print(f"\ncache: {cache_dir()}")
    return 0


def _get(arguments: argparse.Namespace) -> int:
    return _each(arguments.names, lambda name: print(resolve(name)))


def _path(arguments: argparse.Namespace) -> int:
    def show(name: str) -> None:
        file = cache_path(name)
        print(file)
        if not file.is_file():
            raise WeightsError(f"Not there yet; fetch it with: vizion3d weights get {name}")

    return _each([arguments.name], show)


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.online:
        return _each(arguments.names or [record.name for record in RECORDS], _verify_online)
    names = arguments.names or [record.name for record in RECORDS if cache_path(record.name).is_file()]
    return _each(names, lambda name: print(f"{name}: {_checked(name)}"))


def _verify_online(name: str) -> None:
    """Fetch a file that the registry knows, compare its digest with what others report, load it, print what it is."""
    from vizion3d.lifting import MonoDepthEstimator
    from vizion3d.stereo import StereoDepthEstimator

    record = find(name)
    digest = sha256_of(resolve(name, offline=False))
    if not digest.startswith(record.sha256_begins):
        raise WeightsError(f"{name}: its sha256 is {digest}, which others report to begin with {record.sha256_begins}")
    estimator = (MonoDepthEstimator if record.task == "mono" else StereoDepthEstimator)(name, "cpu")
    print(f"{name}: {_checked(name)}\n  loads as {estimator.describe()}\n  sha256={digest!r}")


def _checked(name: str) -> str:
    file = verify(name)
    return f"ok, {file} ({megabytes(file.stat().st_size)}), {trust(name)}"


def _each(names: list[str], act: Callable[[str], None]) -> int:
    """Go through all names even if one fails."""
    code = 0
    for name in names:
        try:
            act(name)
        except WeightsError as error:
            print(f"vizion3d: {error}", file=sys.stderr)
            code = 1
    return code
