// SPDX-License-Identifier: Apache-2.0
//
// Work stealing, which the victim does: a sleeping scheduler's bit in the idle mask is a standing request, and a busy
// one gives it processes between two turns. Models `share` of Sources/RoostRuntime/Scheduler/Runtime.swift,
// `enqueueRemote`, `takeInbound` and `enqueue` of SchedulerState.swift and `suspend` of Scheduler+Loop.swift, for two
// schedulers that may each be victim and thief, and PROCESSES processes that wait, are woken from both schedulers and
// from a thread that is none, and may have a stack (or a timer, or be pinned: they stay for the same reason). Proves:
//
// S2  Each runnable process is in exactly one place: one run queue, one inbound list, one scheduler, or the hands of
//     who moves or wakes it; a waiting one in none.
// R1  A process with a stack goes on where the stack is.
//     Nobody is forgotten: when nothing more can happen, all processes wait, with no wake-up unheard.
//
// The lists and the sleep are those of scheduler.pml, the wake-up is that of mailbox.pml; here a push, and a
// compare-exchange of `inbox`, is one step.
//
// spin models sequentially consistent memory. Why the orderings in the code give that here: a run queue is touched by
// its scheduler's thread alone. A process changes threads only through `inbound` (released by the push, acquired by the
// take), so that all of its control block goes along. A waker reads `home` after its compare-exchange of `inbox`, which
// acquires what the process's scheduler released when it wrote `waiting`; `home` was written before that, by the same
// thread. The idle mask is relaxed and may be old in either direction: nothing follows from it but where to push, and
// a scheduler that is pushed to while it is awake takes the process in its next turn.

#define PROCESSES 2
#define WAKES 2  // by the thread that is no scheduler
#define SHARES 2  // that much is given away at most, so that the model is finite
#define NOWHERE 2

chan queue[2] = [PROCESSES] of { byte };  // run queues
chan inbound[2] = [PROCESSES] of { byte };
bool asleep[2];  // `inbound` is `asleep`
bool edge[2];
bool idle[2];  // the bits of the mask

bool waiting[PROCESSES];  // `inbox` is `waiting`
bool sent[PROCESSES];  // `inbox` has a node
byte home[PROCESSES];
byte stackAt[PROCESSES] = NOWHERE;

byte places[PROCESSES];  // ghost: in how many places it is
byte wakes = WAKES;
byte shares = SHARES;
bool mayPreempt = true;  // once

inline enter(p) { places[p]++; assert(places[p] == 1) }
inline leave(p) { places[p]--; assert(places[p] == 0) }

// enqueueRemote, and the wake-up of who sleeps.
inline enqueueRemote(s, p) {
  atomic {
    inbound[s]!p;
    if
    :: asleep[s] -> asleep[s] = false; edge[s] = true
    :: else
    fi
  }
}

// A message for `p`, from the thread of scheduler `me` or, where that is NOWHERE, from another one.
inline wake(me, p) {
  atomic {
    sent[p] = true; woken = waiting[p];
    if :: woken -> waiting[p] = false; enter(p) :: else fi
  };
  if
  :: woken && home[p] == me -> queue[me]!p
  :: woken && home[p] != me -> enqueueRemote(home[p], p)
  :: else
  fi
}

proctype Outside() {
  byte p;
  bool woken;
  do
  :: wakes > 0 ->
     wakes--;
     select(p : 0 .. PROCESSES - 1);
     wake(NOWHERE, p)
  :: else -> break
  od
}

inline share() {
  if
  :: shares > 0 && idle[1 - me] && len(queue[me]) > 0 ->
     shares--;
#ifdef BROKEN_RAID  // the thief helps itself: it looks at the victim's queue, then takes what it saw
     skip
#else
     queue[me]?p;
#ifndef BROKEN_STACK  // gives away what must stay
     if
     :: stackAt[p] != NOWHERE -> queue[me]!p
     :: else -> enqueueRemote(1 - me, p)
     fi
#else
     enqueueRemote(1 - me, p)
#endif
#endif
  :: else
  fi
}

inline takeInbound() {
  do
  :: atomic { len(inbound[me]) > 0 -> inbound[me]?p };
#ifndef BROKEN_HOME  // its wakers go to where it was
     home[p] = me;
#endif
     queue[me]!p
  :: atomic { len(inbound[me]) == 0 -> break }
  od
}

inline suspend() {
  atomic {
    if
    :: !sent[p] -> waiting[p] = true; leave(p); waits = true
    :: else -> waits = false
    fi
  };
  if
  :: !waits -> queue[me]!p
  :: else
  fi
}

// One turn of `p`: it takes its messages, may send one, and waits with a stack or without, or is preempted.
inline runTurn() {
  leave(p); enter(p);
  assert(home[p] == me);
  assert(stackAt[p] == NOWHERE || stackAt[p] == me);  // R1
  sent[p] = false;
  if
  :: stackAt[p] = me
  :: stackAt[p] = NOWHERE
  fi;
  if
  :: atomic { mayPreempt -> mayPreempt = false; stackAt[p] = me }; queue[me]!p
  :: atomic { maySend -> maySend = false }; other = 1 - p; wake(me, other); suspend()
  :: suspend()
  fi
}

proctype Scheduler(byte me) {
  byte p, other;
  bool woken, waits, maySend = true;
  do
  :: takeInbound();
     if
     :: atomic { len(queue[me]) > 0 -> queue[me]?p }; runTurn(); share()
     :: atomic { len(queue[me]) == 0 };
#ifdef BROKEN_RAID
        if
        :: atomic { len(queue[1 - me]) > 0 -> queue[1 - me]?<p> };
           queue[me]!p;
           home[p] = me;
           if
           :: queue[1 - me]??eval(p)
           :: skip  // its owner was quicker
           fi
        :: skip
        fi;
#endif
        atomic {
          if
          :: len(inbound[me]) == 0 && len(queue[me]) == 0 -> asleep[me] = true
          :: else -> goto again
          fi
        };
        idle[me] = true;
end:
        atomic { edge[me] -> edge[me] = false };
        idle[me] = false;
        asleep[me] = false
     fi;
again:
     skip
  od
}

// S2, in every state: a process in a queue is in one.
#define count0 ((queue[0]??[0] != 0) + (queue[1]??[0] != 0) + (inbound[0]??[0] != 0) + (inbound[1]??[0] != 0))
#define count1 ((queue[0]??[1] != 0) + (queue[1]??[1] != 0) + (inbound[0]??[1] != 0) + (inbound[1]??[1] != 0))

active proctype Always() {
end:
  atomic { count0 > 1 || count1 > 1 || (waiting[0] && count0 > 0) || (waiting[1] && count1 > 0) -> assert(false) }
}

active proctype AtTheEnd() {
  timeout;
  assert(wakes == 0);
  assert(asleep[0] && asleep[1]);
  assert(waiting[0] && waiting[1] && !sent[0] && !sent[1]);
  assert(places[0] == 0 && places[1] == 0)
}

init {
  atomic {
    home[0] = 0; home[1] = 0; places[0] = 1; places[1] = 1;
    queue[0]!0; queue[0]!1;
    run Scheduler(0); run Scheduler(1); run Outside()
  }
}
