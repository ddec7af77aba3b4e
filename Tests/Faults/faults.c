// SPDX-License-Identifier: Apache-2.0
//
// Faults of the kernel, by a script: preloaded into a program, it stands between it and its sockets. See README.md.
//
// The program is taken to wait with edge-triggered epoll: whatever it is told that the kernel would have announced the
// end of (nothing there yet, less than asked for) is announced, by arming the descriptor again as the kernel's own
// events are lost on it: EPOLL_CTL_MOD reports what is ready now.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "script.h"

#define EXPORTED __attribute__((visibility("default")))
#define PIECES_MAX 64

// A descriptor of the program's. Zero: one that is left alone.
typedef struct {
  uint32_t connection;  // from 1 in the order of their making, or SCRIPT_LISTENER
  uint32_t events;      // as registered
  uint64_t data;
  int32_t epoll;        // where it is registered, plus one
  bool is_dead;         // an injected reset has ended it
  bool is_locked;       // guards the registration
  call_counts counts;
} descriptor;

static descriptor *descriptors;
static size_t descriptor_count;
static uint32_t connections;
static call_counts program_counts;
static int trace = -1;

// A file that is mapped: it is right at any time, also after the program has been killed.
typedef struct {
  char name[24];
  uint64_t count;
} report_line;
static report_line *report;

// --- Beginning ----------------------------------------------------------------------------------------------------

static void give_up(const char *what, const char *detail) {
  char text[768];
  int size = snprintf(text, sizeof text, "faults: %s: %s\n", what, detail);
  syscall(SYS_write, 2, text, size);
  _exit(78);
}

static int open_file(const char *path) {
  int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) give_up("cannot open", path);
  return file;
}

static void open_report(void) {
  int kinds = error_count + 1;
  size_t size = sizeof(report_line) * CALL_COUNT * (size_t)kinds;
  int file = open_file(script_report);
  if (ftruncate(file, (off_t)size) != 0) give_up("cannot size", script_report);
  report_line *lines = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (lines == MAP_FAILED) give_up("cannot map", script_report);
  syscall(SYS_close, file);
  for (int call = 0; call < CALL_COUNT; call++) {
    for (int kind = 0; kind < kinds; kind++) {
      report_line *line = &lines[call * kinds + kind];
      snprintf(line->name, sizeof line->name, "%s %s", call_names[call], fault_name(kind));
    }
  }
  report = lines;
}

