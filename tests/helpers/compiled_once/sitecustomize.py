# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compiles what Ansible's modules are packed with once for all runs of the tests.

A module is sent as a zip file of sources, which Python compiles anew each time: half of what it costs. The code is kept
in the folder MADE_ONCE of the environment; on a host that is reached through SSH, where the tests install this, too, in
/var/cache/made-once.
"""

import os
import zipimport

compiled = zipimport._compile_source


def compiled_once(pathname, source):
    import hashlib
    import importlib.util
    import marshal

    name = hashlib.sha256(importlib.util.MAGIC_NUMBER + pathname.rpartition(".zip/")[2].encode() + source).hexdigest()
    path = os.path.join(os.environ.get("MADE_ONCE", "/var/cache/made-once"), name)
    try:
        with open(path, "rb") as file:
            return marshal.load(file)
    except OSError:
        pass  # nobody has yet
    code = compiled(pathname, source)
    try:
        with open(f"{path}.{os.getpid()}", "wb") as file:
            marshal.dump(code, file)
        os.replace(f"{path}.{os.getpid()}", path)
    except OSError:
        pass  # of another user, or a full disk
    return code


zipimport._compile_source = compiled_once
