/* Counts the file-system steps of a process below one folder, and lets one of them fail or be the last; where asked
   to, also what it reads there, and what it sends and receives.

   Built by `server.py` and loaded with LD_PRELOAD, so that steps of C and C++ libraries (HDF5, TensorFlow, Arrow) count
   as well as Python's. `steps_arm` starts counting; until then every call passes through. The counters are in shared
   memory: they outlive a child process that is killed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, KILL, FULL, BROKEN, DENIED, SHORT, SIGNAL };
enum { READS = 1, SOCKETS = 2 };
#define MOST 65536
#define NAME 160

struct state {
    atomic_long count;      /* steps so far */
    atomic_long fired;      /* faults that were injected */
    _Atomic double when;    /* of the last one, on the monotonic clock */
    char log[MOST][NAME];   /* "operation path" of each step */
};

static struct state *state;
static char root[PATH_MAX];
static size_t root_length;
static long at;
static int kind, armed, scope;
static __thread int inside;

__attribute__((constructor)) static void begin(void) {
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void steps_arm(const char *folder, long step, int what, int more) {
    snprintf(root, sizeof root, "%s/", folder);
    root_length = strlen(root);
    at = step;
    kind = what;
    scope = more;
    atomic_store(&state->count, 0);
    atomic_store(&state->fired, 0);
    armed = 1;
}

long steps_count(void) { return atomic_load(&state->count); }
long steps_fired(void) { return atomic_load(&state->fired); }
double steps_when(void) { return atomic_load(&state->when); }
const char *steps_name(long step) { return state->log[step]; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void die(void) { syscall(SYS_kill, syscall(SYS_getpid), SIGKILL); for (;;) pause(); }

/* The absolute path of a name below an open folder; "" where there is none. */
static const char *absolute(int folder, const char *path, char *buffer) {
    char link[64];
    ssize_t length = 0;
    if (path && path[0] == '/') return path;
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, buffer, (size_t)PATH_MAX) < 0) return "";
        length = (ssize_t)strlen(buffer);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, buffer, PATH_MAX - 1);
        if (length < 0) return "";
        buffer[length] = 0;
    }
    if (path) snprintf(buffer + length, (size_t)(PATH_MAX - length), "/%s", path);
    return buffer;
}

/* Log a step; return 0 to go on, an errno to fail with, or -1 to do half of it. */
static int fault(const char *operation, const char *name, int broken) {
    long number = atomic_fetch_add(&state->count, 1);
    int writes = !strcmp(operation, "write");
    int uses_space = writes || !strcmp(operation, "open") || !strcmp(operation, "mkdir") ||
                     !strcmp(operation, "allocate");
    if (number < MOST) snprintf(state->log[number], NAME, "%s %s", operation, name);
    if (!(kind == FULL ? number == at || (number > at && uses_space) : number == at)) return 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&state->when, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    atomic_fetch_add(&state->fired, 1);
    if (kind == SIGNAL) {
        const int signals[] = {SIGTERM, SIGINT, SIGHUP};
        syscall(SYS_kill, syscall(SYS_getpid), signals[number % 3]);
        return 0;
    }
    if (kind == KILL) { if (!writes) die(); return -1; }
    if (kind == FULL) return ENOSPC;
    if (kind == BROKEN) return broken;
    if (kind == DENIED) return EACCES;
    return kind == SHORT && writes ? -1 : 0;
}

/* Count a step below the folder; returns as `fault`. */
static int step(const char *operation, int folder, const char *path) {
    char buffer[PATH_MAX];
    int found = 0, saved = errno;
    if (!armed || inside) return 0;
    inside = 1;
    const char *name = absolute(folder, path, buffer);
    if (strncmp(name, root, root_length) == 0 || (strlen(name) + 1 == root_length && !strncmp(name, root, root_length - 1))) {
        found = fault(operation, name + (name[root_length - 1] ? root_length : root_length - 1), EIO);
    }
    inside = 0;
    errno = saved;
    return found;
}

#define FAIL(operation, folder, path)                              \
    do {                                                           \
        int code = step(operation, folder, path);                  \
        if (code > 0) { errno = code; return -1; }                 \
    } while (0)

static int writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        if (writing(flags)) FAIL("open", AT_FDCWD, path);                             \
        else if (scope & READS) FAIL("look", AT_FDCWD, path);                         \
        return REAL(name)(path, flags, mode);                                         \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                                  \
    int name(int folder, const char *path, int flags, ...) {                          \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        if (writing(flags)) FAIL("open", folder, path);                               \
        else if (scope & READS) FAIL("look", folder, path);                           \
        return REAL(name)(folder, path, flags, mode);                                 \
    }
OPENAT(openat)
OPENAT(openat64)

#define WRITE(name, arguments, call, half)                          \
    ssize_t name arguments {                                        \
        int code = step("write", number, NULL);                     \
        if (code > 0) { errno = code; return -1; }                  \
        if (code < 0) {                                             \
            ssize_t done = half;                                    \
            if (kind == KILL) die();                                \
            return done;                                            \
        }                                                           \
        return call;                                                \
    }
#define SOME(size) ((size) > 1 ? (size) / 2 : (size))
WRITE(write, (int number, const void *data, size_t size), REAL(write)(number, data, size),
      REAL(write)(number, data, SOME(size)))