__attribute__((constructor)) static void begin(void) {
  const char *text = getenv("ROOST_FAULTS");
  char problem[512] = "";
  if (!text) return;
  if (!script_parse(text, problem, sizeof problem)) give_up("cannot read this part of ROOST_FAULTS", problem);
  // Neither is the program's business, nor its children's.
  unsetenv("ROOST_FAULTS");
  unsetenv("LD_PRELOAD");
  if (script_report[0]) open_report();
  if (script_trace[0]) trace = open_file(script_trace);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  size_t count = limit.rlim_max < (1u << 20) ? limit.rlim_max : 1u << 20;
  void *table = mmap(NULL, count * sizeof(descriptor), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (table == MAP_FAILED) give_up("no memory for", "the table of descriptors");
  descriptors = table;
  descriptor_count = count;
}

// --- Descriptors --------------------------------------------------------------------------------------------------

// Nil where faults do not reach.
static descriptor *find(int fd) {
  if (fd < 0 || (size_t)fd >= descriptor_count) return NULL;
  descriptor *d = &descriptors[fd];
  return __atomic_load_n(&d->connection, __ATOMIC_ACQUIRE) ? d : NULL;
}

static void lock(descriptor *d) {
  while (__atomic_test_and_set(&d->is_locked, __ATOMIC_ACQUIRE)) sched_yield();
}

static void unlock(descriptor *d) { __atomic_clear(&d->is_locked, __ATOMIC_RELEASE); }

static void adopt(int fd, uint32_t number) {
  if (fd < 0 || (size_t)fd >= descriptor_count) return;
  descriptor *d = &descriptors[fd];
  memset(d, 0, sizeof *d);
  __atomic_store_n(&d->connection, number, __ATOMIC_RELEASE);
}

static uint32_t next_connection(void) { return __atomic_add_fetch(&connections, 1, __ATOMIC_RELAXED); }

// Has what is ready now announced once more.
static void arm_again(int fd, descriptor *d) {
  lock(d);
  if (d->epoll) {
    struct epoll_event event = {.events = d->events, .data = {.u64 = d->data}};
    syscall(SYS_epoll_ctl, d->epoll - 1, EPOLL_CTL_MOD, fd, &event);
  }
  unlock(d);
}

// The connection is gone, for the peer too, which gets a reset. Connecting to no address does that on TCP.
static void kill_connection(int fd, descriptor *d) {
  __atomic_store_n(&d->is_dead, true, __ATOMIC_RELAXED);
  struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  if (syscall(SYS_connect, fd, &nowhere, sizeof nowhere) != 0) syscall(SYS_shutdown, fd, SHUT_RDWR);
}

static bool is_deadly(int code) {
  return code == ECONNRESET || code == EPIPE || code == ETIMEDOUT || code == EHOSTUNREACH;
}

static void note(int call, uint32_t connection, int fd, fault f) {
  if (report) {
    __atomic_add_fetch(&report[call * (error_count + 1) + f.kind].count, 1, __ATOMIC_RELAXED);
  }
  if (trace < 0) return;
  char text[128];
  int size = snprintf(text, sizeof text, "connection %u descriptor %d: %s %s\n", connection, fd, call_names[call],
                      fault_name(f.kind));
  syscall(SYS_write, trace, text, size);
}

// --- Reading and writing ------------------------------------------------------------------------------------------

// What a call that moves bytes is to do: `size` of them, or fail.
typedef struct {
  bool is_over;     // it has its result already
  bool arms_again;
  ssize_t result;
  size_t size;
} plan;

static plan fail_with(int code) {
  errno = code;
  return (plan){.is_over = true, .result = -1};
}

static plan plan_transfer(int call, int fd, descriptor *d, size_t size, bool is_read) {
  if (__atomic_load_n(&d->is_dead, __ATOMIC_RELAXED)) {
    // As the kernel, after it has told of the reset once.
    return is_read ? (plan){.is_over = true} : fail_with(EPIPE);
  }
  fault f = script_decide(call, d->connection, &d->counts);
  // Nobody waits for its events: there is no edge that could follow.
  bool is_edge_triggered = d->epoll && d->events & EPOLLET;
  if (f.kind == FAULT_NONE || !is_edge_triggered) return (plan){.size = size};
  if (f.kind == FAULT_SHORT) {
    if (size < 2) return (plan){.size = size};
    size_t less = f.byte_count ? f.byte_count : 1 + f.draw % (size - 1);
    // Most reads ask for far more than there is; half of them are cut down to where it shows.
    if (!f.byte_count && is_read && f.draw >> 63) less = 1 + f.draw % (size < 64 ? size - 1 : 63);
    if (less >= size) return (plan){.size = size};
    return (plan){.size = less, .arms_again = true};
  }
  int code = fault_errno(f);
  note(call, d->connection, fd, f);
  if (is_deadly(code)) kill_connection(fd, d);
  if ((code == EAGAIN || code == ENOBUFS) && !f.is_quiet) arm_again(fd, d);
  return fail_with(code);
}

// What a call that was cut short came to: the rest is announced.
static ssize_t after_transfer(int call, int fd, descriptor *d, plan p, ssize_t result) {
  if (!p.arms_again || result <= 0) return result;
  int saved = errno;
  note(call, d->connection, fd, (fault){.kind = FAULT_SHORT});
  arm_again(fd, d);
  errno = saved;
  return result;
}

#define TRANSFER(call, is_read, total, plain, limited) \
  descriptor *d = find(fd);                            \
  if (!d) return plain;                                \
  plan p = plan_transfer(call, fd, d, total, is_read); \
  if (p.is_over) return p.result;                      \
  return after_transfer(call, fd, d, p, limited)

EXPORTED ssize_t recv(int fd, void *bytes, size_t size, int flags) {
  TRANSFER(CALL_RECV, true, size, syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL),
           syscall(SYS_recvfrom, fd, bytes, p.size, flags, NULL, NULL));
}

