# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compiles what Ansible's modules are packed with once for all runs of the tests.

A module is sent as a zip file of sources, which Python compiles anew each time: half of what it costs. The code is kept
in the folder MADE_ONCE of the environment; on a host that is reached through SSH, where the tests install this, too, in
/var/cache/made-once.

The package kubernetes imports each of its 800 models and APIs when it is imported, most of what a module costs that
asks an API server, and kubernetes.core uses none of them. Here each is imported when it is asked for.
"""

import importlib.machinery
import os
import sys
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


class WhenAskedFor(importlib.machinery.SourceFileLoader):
    """Loads a package of kubernetes whose lines `from ... import NAME` are obeyed when NAME is asked for."""

    PACKAGES = ("kubernetes.client", "kubernetes.client.api", "kubernetes.client.models")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in cls.PACKAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec:
            spec.loader = cls(name, spec.origin)
        return spec

    def exec_module(self, module):
        import importlib
        import re

        line = r"(?m)^from (kubernetes\.client\.(?:api|models)\.\w+) import (\w+)(?: as \2)?$"
        source = self.get_source(module.__name__)
        places = {name: place for place, name in re.findall(line, source)}

        def __getattr__(name):
            if name not in places:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return getattr(importlib.import_module(places[name]), name)

        module.__getattr__ = __getattr__
        exec(compile(re.sub(line, "", source), module.__file__, "exec"), module.__dict__)


sys.meta_path.insert(0, WhenAskedFor)
