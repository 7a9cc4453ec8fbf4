"""A MariaDB server that a test starts itself, from Debian's package mariadb-server-core."""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import urllib.parse

import pytest

from tests import processes

PASSWORD = "s/cr@t: 1"

_PROGRAM = shutil.which("mariadbd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

needed = pytest.mark.skipif(_PROGRAM is None, reason="mariadbd is not installed (Debian: mariadb-server-core)")


@contextlib.contextmanager
def server(folder):
    """Starts a server with an empty database, and yields the URI of the database for `--metadata`."""
    program = pathlib.Path(_PROGRAM).resolve()
    share = program.parents[1] / "share" / "mysql"
    command = [
        program,
        "--no-defaults",
        f"--basedir={program.parents[1]}",
        f"--datadir={folder / 'data'}",
        f"--user={getpass.getuser()}",
        "--innodb-log-file-size=8M",
        "--innodb-flush-log-at-trx-commit=2",
    ]
    (folder / "data").mkdir()
    tables = "".join((share / name).read_text() for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql"))
    start = f"create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n{tables}"
    subprocess.run([*command, "--bootstrap"], input=start, text=True, check=True, capture_output=True)
    (folder / "init.sql").write_text(
        "create database diptych;\n"
        f"create user 'me'@'127.0.0.1' identified by '{PASSWORD}';\n"
        "grant all on diptych.* to 'me'@'127.0.0.1';\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve"]
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, *options, f"--init-file={folder / 'init.sql'}"], stdout=output, stderr=output
        )
        try:
            processes.wait_until(lambda: "ready for connections" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield f"mysql://me:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{port}/diptych"
        finally:
            process.terminate()
            process.wait(60)
