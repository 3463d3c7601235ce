"""Orders as data."""

from __future__ import annotations

import subprocess

import pytest

from leuko.domain.errors import LeukoError
from leuko.domain.order import Fence, Order, OrderKind
from leuko.hosts import orders
from leuko.hosts.orders import Program, Reach, argv, encode, header, masked, masks, sudoers_lines

REACH = Reach("shop", "production", "web1", "www", "/srv/")


def test_what_is_started():
    program = Program(b"12345")
    assert argv("o.1", 12.2, program) == (
        "timeout",
        "-k",
        "10",
        "13",
        "sh",
        "-c",
        'eval "$(head -c "$1" | gzip -dc)"',
        "leuko",
        "5",
        "o.1",
    )
    assert argv("o.1", 12.2, program, bounded=False)[0] == "sh"


def test_an_order_on_the_wire():
    order = Order(
        "o.1",
        OrderKind.SWITCH,
        Fence("home", 3, 14),
        "app",
        target="t-1",
        base="b-1",
        hooks={"reload": "one\ntwo"},
        variables={"PORT": "80"},
        secrets={"KEY": "a'b"},
        linked_dirs=("log", "public/uploads"),
        linked_files=("config/x",),
        keep=("k-1", "k-2"),
        deadline=0.5,
    )
    text = header(order, REACH, token="tok", more={"ask": "x"}).decode()
    for part in (
        "token 1\ntok\n",
        "kind 1\nswitch\n",
        "root 1\n/srv/shop/app\n",
        "epoch 1\n3\n",
        "sequence 1\n14\n",
        "hook_reload 2\none\ntwo\n",
        "hook_drain 0\n",
        "v_PORT 1\n80\n",
        "secrets 1\nKEY='a'\"'\"'b'\n",
        "linked 3\nd log//../../shared/log\nd public/uploads//../../../shared/public/uploads\nf config/x//../../../shared/config/x\n",
        "keep 1\nk-1 k-2\n",
        "deadline 1\n1\n",
        "ask 1\nx\n",
    ):
        assert part in text, part
    assert text.endswith("\nend\n")


def test_a_value_that_ends_in_newlines_keeps_them():
    assert encode({"a": "x\n\n"}) == b"a 3\nx\n\n\nend\n"


def test_every_moment_of_the_configuration_is_carried():
    from leuko.config.model import Hooks

    assert set(orders.MOMENTS) == set(Hooks.model_fields) - {"timeout"}


def test_masking():
    secrets = {"A": "s3cret", "B": "s3cret-longer", "C": " "}
    assert masked("x s3cret-longer s3cret y", secrets) == "x *** *** y"
    assert masks({"A": "a/b.c*[d]\\$^\nx"}) == "s/a\\/b\\.c\\*\\[d\\]\\\\\\$\\^/***/g\ns/x/***/g"


def test_sudoers():
    hooks = {
        "reload": "sudo -n /bin/systemctl restart shop.service",
        "drain": "echo x && sudo /usr/bin/lb --drain=1, | cat",
        "undrain": 'sudo /usr/bin/lb "$PORT"; sudo lb up',
        "stop": "sudo /bin/systemctl restart shop.service",
        "health": "curl localhost",
    }
    assert sudoers_lines("deploy", hooks) == (
        "deploy ALL=(root) NOPASSWD: /bin/systemctl restart shop.service",
        "deploy ALL=(root) NOPASSWD: /usr/bin/lb --drain\\=1\\,",
        '# undrain: grant by hand, with its full path and fixed arguments: /usr/bin/lb "$PORT"',
        "# undrain: grant by hand, with its full path and fixed arguments: lb up",
    )


@pytest.mark.parametrize("name", ["A B", "1A", "A=B", ""])
def test_a_variable_that_no_shell_could_hold(name):
    order = Order("o", OrderKind.SWITCH, Fence("h", 1, 1), "app", variables={name: "x"})
    with pytest.raises(LeukoError):
        header(order, REACH, token="t")


def test_the_digest_of_what_was_adopted_leaves_times_out(tmp_path):
    """Hosts that others deployed to have the same files with other times: still one release."""
    from leuko.hosts.orders import program_text

    body = program_text()
    function = body[body.index("timeless_digest()") :].split("\n}\n", 1)[0] + "\n}\n"
    digests = []
    for index, (when, size) in enumerate([(1700000000, 5), (1800000000, 5), (1700000000, 6)]):
        manifest = tmp_path / str(index)
        manifest.write_bytes(b"d 755 bin\0" + b"f 644 %d %d %s bin/app 1 2\0" % (size, when, b"ab" * 32))
        done = subprocess.run(
            ["sh", "-c", function + 'timeless_digest "$1"', "sh", str(manifest)],
            capture_output=True,
            check=True,
        )
        digests.append(done.stdout)
    assert digests[0] == digests[1] != digests[2]
