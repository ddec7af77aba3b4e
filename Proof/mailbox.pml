// SPDX-License-Identifier: Apache-2.0
//
// The mailbox of one process slot: push, notify, take, wait, close, and the use of the slot by one process after
// another. Models Sources/RoostRuntime/Process/Mailbox.swift, with `prepare` of Scheduler+Send.swift and `collect` and
// `end` of Scheduler+Turn.swift. Proves, for two senders, a notifier and two processes in the slot:
//
// M1  A process with a node in its inbox runs, is in one run queue, or is on its way there; never twice.
// M2  Every node is received once, destroyed once, or given back to its sender; nobody receives what is not for him.
// M3  What a wake flag announces is never slept through.
//
// spin models sequentially consistent memory. Why the orderings in the code give that here: `inbox` and `wakeFlags` are
// the only words that two threads look at without a run queue between them. All that is read of a node is ordered by
// the releasing push and the acquiring take of `inbox`; what the next owner of the process reads was written before
// `wait` released `inbox` and is read after a waker acquired it. The one pattern that needs more than release and
// acquire is M3 (each side writes one word, then reads the other's): those four accesses are sequentially consistent.
// Relaxed loads of `inbox` only choose what a compare-exchange then expects: a stale value makes it fail. `take` and
// `wait` may see a push late: then `wait` fails on its compare-exchange, and the process looks again.
//
// Compare-exchange on addresses: nodes are used again here as soon as they are freed, so that a sender may find the
// address that it saw in the inbox once more, for another message (ABA). It is harmless: it links to what is there.

#define CLOSED 0
#define EMPTY 1
#define WAITING 2
#define NODE 3  // the first of the words that are a node's address
#define NODES 2  // fewer than messages: they are used again
#define GENERATIONS 2

byte inbox = CLOSED;
bool flag;
byte generation = 1;  // of the process that has, or next gets, the slot
bool isOpen;  // ghost: a process has it

byte next[NODES];  // the word of the node sent before; EMPTY: none
byte target[NODES];
bool inUse[NODES];
bool isSent[NODES];  // ghost: pushed and not taken

byte right;  // ghost: who may run the process: a scheduler, a run queue, a waker on its way
byte queued;  // entries in run queues
bool event[GENERATIONS + 1];  // what a flag announces: a timer is due, a socket is ready

#define hasNodes (inbox >= NODE)

inline enqueue() { atomic { queued++; assert(queued == 1) } }

inline claim() { right++; assert(right == 1) }

// Mailbox.push. `outcome`: CLOSED, WAITING (and must enqueue), EMPTY (pushed).
inline push(node) {
  do
  :: seen == CLOSED -> break
  :: seen != CLOSED ->
#ifdef BROKEN_PUSH  // looks, then writes
     next[node] = (seen <= WAITING -> EMPTY : seen);
     if
     :: inbox == seen ->
        atomic { inbox = node + NODE; isSent[node] = true; if :: seen == WAITING -> claim() :: else fi };
        break
     :: else -> seen = inbox
     fi
#else
     atomic {
       next[node] = (seen <= WAITING -> EMPTY : seen);  // nobody else's yet
       if
       :: inbox == seen ->
          inbox = node + NODE; isSent[node] = true;
          if :: seen == WAITING -> claim() :: else fi;
          break
       :: else -> seen = inbox
       fi
     }
#endif
  od
}

proctype Sender() {
  byte seen, node, whom;
  select(whom : 1 .. GENERATIONS);  // whose pid it has, or will have
end:
  do
  :: generation == whom && isOpen -> break  // ProcessTable.find, when it has the pid: from then on it may be stale
  :: generation > whom -> goto done
  od;
  atomic {
    if
    :: !inUse[0] -> node = 0
    :: inUse[0] && !inUse[1] -> node = 1
    fi;
    inUse[node] = true; target[node] = whom;
    seen = inbox
  };
  push(node);
  if
  :: seen == CLOSED -> inUse[node] = false  // given back
  :: seen == WAITING -> enqueue()
#ifdef BROKEN_WAKE  // every push enqueues
  :: seen != CLOSED && seen != WAITING -> atomic { claim(); enqueue() }
#else
  :: else
#endif
  fi;
done:
  skip
}

