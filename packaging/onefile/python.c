/* The programs in an unpacked folder: bin/kaged, bin/kagectl and bin/python3 are this one, under three names.
 *
 *     bin/kaged ARGS     python -I -S -B -X utf8 <folder>/entry.pyc ARGS
 *     bin/python3 ARGS   python -E ARGS          what Kage starts its shims and itself with (sys.executable)
 *
 * As a program of its own, and not `python3 entry.pyc`, so that people find `kaged` in ps, top and systemctl status
 * with the arguments that they gave. Variables that are meant for another Python (PYTHONHOME, PYTHONPATH) are ignored,
 * not removed: agents get them. Whoever runs from a folder holds a shared lock on it for life: only a folder that
 * nobody holds is ever removed (stub.c, kaged/executors/carried.py).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define KAGE_TOLD "_KAGE_FILE" /* build.py says the same to stub.c */

int Py_BytesMain(int argc, char **argv);

int main(int argc, char **argv)
{
    static char exe[PATH_MAX], folder[PATH_MAX], entry[PATH_MAX + 16], file[PATH_MAX + 16], called[PATH_MAX + 16];
    ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (size <= 0) {
        fputs("kage: /proc is not mounted, and nothing here works without it\n", stderr);
        return 74;
    }
    char *name = strrchr(strcpy(folder, exe), '/');
    *name++ = 0;
    *strrchr(folder, '/') = 0; /* .../bin */
    int held = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (held >= 0)
        (void)flock(held, LOCK_SH | LOCK_NB);
    snprintf(entry, sizeof entry, "%s/entry.pyc", folder);
    const char *told = getenv(KAGE_TOLD); /* the one file that we were unpacked from, as stub.c says */
    snprintf(file, sizeof file, "kage_file=%s", told ? told : "");
    snprintf(called, sizeof called, "kage_called=%s", argc ? argv[0] : name);
    unsetenv(KAGE_TOLD);

    char **words = calloc((size_t)argc + 16, sizeof *words);
    int count = 0, given = 1;
    if (!words)
        return 74;
    words[count++] = exe; /* Python looks for its library from here, not from what the caller wrote */
    if (strcmp(name, "python3")) {
        char *fixed[] = {"-I", "-S", "-B", "-X", "utf8", "-X", file, "-X", called, entry};
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
            words[count++] = fixed[i];
        const char *base = argc ? strrchr(argv[0], '/') : NULL;
        base = base ? base + 1 : argc ? argv[0] : name;
        if (argc > 1 && strcmp(base, name) && !strcmp(argv[1], name))
            given = 2; /* kage kaged ARGS */
    } else {
        words[count++] = "-E";
    }
    for (int i = given; i < argc; i++)
        words[count++] = argv[i];
    return Py_BytesMain(count, words);
}
