# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the collection's own, and all that may stand in their place."""

from __future__ import annotations

import os
import subprocess
import sys

import damage
import pytest
from paths import COLLECTIONS

from ansible_collections.gpufleet.mig.plugins.module_utils.errors import MigError
from ansible_collections.gpufleet.mig.plugins.module_utils.host import files as host_files

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def test_a_file_is_read_and_none_is_no_error(tmp_path):
    path = tmp_path / "file"
    assert host_files.read(str(path)) is None
    assert host_files.read_json(str(path)) is None
    path.write_text('{"version": 1, "é": [1.5, "x", null, true]}', encoding="utf-8")
    assert host_files.read_json(str(path)) == {"version": 1, "é": [1.5, "x", None, True]}
    assert host_files.read(str(path), most_bytes=path.stat().st_size) == path.read_bytes()


@pytest.mark.parametrize("kind", [*damage.NO_FILES, *damage.NO_JSON])
def test_what_is_no_object_in_a_regular_file_is_one_sentence(tmp_path, kind):
    path = tmp_path / "file"
    damage.put(path, kind)
    with pytest.raises(MigError) as raised:
        host_files.read_json(str(path), most_bytes=1 << 20, what_to_do="Remove it.")
    message = str(raised.value)
    assert message.startswith(f"{path} ")
    assert message.endswith(". Remove it.")
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(path)) + 150
    assert "root:" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": ' + "9" * 100000 + "}", "too many digits"),
        ('{"a": 1e999}', "too large"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"\\ud800": 1}', "half a character"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 deep"),
        ("\ufeff{}", "BOM"),
    ],
)
def test_what_would_break_later_is_refused_here(text, said):
    with pytest.raises(ValueError, match=said):
        host_files.parsed(text.encode())


def test_a_record_of_the_collection_is_not_too_deep():
    data = {"before": [{"instances": [{"compute_instances": [{"profile": "1c.2g.10gb", "placement": {"start": 0}}]}]}]}
    assert host_files.parsed(str(data).replace("'", '"').encode()) == data


@as_root
def test_root_takes_nothing_that_is_somebody_elses(tmp_path):
    path = tmp_path / "state" / "file"
    path.parent.mkdir()
    path.write_text("{}", encoding="utf-8")
    os.chown(path, 4711, 4711)
    with pytest.raises(MigError, match=rf"{path} belongs to user 4711, not to root"):
        host_files.read(str(path))
    os.chown(path, 0, 0)
    path.parent.chmod(0o777)
    with pytest.raises(MigError, match=rf"Everybody may write to {path.parent}"):
        host_files.read(str(path))
    path.parent.chmod(0o1777)  # as /tmp
    assert host_files.read(str(path)) == b"{}"
    os.chown(path.parent, 4711, 4711)
    with pytest.raises(MigError, match=rf"{path.parent} belongs to user 4711, not to root"):
        host_files.read(str(path))


@as_root
def test_the_directory_may_be_roots_link_and_nobody_elses(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("{}", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to("there")
    assert host_files.read(str(link / "file")) == b"{}"
    os.chown(link, 4711, 4711, follow_symlinks=False)
    with pytest.raises(MigError, match=rf"{link} belongs to user 4711, not to root"):
        host_files.read(str(link / "file"))


READ = """
import sys
from ansible_collections.gpufleet.mig.plugins.module_utils import errors
from ansible_collections.gpufleet.mig.plugins.module_utils.host import files as host_files
try:
    print(host_files.read_json(sys.argv[1]))
except errors.MigError as error:
    print(error)
"""


@as_root
def test_a_user_reads_what_is_roots_and_is_told_what_may_not_be_read(tmp_path):
    path = tmp_path / "file"
    path.write_text("{}", encoding="utf-8")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)

    def read_as_user():
        command = ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", sys.executable, "-c", READ, path]
        environment = {"PYTHONPATH": str(COLLECTIONS), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert read_as_user() == "{}\n"
    path.chmod(0o600)
    assert read_as_user() == f"{path} cannot be read: Permission denied. {host_files.REMOVE}\n"


def test_what_stands_in_a_files_place_differs_and_is_replaced(tmp_path):
    path = tmp_path / "file"
    (tmp_path / "theirs").write_text("theirs", encoding="utf-8")
    for kind in ("fifo", "link", "long line"):
        damage.put(path, kind, target=tmp_path / "theirs")
        assert host_files.differs(str(path), b"ours")
        assert host_files.differs(str(path), None)
        host_files.write(str(path), b"ours", os.rename)
        assert not host_files.differs(str(path), b"ours")
    assert (tmp_path / "theirs").read_text(encoding="utf-8") == "theirs"
