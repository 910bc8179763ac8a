"""The first Python that runs in a carried interpreter: find the packages, then be the program that was called.

Without `site` (it costs a tenth of a start, and what it looks for is somebody else's). `sys.executable` becomes the
plain interpreter beside us: with it Kage starts its shims. python.c says by -X options what only it can know:
`kage_called` (argv[0] of the process) and `kage_file` (the one file, when it was that).
"""

import sys

_bin, _, _name = sys.executable.rpartition("/")
sys.executable = sys._base_executable = _bin + "/python3"
sys.path.append(f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
sys.argv[0] = str(sys._xoptions["kage_called"])
if _name == "kaged":
    from kaged.cli import main
else:
    from kagectl.main import main
sys.exit(main())
