// SPDX-License-Identifier: Apache-2.0
//
// How a scheduler falls asleep and is woken: processes that other threads push to its inbound list, commands that they
// post, and the poke. Models `inbound`, `commands`, `hasCommands` and `poke` of
// Sources/RoostRuntime/Scheduler/SchedulerState.swift, `runLoop` and `sleepUntilWoken` of Scheduler+Loop.swift and the
// edge-triggered eventfd of Poller.swift. Proves, for two threads that push and two that post:
//
// S1  A scheduler sleeps only after it replaced `idle` by `asleep`, and whoever replaces that wakes it: no process and
//     no command is left while it sleeps, and each is run once.
//
// spin models sequentially consistent memory. Why the orderings in the code give that here: a process is pushed and
// taken through one word, by a releasing compare-exchange and an acquiring exchange. A command goes through a lock; but
// that there is one is said by a second word. The poster stores `hasCommands`, then looks for `asleep`; the scheduler
// writes `asleep`, then loads `hasCommands`: all four are sequentially consistent, for with less both could read what
// was there before the other's write. While it is busy, the scheduler looks at both words once a turn, so that a stale
// value costs a turn. A wake-up in the eventfd is kept by the kernel until the next epoll_wait, which is the reason why
// one that comes between `asleep` and the sleep is not missed.

#define IDLE 0
#define ASLEEP 1
#define FIRST 2  // the first of the words that are a process's address
#define PROCESSES 2
#define COMMANDS 2

byte inbound = IDLE;
byte next[PROCESSES];
bool hasCommands;
byte commands;  // posted and not taken; behind their lock
bool edge;  // the eventfd was written since the last epoll_wait
bool sleeps;  // ghost: inside epoll_wait

byte ran[PROCESSES];  // ghost
byte commandsRun;

proctype Pusher(byte process) {
  byte seen = inbound;
  do
  :: next[process] = (seen <= ASLEEP -> IDLE : seen);
#ifdef BROKEN_PUSH  // looks, then writes
     if
     :: inbound == seen -> inbound = process + FIRST; break
     :: else -> seen = inbound
     fi
#else
     atomic {
       if
       :: inbound == seen -> inbound = process + FIRST; break
       :: else -> seen = inbound
       fi
     }
#endif
  od;
#ifdef BROKEN_WAKE  // nobody wakes it
  skip
#else
  if
  :: seen == ASLEEP -> edge = true
  :: else
  fi
#endif
}

inline poke() {
  atomic {
    if
    :: inbound == ASLEEP -> inbound = IDLE; woken = true
    :: else -> woken = false
    fi
  };
  if
  :: woken -> edge = true
  :: else
  fi
}

proctype Poster() {
  bool woken;
#ifdef BROKEN_POKE  // pokes, then says that there is something
  commands++;
  poke();
  hasCommands = true
#else
  commands++;
  hasCommands = true;
  poke()
#endif
}

inline takeInbound() {
  if
  :: inbound > ASLEEP ->
     atomic { word = inbound; inbound = IDLE };
     do
     :: word >= FIRST -> atomic { ran[word - FIRST]++; assert(ran[word - FIRST] == 1); word = next[word - FIRST] }
     :: else -> break
     od
  :: else
  fi
}

// A look before the exchange: what it misses is seen in the next turn, or before the sleep.
inline runCommands() {
  if
  :: hasCommands ->
#ifdef BROKEN_COMMANDS  // takes, then says that there are none
     atomic { commandsRun = commandsRun + commands; commands = 0 };
     hasCommands = false
#else
     hasCommands = false;
     atomic { commandsRun = commandsRun + commands; commands = 0 }  // under the lock
#endif
  :: else
  fi
}

active proctype Scheduler() {
  byte word;
  do
  :: takeInbound();
     runCommands();
     if
     :: edge = false  // a poll between turns takes the event
     :: skip
     fi;
     // sleepUntilWoken: nothing is left to run
     atomic {
       if
#ifdef BROKEN_SLEEP  // overwrites what was pushed
       :: true -> inbound = ASLEEP
#else
       :: inbound == IDLE -> inbound = ASLEEP
       :: else -> goto again
#endif
       fi
     };
#ifndef BROKEN_LOOK  // sleeps without a second look
     if
     :: hasCommands -> goto up
     :: else
     fi;
#endif
     sleeps = true;
end:
     atomic { edge -> edge = false; sleeps = false };
up:
     atomic { if :: inbound == ASLEEP -> inbound = IDLE :: else fi };
again:
     skip
  od
}

active proctype AtTheEnd() {
  timeout;
  assert(sleeps && inbound == ASLEEP);
  assert(ran[0] == 1 && ran[1] == 1);
  assert(commandsRun == COMMANDS && commands == 0)
}

init { atomic { run Pusher(0); run Pusher(1); run Poster(); run Poster() } }