// Something happens that the process waits for, and its wake flag says so.
proctype Notifier() {
  byte whom;
  select(whom : 1 .. GENERATIONS);
end:
  do
  :: generation == whom && isOpen -> break
  :: generation > whom -> goto done
  od;
  event[whom] = true;
  flag = true;
  atomic {
    if
    :: inbox == WAITING -> inbox = EMPTY; claim()
    :: else -> goto done
    fi
  };
  enqueue();
done:
  skip
}

// Takes what was sent, as the process of generation `me`: each node is received, or destroyed as not its own.
inline dispose(word) {
  atomic {
    do
    :: word >= NODE ->
       node = word - NODE; word = next[node];
       assert(inUse[node] && isSent[node]);  // M2: once
#ifndef BROKEN_GENERATION
       if
       :: target[node] == me  // received, or destroyed in its process
       :: else  // not for it: destroyed
       fi;
#else
       assert(target[node] == me);
#endif
       isSent[node] = false; inUse[node] = false
    :: else -> node = 0; word = EMPTY; break
    od
  }
}

inline take() {
  word = EMPTY;
  if
  :: inbox > WAITING -> atomic { word = inbox; inbox = EMPTY }
  :: else
  fi;
  dispose(word)
}

inline closeMailbox() {
#ifdef BROKEN_CLOSE  // takes, then closes
  take();
  inbox = CLOSED;
#else
  atomic { word = inbox; inbox = CLOSED };
  dispose(word);
#endif
}

// More than one: a process may move between turns, so that another thread runs it next.
proctype Scheduler() {
  byte word, node, me;
  bool waits;
end:
  do
  :: atomic { queued > 0 -> queued--; assert(right == 1); me = generation };
     // The flags first, then what they announce: ProcessRef.park, takeWakeFlags.
     flag = false;
     if :: event[me] -> event[me] = false :: else fi;
     take();
     if
     :: goto wait
     :: goto finish
     fi;
wait:
#ifdef BROKEN_WAIT  // writes `waiting` over what may have come
     waits = (inbox == EMPTY || inbox >= NODE);
     if :: waits -> atomic { inbox = WAITING; right-- } :: else fi;
#else
     atomic {
       waits = (inbox == EMPTY);
       if :: waits -> inbox = WAITING; right-- :: else fi
     };
#endif
     if
     :: !waits -> enqueue(); goto next_  // suspend: it runs again
     :: else
     fi;
     // From here on it is not ours: another thread may run it, end it, and start its successor.
#ifndef BROKEN_FLAG  // sleeps without a look at the flags
     if
     :: flag ->
        atomic {
          if
          :: inbox == WAITING -> inbox = EMPTY; claim()
          :: else -> goto next_
          fi
        };
        enqueue()
     :: else
     fi;
#endif
     goto next_;
finish:
     closeMailbox();
     isOpen = false;
     event[me] = false;  // nobody waits for it any more
     atomic { generation++; right-- };  // `end`: stale pids from here on
     if
     :: generation <= GENERATIONS ->
        flag = false;
        claim();
        inbox = EMPTY;  // `prepare`: last, from here on senders may push
        isOpen = true;
        enqueue()
     :: else
     fi;
next_:
     atomic { me = 0; waits = false }  // fewer states
  od
}

// In every state: M1. The nodes of a closing process are in its hands.
active proctype Always() {
end:
  atomic { hasNodes && right != 1 -> assert(false) }
}

// When nothing more can happen, nothing was slept through and nothing is lost.
active proctype AtTheEnd() {
  timeout;
  assert(queued == 0 && right == 0);
  assert(inbox == WAITING || inbox == CLOSED);
  assert(!inUse[0] && !inUse[1]);
  assert(inbox == CLOSED || !event[generation])  // M3
}

init {
  atomic {
    right = 1; queued = 1; inbox = EMPTY; isOpen = true;
    run Sender(); run Sender(); run Notifier(); run Scheduler(); run Scheduler()
  }
}