WRITE(pwrite, (int number, const void *data, size_t size, off_t place), REAL(pwrite)(number, data, size, place),
      REAL(pwrite)(number, data, SOME(size), place))
WRITE(pwrite64, (int number, const void *data, size_t size, off64_t place), REAL(pwrite64)(number, data, size, place),
      REAL(pwrite64)(number, data, SOME(size), place))
WRITE(writev, (int number, const struct iovec *data, int count), REAL(writev)(number, data, count),
      REAL(writev)(number, data, SOME(count)))
WRITE(sendfile, (int number, int from, off_t *place, size_t size), REAL(sendfile)(number, from, place, size),
      REAL(sendfile)(number, from, place, SOME(size)))
WRITE(sendfile64, (int number, int from, off64_t *place, size_t size), REAL(sendfile64)(number, from, place, size),
      REAL(sendfile64)(number, from, place, SOME(size)))

#define FOPEN(name)                                                                  \
    FILE *name(const char *path, const char *mode) {                                 \
        int writes = strpbrk(mode, "wa+") != NULL;                                   \
        if (writes || scope & READS) {                                               \
            int code = step(writes ? "open" : "look", AT_FDCWD, path);               \
            if (code > 0) { errno = code; return NULL; }                             \
        }                                                                            \
        return REAL(name)(path, mode);                                               \
    }
FOPEN(fopen)
FOPEN(fopen64)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    int code = armed && file != stdout && file != stderr ? step("write", fileno(file), NULL) : 0;
    if (code > 0) { errno = code; return 0; }
    if (code < 0) {
        size_t total = size * count, done = REAL(fwrite)(data, 1, SOME(total), file);
        if (kind == KILL) { REAL(fflush)(file); die(); }
        /* stdio itself goes on after a short write of the kernel */
        done += REAL(fwrite)((const char *)data + done, 1, total - done, file);
        return size ? done / size : 0;
    }
    return REAL(fwrite)(data, size, count, file);
}
int fflush(FILE *file) {
    int code = armed && file && file != stdout && file != stderr ? step("flush", fileno(file), NULL) : 0;
    if (code > 0) { errno = code; return EOF; }
    return REAL(fflush)(file);
}

int fsync(int number) { FAIL("fsync", number, NULL); return REAL(fsync)(number); }
int fdatasync(int number) { FAIL("fsync", number, NULL); return REAL(fdatasync)(number); }
int ftruncate(int number, off_t size) { FAIL("truncate", number, NULL); return REAL(ftruncate)(number, size); }
int ftruncate64(int number, off64_t size) { FAIL("truncate", number, NULL); return REAL(ftruncate64)(number, size); }
int truncate(const char *path, off_t size) { FAIL("truncate", AT_FDCWD, path); return REAL(truncate)(path, size); }
int posix_fallocate(int number, off_t from, off_t size) {
    int code = step("allocate", number, NULL);
    return code > 0 ? code : REAL(posix_fallocate)(number, from, size);
}
int posix_fallocate64(int number, off64_t from, off64_t size) {
    int code = step("allocate", number, NULL);
    return code > 0 ? code : REAL(posix_fallocate64)(number, from, size);
}
int rename(const char *old, const char *new) { FAIL("rename", AT_FDCWD, new); return REAL(rename)(old, new); }
int renameat(int from, const char *old, int to, const char *new) {
    FAIL("rename", to, new);
    return REAL(renameat)(from, old, to, new);
}
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    FAIL("rename", to, new);
    return REAL(renameat2)(from, old, to, new, flags);
}
int unlink(const char *path) { FAIL("unlink", AT_FDCWD, path); return REAL(unlink)(path); }
int unlinkat(int folder, const char *path, int flags) {
    FAIL(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, path);
    return REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) { FAIL("rmdir", AT_FDCWD, path); return REAL(rmdir)(path); }
int mkdir(const char *path, mode_t mode) { FAIL("mkdir", AT_FDCWD, path); return REAL(mkdir)(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) {
    FAIL("mkdir", folder, path);
    return REAL(mkdirat)(folder, path, mode);
}

#define READ(name, arguments, call)                                     \
    ssize_t name arguments {                                            \
        if (scope & READS) FAIL("read", number, NULL);                  \
        return call;                                                    \
    }
READ(read, (int number, void *data, size_t size), REAL(read)(number, data, size))
READ(pread, (int number, void *data, size_t size, off_t place), REAL(pread)(number, data, size, place))
READ(pread64, (int number, void *data, size_t size, off64_t place), REAL(pread64)(number, data, size, place))

/* What goes over a connection: a fault is one that the other end broke. */
static int message(const char *operation) {
    int found, saved = errno;
    if (!armed || inside || !(scope & SOCKETS)) return 0;
    inside = 1;
    found = fault(operation, "a connection", ECONNRESET);
    inside = 0;
    errno = saved;
    return found;
}
#define MESSAGE(name, operation, arguments, call)                       \
    ssize_t name arguments {                                            \
        int code = message(operation);                                  \
        if (code > 0) { errno = code; return -1; }                      \
        return call;                                                    \
    }
MESSAGE(send, "send", (int number, const void *data, size_t size, int flags), REAL(send)(number, data, size, flags))
MESSAGE(recv, "receive", (int number, void *data, size_t size, int flags), REAL(recv)(number, data, size, flags))
