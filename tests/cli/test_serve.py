"""`leuko serve` as a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx2
from tests.cli.conftest import leuko

FLEET = "application: shop\nrepository: {}\nfleet:\n  roles: {{www: [www1, www2, www3, www4]}}\n"


def test_detached_it_goes_by_the_names_it_was_given_and_stops(tmp_path: Path) -> None:
    repository = tmp_path / "shop.git"
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    (tmp_path / "leuko.yml").write_text(FLEET.format(repository))
    started = leuko(
        tmp_path, "serve", "--detach", "--listen", "127.0.0.1:0", "--name", "leuko.example", "--json"
    )
    try:
        assert started.code == 0, started.out
        health = f"{started.json['address']}/health"
        assert httpx2.get(health, headers={"Host": "leuko.example"}).status_code == 200
        refused = httpx2.get(health, headers={"Host": "evil.example"})
        assert refused.status_code == 421
        assert "leuko serve --name" in refused.json()["error"]["way_out"]
        twice = leuko(tmp_path, "serve", "--detach", "--listen", "127.0.0.1:0")
        assert (twice.code, "serves here already" in twice.err) == (1, True)
        assert httpx2.get(health).status_code == 200
        assert leuko(tmp_path, "hosts").err == ""
    finally:
        stopped = leuko(tmp_path, "serve", "--stop")
    assert (stopped.code, "no controller runs here now" in stopped.out + stopped.err) == (0, True)
