/* kage: one file that is `kaged` and `kagectl` and carries all that they need.
 *
 *     called as kaged/kagectl, or with that word first
 *       -> is this version unpacked?  no: lock, unpack beside it, sync, rename
 *       -> execve(<folder>/bin/kaged, the same arguments, the same environment)
 *
 * Promises: the process that was started is the process that serves (one pid, one parent, signals arrive); no
 * variable is left set for anybody; a folder under its final name is complete and on the disk, whatever was killed or lost
 * power; any number may start at once; nothing is run from a folder that somebody else could have written.
 * After the first time this costs a few system calls.
 *
 * A folder belongs to one version at one path (both are in its name), because the programs in it name their loader by
 * its full path. Versions live side by side; one that nothing runs from and nobody started for 30 days is removed when
 * another one is unpacked. Deliberately not here: anything about Python (python.c beside this file), updates, links.
 *
 * Statically linked. build.h is written by build.py: KAGE_VERSION, KAGE_NAME, KAGE_BYTES, KAGE_LOADER, KAGE_SLOT,
 * KAGE_TOLD, KAGE_PAYLOAD (a ustar archive under xz).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lzma.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "build.h"

#define EXIT_USAGE 2
#define EXIT_IO 74
#define UNUSED_DAYS 30
#define MARK ".kage-onefile"          /* only folders that hold this file are ever removed */
#define DRAFT ".draft-"               /* what a killed start leaves behind */
#define CHUNK (256 * 1024)
#define MAX_COMPLAINTS 6

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".global kage_payload\nkage_payload:\n.incbin \"" KAGE_PAYLOAD "\"\n"
        ".global kage_payload_end\nkage_payload_end:\n"
        ".popsection\n");
extern const uint8_t kage_payload[], kage_payload_end[];

/* --- what went wrong, for people: one line for each place that was tried -------------------------------------- */

static char complaints[MAX_COMPLAINTS][PATH_MAX + 256];
static int complained;

static int complain(const char *where, const char *format, ...)
{
    int why = errno; /* callers look at it after us */
    if (complained < MAX_COMPLAINTS) {
        char *line = complaints[complained++];
        size_t used = (size_t)snprintf(line, sizeof complaints[0], "%s: ", where);
        va_list values;
        va_start(values, format);
        vsnprintf(line + used, sizeof complaints[0] - used, format, values);
        va_end(values);
    }
    errno = why;
    return -1;
}

/* --- folders -------------------------------------------------------------------------------------------------- */

/* Ours alone to write? A link is not followed: in a shared folder somebody else could have put it there. */
static int open_own(int at, const char *name, const char *shown)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat about;
    if (fd < 0)
        return errno == ENOENT ? -1 : complain(shown, "%s", strerror(errno));
    if (fstat(fd, &about) == 0 && about.st_uid == geteuid() && (about.st_mode & 022) == 0)
        return fd;
    complain(shown, "it belongs to somebody else, or others may write to it");
    close(fd);
    errno = EPERM;
    return -1;
}

static int make_folders(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return complain(part, "%s", strerror(errno));
        *slash = '/';
    }
    if (mkdir(part, 0700) < 0 && errno != EEXIST)
        return complain(part, "%s", strerror(errno));
    return 0;
}

static void remove_tree(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        unlinkat(at, name, 0);
        return;
    }
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
            remove_tree(fd, entry->d_name);
        else
            unlinkat(fd, entry->d_name, 0);
    }
    closedir(folder);
    unlinkat(at, name, AT_REMOVEDIR);
}