EXPORTED ssize_t send(int fd, const void *bytes, size_t size, int flags) {
  TRANSFER(CALL_SEND, false, size, syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0),
           syscall(SYS_sendto, fd, bytes, p.size, flags, NULL, 0));
}

EXPORTED ssize_t read(int fd, void *bytes, size_t size) {
  TRANSFER(CALL_READ, true, size, syscall(SYS_read, fd, bytes, size), syscall(SYS_read, fd, bytes, p.size));
}

EXPORTED ssize_t write(int fd, const void *bytes, size_t size) {
  TRANSFER(CALL_WRITE, false, size, syscall(SYS_write, fd, bytes, size), syscall(SYS_write, fd, bytes, p.size));
}

static size_t total_of(const struct iovec *pieces, size_t count) {
  size_t total = 0;
  for (size_t index = 0; index < count; index++) total += pieces[index].iov_len;
  return total;
}

// The first `size` bytes of `pieces`; how many pieces that are.
static size_t first_of(const struct iovec *pieces, size_t count, size_t size, struct iovec *out) {
  size_t used = 0;
  for (; used < count && used < PIECES_MAX && size > 0; used++) {
    out[used] = pieces[used];
    if (out[used].iov_len > size) out[used].iov_len = size;
    size -= out[used].iov_len;
  }
  return used;
}

static ssize_t limited_message(long number, int fd, const struct msghdr *message, size_t size, int flags) {
  struct iovec pieces[PIECES_MAX];
  if (size >= total_of(message->msg_iov, message->msg_iovlen)) return syscall(number, fd, message, flags);
  struct msghdr part = *message;
  part.msg_iovlen = first_of(message->msg_iov, message->msg_iovlen, size, pieces);
  part.msg_iov = pieces;
  return syscall(number, fd, &part, flags);
}

static ssize_t limited_vector(long number, int fd, const struct iovec *all, int count, size_t size) {
  struct iovec pieces[PIECES_MAX];
  if (size >= total_of(all, (size_t)count)) return syscall(number, fd, all, count);
  return syscall(number, fd, pieces, (int)first_of(all, (size_t)count, size, pieces));
}

EXPORTED ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  TRANSFER(CALL_SENDMSG, false, total_of(message->msg_iov, message->msg_iovlen),
           syscall(SYS_sendmsg, fd, message, flags), limited_message(SYS_sendmsg, fd, message, p.size, flags));
}

EXPORTED ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  TRANSFER(CALL_RECVMSG, true, total_of(message->msg_iov, message->msg_iovlen),
           syscall(SYS_recvmsg, fd, message, flags), limited_message(SYS_recvmsg, fd, message, p.size, flags));
}

EXPORTED ssize_t readv(int fd, const struct iovec *pieces, int count) {
  TRANSFER(CALL_READV, true, total_of(pieces, (size_t)count), syscall(SYS_readv, fd, pieces, count),
           limited_vector(SYS_readv, fd, pieces, count, p.size));
}

EXPORTED ssize_t writev(int fd, const struct iovec *pieces, int count) {
  TRANSFER(CALL_WRITEV, false, total_of(pieces, (size_t)count), syscall(SYS_writev, fd, pieces, count),
           limited_vector(SYS_writev, fd, pieces, count, p.size));
}

// --- Making and ending descriptors --------------------------------------------------------------------------------

static int accept_one(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);
  if (accepted >= 0 && descriptors) adopt(accepted, next_connection());
  return accepted;
}

EXPORTED int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  descriptor *d = find(fd);
  if (!d) return accept_one(fd, address, length, flags);
  fault f = script_decide(CALL_ACCEPT, 0, &program_counts);
  if (f.kind <= FAULT_SHORT) return accept_one(fd, address, length, flags);
  if (fault_errno(f) == ECONNABORTED) {
    // The kernel took it from its queue, and the peer has gone.
    int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);
    if (accepted < 0) return accepted;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    syscall(SYS_close, accepted);
  }
  note(CALL_ACCEPT, 0, fd, f);
  errno = fault_errno(f);
  return -1;
}

