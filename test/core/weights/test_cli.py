# SPDX-License-Identifier: Apache-2.0
"""`vizion3d weights`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from weights_server import BODY, OTHER, Reply, Server, sha256, stand_in

import vizion3d.cli.weights as cli
from vizion3d.weights import cache_path, integrity, registry, resolve


def run_cli(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["weights", *words])
    code: int = arguments.run(arguments)
    return code


def test_cli_list_fits_a_terminal_and_shows_what_is_cached(capsys: pytest.CaptureFixture[str]) -> None:
    cache_path("s2m2-s").parent.mkdir(parents=True)
    cache_path("s2m2-s").write_bytes(BODY)
    assert run_cli("list") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[1:21]}
    assert list(rows) == [record.name for record in registry.RECORDS]
    assert max(map(len, rows.values())) <= 80
    assert re.fullmatch(r"s2m2-s +106.0 MB\* +CC-BY-NC-4.0 +no +yes", rows["s2m2-s"])
    assert re.fullmatch(r"depth-anything-v2-small +99.1 MB\* +Apache-2.0 +yes +no", rows["depth-anything-v2-small"])
    assert any(re.match(r"unclear +las2-s and 2 more: the authors' page tags the weights MIT", line) for line in lines)


def test_cli_get_goes_on_after_a_failure(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.serve(Reply())
    assert run_cli("get", "s2m3", url) == 1
    out, err = capsys.readouterr()
    assert out == f"{cache_path(url)}\n"
    assert "no weights are named 's2m3'" in err
    assert run_cli("get", url) == 0


def test_cli_path_tells_the_place_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    place = cache_path("s2m2-s")
    assert run_cli("path", "s2m2-s") == 1
    out, err = capsys.readouterr()
    assert out == f"{place}\n" and "vizion3d weights get s2m2-s" in err
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    assert run_cli("path", "s2m2-s") == 0


def test_cli_verify(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "s2m2-s", url=server.serve(Reply()))
    monkeypatch.setattr(cli, "RECORDS", registry.RECORDS)
    assert run_cli("verify") == 0, "nothing cached, nothing wrong"
    assert run_cli("verify", "s2m2-s") == 1
    assert "is not in the cache" in capsys.readouterr().err
    file = resolve("s2m2-s")
    assert run_cli("verify") == 0
    assert capsys.readouterr().out == f"s2m2-s: ok, {file} (0.3 MB), sha256 not on record before its first use\n"
    integrity.record(file)
    assert run_cli("verify") == 0
    assert capsys.readouterr().out == f"s2m2-s: ok, {file} (0.3 MB), sha256 as on first use\n"
    file.write_bytes(OTHER)
    assert run_cli("verify") == 1


def test_cli_verify_online_fetches_compares_and_loads(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, las2_file: Path
) -> None:
    body = las2_file.read_bytes()
    url = server.serve(Reply(body))
    stand_in(monkeypatch, "las2-s", url=url, sha256_begins=sha256(body)[:12])
    assert run_cli("verify", "--online", "las2-s") == 0
    out = capsys.readouterr().out
    assert f"las2-s: ok, {cache_path('las2-s')} (24.4 MB), sha256 as on first use\n" in out
    assert f"sha256='{sha256(body)}'" in out
    stand_in(monkeypatch, "las2-s", sha256_begins="0" * 12)
    assert run_cli("verify", "--online", "las2-s") == 1
    assert "which others report to begin with 000000000000" in capsys.readouterr().err
    assert server.answered == [200], "what is there is not fetched again"


def test_cli_verify_online_refuses_a_file_that_is_no_such_network(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "las2-m", url=server.serve(Reply()), sha256_begins="")
    assert run_cli("verify", "--online", "las2-m") == 1
    assert "is not LAS2" in capsys.readouterr().err
    assert integrity.read_seal(cache_path("las2-m")) is None


def test_cli_without_an_action_is_a_wrong_command_line() -> None:
    with pytest.raises(SystemExit, match="2"):
        run_cli()