/* Remove what killed starts left, and versions that nobody used for long. Called with the lock held. */
static void clean(int root, const char *ours)
{
    int copy = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    time_t now = time(NULL);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *name = entry->d_name;
        struct stat about;
        char away[NAME_MAX + 1];
        if (!strncmp(name, DRAFT, strlen(DRAFT))) {
            remove_tree(root, name);
            continue;
        }
        if (strncmp(name, "kage-", 5) || !strcmp(name, ours) || fstatat(root, name, &about, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (about.st_uid != geteuid() || now - about.st_mtime < UNUSED_DAYS * 86400L)
            continue;
        int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        /* Each process that runs from a folder holds a shared lock on it (python.c). */
        if (faccessat(fd, MARK, F_OK, 0) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            snprintf(away, sizeof away, DRAFT "%.200s", name);
            if (renameat(root, name, root, away) == 0) /* whole or gone, also when we are killed here */
                remove_tree(root, away);
        }
        close(fd);
    }
    closedir(folder);
}

/* --- unpacking ------------------------------------------------------------------------------------------------ */

static lzma_stream unpacker;

/* Exactly `size` bytes of the archive into `to`. */
static int take(void *to, size_t size)
{
    unpacker.next_out = to;
    unpacker.avail_out = size;
    while (unpacker.avail_out) {
        lzma_ret said = lzma_code(&unpacker, LZMA_FINISH);
        if (said != LZMA_OK && !(said == LZMA_STREAM_END && unpacker.avail_out == 0)) {
            errno = said == LZMA_MEM_ERROR ? ENOMEM : EBADMSG;
            return -1;
        }
    }
    return 0;
}

static int write_all(int fd, const uint8_t *from, size_t size)
{
    while (size) {
        ssize_t done = write(fd, from, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (done == 0)
                errno = ENOSPC;
            return -1;
        }
        from += done;
        size -= (size_t)done;
    }
    return 0;
}

/* A program names its loader (PT_INTERP) by its full path; build.py left room for one. */
static int name_loader(uint8_t *program, size_t size, const char *loader)
{
    uint8_t *slot = memmem(program, size, KAGE_SLOT, strlen(KAGE_SLOT));
    size_t room = slot ? strlen((char *)slot) : 0; /* the slot is filled up to its last byte, a 0 */
    if (strlen(loader) > room) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memset(slot, 0, room);
    memcpy(slot, loader, strlen(loader));
    return 0;
}

static int unpack_file(int into, const char *name, mode_t mode, size_t size, const char *loader)
{
    static uint8_t buffer[CHUNK];
    int program = !strncmp(name, "bin/", 4), failed = 0;
    int fd = openat(into, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0700);
    if (fd < 0)
        return -1;
    for (size_t left = size; left && !failed;) {
        size_t part = left < CHUNK ? left : CHUNK;
        failed = take(buffer, part) || (program && left == size && name_loader(buffer, part, loader)) ||
                 write_all(fd, buffer, part);
        left -= part;
    }
    if (close(fd) < 0)
        failed = 1;
    return failed ? -1 : 0;
}

/* All of the archive into the open folder `into`. -1 with errno: EBADMSG when the file that we are is damaged. */
static int unpack_all(int into, const char *loader)
{
    static uint8_t rest[512];
    lzma_stream fresh = LZMA_STREAM_INIT;
    int failed = 0;
    unpacker = fresh;
    if (lzma_stream_decoder(&unpacker, UINT64_MAX, 0) != LZMA_OK) {
        errno = ENOMEM;
        return -1;
    }
    unpacker.next_in = kage_payload;
    unpacker.avail_in = (size_t)(kage_payload_end - kage_payload);
    while (!failed) {
        char head[512], name[256 + 2]; /* ustar: name 100, mode 8 at 100, size 12 at 124, type at 156, prefix at 345 */
        if ((failed = take(head, sizeof head)) || !head[0])
            break;
        if (head[345])
            snprintf(name, sizeof name, "%.155s/%.100s", head + 345, head);
        else
            snprintf(name, sizeof name, "%.100s", head);
        size_t size = strtoul(head + 124, NULL, 8);
        mode_t mode = (mode_t)strtoul(head + 100, NULL, 8);
        if (head[156] == '5')
            failed = mkdirat(into, name, 0700);
        else
            failed = unpack_file(into, name, mode, size, loader) || (size % 512 && take(rest, 512 - size % 512));
    }
    if (!failed) /* to the last byte: the check sum of the whole stands there */
        for (lzma_ret said = LZMA_OK; said != LZMA_STREAM_END && !failed;) {
            unpacker.next_out = rest;
            unpacker.avail_out = sizeof rest;
            said = lzma_code(&unpacker, LZMA_FINISH);
            if (said != LZMA_OK && said != LZMA_STREAM_END) {
                errno = EBADMSG;
                failed = -1;
            }
        }
    int why = errno;
    lzma_end(&unpacker);
    errno = why;
    return failed ? -1 : 0;
}

static const char *why_not(int error)
{
    return error == EBADMSG ? "the file kage is damaged; copy it again" : strerror(error);
}

/* Unpack into root/name. 0: it is there (perhaps another start was faster). */
static int install(int root, const char *path, const char *name)
{
    char draft[64], loader[PATH_MAX + sizeof KAGE_LOADER + 2];
    unsigned chance = 0;
    struct statvfs disk;
    int lock = openat(root, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    /* Without a lock (some network file systems) two may unpack at once; rename decides. */
    int locked = lock >= 0 && flock(lock, LOCK_EX) == 0, done = -1;
    int there = open_own(root, name, path);
    if (there >= 0) {
        close(there);
        done = 0;
        goto out;
    }
    if (locked)
        clean(root, name);
    if (fstatvfs(root, &disk) == 0) {
        if (disk.f_flag & ST_NOEXEC) {
            complain(path, "mounted so that programs may not run there (noexec)");
            goto out;
        }
        if ((uint64_t)disk.f_bavail * disk.f_frsize < KAGE_BYTES) {
            complain(path, "%llu MB are free, %llu MB are needed",
                     (unsigned long long)disk.f_bavail * disk.f_frsize / 1000000, KAGE_BYTES / 1000000ULL);
            goto out;
        }
    }
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        chance = (unsigned)time(NULL);
    snprintf(draft, sizeof draft, DRAFT "%d-%08x", (int)getpid(), chance);
    snprintf(loader, sizeof loader, "%s/%s/" KAGE_LOADER, path, name);
    if (mkdirat(root, draft, 0700) < 0) {
        complain(path, "%s", strerror(errno));
        goto out;
    }
    int into = open_own(root, draft, path);
    /* One sync of the file system for some thousand files: what stands under the final name is on the disk. */
    if (into < 0 || unpack_all(into, loader) < 0 || syncfs(into) < 0)
        complain(path, "cannot unpack: %s", why_not(errno));
    else if (renameat(root, draft, root, name) == 0 || errno == EEXIST || errno == ENOTEMPTY)
        done = fsync(root) < 0 && errno != EINVAL ? complain(path, "%s", strerror(errno)) : 0;
    else
        complain(path, "%s", strerror(errno));
    if (into >= 0)
        close(into);
    remove_tree(root, draft); /* gone already when all went well */
out:
    if (lock >= 0)
        close(lock);
    return done;
}

/* --- where ---------------------------------------------------------------------------------------------------- */

/* The folder with our version in it, under `path`; made when it is not there. -1: not possible here. */
static int settle(const char *path, char *folder, size_t room)
{
    char name[NAME_MAX + 1];
    uint64_t hash = 1469598103934665603ULL; /* FNV-1a: the path is a part of what was unpacked */
    if (strlen(path) > 1500)
        return complain(path, "the path is too long");
    for (const char *at = path; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211ULL;
    snprintf(name, sizeof name, KAGE_NAME "-%08x", (unsigned)(hash ^ hash >> 32));
    snprintf(folder, room, "%s/%s", path, name);
    int root = open_own(AT_FDCWD, path, path);
    if (root < 0) {
        if (errno != ENOENT || make_folders(path) < 0 || (root = open_own(AT_FDCWD, path, path)) < 0)
            return -1;
    }
    int there = open_own(root, name, folder), found = there >= 0;
    struct stat about;
    if (found) {
        if (fstat(there, &about) == 0 && time(NULL) - about.st_mtime > 86400)
            (void)futimens(there, NULL); /* it is in use; a read-only disk may say no */
        close(there);
    } else if (errno == ENOENT) {
        found = install(root, path, name) == 0;
    }
    close(root);
    return found ? 0 : -1;
}

/* `<parent>/<rest>`, when the parent is ours: `sudo kage` must not leave folders of root's in somebody's home. */
static int settle_under(const char *parent, const char *rest, char *folder, size_t room)
{
    char path[PATH_MAX];
    struct stat about;
    if (!parent || parent[0] != '/')
        return -1;
    if (stat(parent, &about) == 0 && about.st_uid != geteuid())
        return complain(parent, "it belongs to somebody else");
    if (snprintf(path, sizeof path, "%s%s", parent, rest) >= (int)sizeof path)
        return complain(parent, "the path is too long");
    return settle(path, folder, room);
}

static int find_folder(char *folder, size_t room)
{
    char own[64];
    const char *told = secure_getenv("KAGE_CACHE_DIR");
    if (told && told[0])
        return told[0] == '/' ? settle(told, folder, room) : complain(told, "KAGE_CACHE_DIR must be a full path");
    if (settle_under(secure_getenv("XDG_CACHE_HOME"), "/kage", folder, room) == 0 ||
        settle_under(secure_getenv("HOME"), "/.cache/kage", folder, room) == 0)
        return 0;
    if (geteuid() == 0 && settle("/var/cache/kage", folder, room) == 0)
        return 0;
    snprintf(own, sizeof own, "/var/tmp/kage-%u", (unsigned)geteuid());
    return settle(own, folder, room);
}

/* --- which program -------------------------------------------------------------------------------------------- */

static const char *USAGE =
    "kage " KAGE_VERSION ": kaged and kagectl in one file.\n"
    "\n"
    "  kage kagectl ...      the client          kage kagectl --help says what it can\n"
    "  kage kaged ...        the service\n"
    "  kage --unpack         only unpack; prints the folder (for images and packages)\n"
    "  kage --version\n"
    "\n"
    "Links to this file that are called kaged and kagectl are those programs:\n"
    "  ln -s kage kaged; ln -s kage kagectl\n"
    "\n"
    "It unpacks once for each version, into $KAGE_CACHE_DIR, $XDG_CACHE_HOME/kage or ~/.cache/kage\n"
    "(else /var/cache/kage for root, /var/tmp/kage-<uid>).\n";

static const char *program_named(const char *word)
{
    const char *base = strrchr(word, '/');
    base = base ? base + 1 : word;
    return !strcmp(base, "kaged") ? "kaged" : !strcmp(base, "kagectl") ? "kagectl" : NULL;
}

int main(int argc, char **argv)
{
    static char folder[PATH_MAX], path[PATH_MAX + 16], own[PATH_MAX];
    const char *program = argc > 0 ? program_named(argv[0]) : NULL;
    int only_unpack = 0;
    if (!program) {
        const char *word = argc > 1 ? argv[1] : "--help";
        if (!strcmp(word, "--version"))
            return printf("kage " KAGE_VERSION "\n") < 0;
        only_unpack = !strcmp(word, "--unpack") && argc == 2;
        if (!strchr(word, '/'))
            program = program_named(word);
        if (!program && !only_unpack) {
            int asked = !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
            if (!asked)
                fprintf(stderr, "kage: no program or option '%s'\n\n", word);
            fputs(USAGE, asked ? stdout : stderr);
            return asked ? 0 : EXIT_USAGE;
        }
    }
    mode_t before = umask(0077);
    if (find_folder(folder, sizeof folder) < 0) {
        fprintf(stderr, "kage: there is no place to unpack into\n");
        for (int i = 0; i < complained; i++)
            fprintf(stderr, "  %s\n", complaints[i]);
        fprintf(stderr, "Set KAGE_CACHE_DIR to a folder of yours with %llu MB of room.\n", KAGE_BYTES / 1000000ULL);
        return EXIT_IO;
    }
    umask(before);
    if (only_unpack)
        return puts(folder) < 0;
    snprintf(path, sizeof path, "%s/bin/%s", folder, program);
    if (readlink("/proc/self/exe", own, sizeof own - 1) > 0)
        setenv(KAGE_TOLD, own, 1); /* python.c takes it out again before anything else runs */
    execv(path, argv);
    fprintf(stderr, "kage: cannot run %s: %s\nRemove %s: it is unpacked again.\n", path, strerror(errno), folder);
    return EXIT_IO;
}
