# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compiles what a module is packed with once for all runs of the tests, into the folder that MADE_ONCE names.

Ansible sends a module as a zip file of sources, which Python compiles anew each time: half of what a module costs.
"""

import hashlib
import importlib.util
import marshal
import os
import zipimport

compiled = zipimport._compile_source


def compiled_once(pathname, source):
    name = hashlib.sha256(importlib.util.MAGIC_NUMBER + pathname.rpartition(".zip/")[2].encode() + source).hexdigest()
    path = os.path.join(os.environ["MADE_ONCE"], name)
    try:
        with open(path, "rb") as file:
            return marshal.load(file)
    except FileNotFoundError:
        pass
    code = compiled(pathname, source)
    written = f"{path}.{os.getpid()}"
    with open(written, "wb") as file:
        marshal.dump(code, file)
    os.replace(written, path)
    return code


zipimport._compile_source = compiled_once
