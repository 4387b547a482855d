# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit that runs the restore program at boot."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.mig.plugins.module_utils.persistence.unit import unit_text

PROGRAM = "/usr/local/lib/gpufleet-mig/restore.pyz"


@pytest.mark.parametrize(
    ("state_dir", "command", "mounts"),
    [
        # The mounts as systemd-escape --path --suffix=mount names them.
        ("/var/lib/gpufleet-mig", "/var/lib/gpufleet-mig", r"var.mount var-lib.mount var-lib-gpufleet\x2dmig.mount"),
        ("/srv/a b", '"/srv/a b"', r"srv.mount srv-a\x20b.mount"),
        ("/srv/100%", '"/srv/100%%"', r"srv.mount srv-100\x25.mount"),
        ('/srv/"$x"', '"/srv/\\"$$x\\""', r"srv.mount srv-\x22\x24x\x22.mount"),
        ("/.x/é", "/.x/é", r"\x2ex.mount \x2ex-\xc3\xa9.mount"),
    ],
)
def test_any_path_is_written_as_systemd_reads_it(state_dir, command, mounts):
    unit = unit_text(PROGRAM, "/usr/bin/python3", state_dir, 90.5)
    assert f" --state-dir {command} --driver-timeout 90.5\n" in unit
    assert f"\nAfter={mounts}\n" in unit
    assert f"\nRequiresMountsFor={PROGRAM} /etc/gpufleet-mig/layout.json\n" in unit
    assert "\nTimeoutStartSec=690.5\n" in unit
