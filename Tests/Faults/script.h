// SPDX-License-Identifier: Apache-2.0
//
// What a script of faults says (README.md), and the decision for one call. It knows nothing of descriptors.
#ifndef FAULTS_SCRIPT_H
#define FAULTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The calls that faults happen to; behind them groups, which scripts may name too.
enum {
  CALL_RECV,
  CALL_RECVMSG,
  CALL_READ,
  CALL_READV,
  CALL_SEND,
  CALL_SENDMSG,
  CALL_WRITE,
  CALL_WRITEV,
  CALL_ACCEPT,
  CALL_EPOLL_ADD,
  CALL_EPOLL_MODIFY,
  CALL_EPOLL_DELETE,
  CALL_EPOLL_WAIT,
  CALL_CONNECT,
  CALL_SOCKET,
  CALL_COUNT,
  GROUP_IN = CALL_COUNT,  // whatever reads from a socket
  GROUP_OUT,              // whatever writes to one
  GROUP_IO,               // either
  COUNTER_COUNT,
};

extern const char *const call_names[COUNTER_COUNT];

// What happens to a call. Kinds beyond FAULT_SHORT are indices of `errors`, plus one.
enum { FAULT_NONE = -1, FAULT_SHORT = 0 };
typedef struct {
  int kind;
  bool is_quiet;          // no edge follows
  uint64_t byte_count;    // FAULT_SHORT: at most so many; 0: chosen by `draw`
  uint64_t draw;          // a random number that belongs to the fault
} fault;

typedef struct {
  const char *name;
  int number;
} error_name;
extern const error_name errors[];
extern const int error_count;
static inline int fault_errno(fault f) { return errors[f.kind - 1].number; }
const char *fault_name(int kind);

// Reads `text`; false when it cannot, with the part that is wrong in `problem`.
bool script_parse(const char *text, char *problem, size_t problem_size);
extern char script_report[512], script_trace[512];

// Counts of the calls of one descriptor, or of the program.
typedef struct {
  uint32_t counts[COUNTER_COUNT];
} call_counts;

// What happens to this call: the next of its kind in `counts`. `connection` is the number of the connection, 0 where a
// call has none, SCRIPT_LISTENER for a listening socket.
#define SCRIPT_LISTENER UINT32_MAX
fault script_decide(int call, uint32_t connection, call_counts *counts);

#endif