EXPORTED int socket(int domain, int type, int protocol) {
  if (descriptors) {
    fault f = script_decide(CALL_SOCKET, 0, &program_counts);
    if (f.kind > FAULT_SHORT) {
      note(CALL_SOCKET, 0, -1, f);
      errno = fault_errno(f);
      return -1;
    }
  }
  return (int)syscall(SYS_socket, domain, type, protocol);
}

EXPORTED int listen(int fd, int backlog) {
  if (descriptors) adopt(fd, SCRIPT_LISTENER);
  return (int)syscall(SYS_listen, fd, backlog);
}

EXPORTED int connect(int fd, const struct sockaddr *address, socklen_t length) {
  if (descriptors && address->sa_family != AF_UNSPEC) {
    if (!find(fd)) adopt(fd, next_connection());
    descriptor *d = find(fd);
    fault f = d ? script_decide(CALL_CONNECT, d->connection, &d->counts) : (fault){.kind = FAULT_NONE};
    if (f.kind > FAULT_SHORT) {
      note(CALL_CONNECT, d->connection, fd, f);
      errno = fault_errno(f);
      return -1;
    }
  }
  return (int)syscall(SYS_connect, fd, address, length);
}

EXPORTED int close(int fd) {
  // First: once it is closed, the number may be another's.
  descriptor *d = find(fd);
  if (d) __atomic_store_n(&d->connection, 0, __ATOMIC_RELEASE);
  return (int)syscall(SYS_close, fd);
}

// --- epoll --------------------------------------------------------------------------------------------------------

static int call_of(int operation) {
  switch (operation) {
    case EPOLL_CTL_ADD: return CALL_EPOLL_ADD;
    case EPOLL_CTL_MOD: return CALL_EPOLL_MODIFY;
    default: return CALL_EPOLL_DELETE;
  }
}

EXPORTED int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  descriptor *d = find(fd);
  if (!d) return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
  int call = call_of(operation);
  fault f = script_decide(call, d->connection, &d->counts);
  if (f.kind > FAULT_SHORT) {
    note(call, d->connection, fd, f);
    errno = fault_errno(f);
    return -1;
  }
  lock(d);
  int result = (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
  // A listener is registered with several; it is level-triggered and never armed again.
  if (result == 0 && d->connection != SCRIPT_LISTENER) {
    d->epoll = operation == EPOLL_CTL_DEL ? 0 : epoll + 1;
    d->events = operation == EPOLL_CTL_DEL ? 0 : event->events;
    d->data = operation == EPOLL_CTL_DEL ? 0 : event->data.u64;
  }
  unlock(d);
  return result;
}

// With a timeout or, where it is null, without end.
static int wait_for_events(int epoll, struct epoll_event *events, int count_max, const struct timespec *timeout) {
  if (descriptors) {
    fault f = script_decide(CALL_EPOLL_WAIT, 0, &program_counts);
    if (f.kind > FAULT_SHORT) {
      note(CALL_EPOLL_WAIT, 0, epoll, f);
      errno = fault_errno(f);
      return -1;
    }
    if (f.kind == FAULT_SHORT && count_max > 1) {
      // The others stay in the kernel's list, for the next call.
      int result = (int)syscall(SYS_epoll_pwait2, epoll, events, 1, timeout, NULL, 8);
      if (result > 0) note(CALL_EPOLL_WAIT, 0, epoll, f);
      return result;
    }
  }
  return (int)syscall(SYS_epoll_pwait2, epoll, events, count_max, timeout, NULL, 8);
}

EXPORTED int epoll_wait(int epoll, struct epoll_event *events, int count_max, int milliseconds) {
  struct timespec timeout = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
  return wait_for_events(epoll, events, count_max, milliseconds < 0 ? NULL : &timeout);
}

EXPORTED int epoll_pwait2(int epoll, struct epoll_event *events, int count_max, const struct timespec *timeout,
                          const sigset_t *signals) {
  if (signals) return (int)syscall(SYS_epoll_pwait2, epoll, events, count_max, timeout, signals, 8);
  return wait_for_events(epoll, events, count_max, timeout);
}
