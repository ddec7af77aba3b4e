// SPDX-License-Identifier: Apache-2.0
//
// A scheduler is taken over from a thread that is stuck in native code, and given back to it between two turns. Models
// `roost_inside`, `roost_leave`, `roost_claim` and `roost_claimed` of Sources/CRoost (croost.h, claim.c), and
// `takeOver`, `giveBack` and `rejoin` of Sources/RoostRuntime/Scheduler/SchedulerThreads.swift, for one scheduler and
// THREADS threads: whoever took over may get stuck as well. Proves:
//
// H1  At any time at most one thread is inside the runtime as the scheduler: in a section (depth > 0), or between
//     turns.
// H2  A thread that wants its scheduler back gets it, when the turn ends that the scheduler is in; no request is lost.
// H3  Who takes over sees all that was written in the sections of the thread before.
//
// What the scheduler's thread does on its hot path is a plain store of its depth and then a plain load of `claimed`: a
// processor may let the load go first. The watch pays instead: it stores `claimed`, executes membarrier(2), and then
// loads the depth. spin's memory is sequentially consistent, so the depth's way to memory is modelled: stores of the
// depth go through a store buffer, which drains at any time and which the barrier empties. (The buffer holds two; more
// would hold older values of the same word only.) All else here is locked, or sequentially consistent: `claimed` is
// stored before a barrier that all threads pass, and its later values with release; `rejoining` and `inbound` follow
// scheduler.pml, since the scheduler may sleep when it is wanted back.
//
// H3 needs that depth 0 is stored with release (x86: any store): otherwise a processor may let it overtake the writes
// of the section that it ends. `unseen` says that some of them are still on their way.

#define THREADS 3
#define CLAIMS 2  // how often the watch tries
#define TURNS 2  // of each thread that lead into handler code
#define NONE 0
#define ASKED 1
#define GRANTED 2
#define NOBODY THREADS

byte depth[THREADS] = 1;  // as others see it
chan stores[THREADS] = [2] of { byte };  // of the depth, on their way
bool unseen[THREADS];  // ghost: writes of a section, on their way
bool inProcess[THREADS];
byte claimed[THREADS];

byte bound = 0;  // `thread` of the scheduler
bool rejoining[THREADS];  // the list; its order does not matter
bool isIdle[THREADS];  // waits for work
bool assigned[THREADS];
byte takenFrom = NOBODY;
byte inside = NOBODY;  // ghost: who is in a section or between turns

bool asleep;  // `inbound` is `asleep`
bool edge;

#define wanted (rejoining[0] || rejoining[1] || rejoining[2])

inline goInside() { atomic { assert(inside == NOBODY); inside = me } }  // H1
inline goOutside() { atomic { assert(inside == me); inside = NOBODY } }

// A store buffer drains.
proctype Memory(byte who) {
  byte value;
end:
  do
  :: atomic {
       stores[who]?[0] && (!unseen[who]
#ifdef BROKEN_LEAVE  // depth 0 overtakes what was written before
       || true
#endif
       ) -> stores[who]?value; depth[who] = value
     }
  :: atomic { stores[who]?[1] -> stores[who]?value; depth[who] = value }
  :: atomic { unseen[who] -> unseen[who] = false }
  od
}

// membarrier(2): what any thread has stored so far is seen by all.
inline barrier() {
  atomic {
    do
    :: stores[from]?value -> depth[from] = value
    :: empty(stores[from]) -> break
    od;
    unseen[from] = false
  }
}

// A thread of the pool.
proctype Thread(byte me) {
  byte turns = TURNS, next, claim;
  bool hasAsked;
idle:
  isIdle[me] = true;
end_idle:
  atomic { assigned[me] -> assigned[me] = false; isIdle[me] = false };
  // takeOver(from:)
  goInside();
  assert(takenFrom == NOBODY || !unseen[takenFrom]);  // H3
  bound = me;
between:
  // runLoop: is it wanted back?
  if
  :: atomic { rejoining[0] -> next = 0 }
  :: atomic { rejoining[1] -> next = 1 }
  :: atomic { rejoining[2] -> next = 2 }
  :: atomic { !wanted -> goto turn }
  fi;
  rejoining[next] = false;
  bound = next;
  goOutside();
  claimed[next] = NONE;  // roost_claim_end
  goto idle;
turn:
  if
  :: turns > 0 -> turns--
  :: skip -> goto sleep
  fi;
  inProcess[me] = true;
again:
  unseen[me] = true;  // the section's writes
  goOutside();
  stores[me]!0;
  // Handler code, for any length of time. Then `roost_inside`.
  stores[me]!1;
  claim = claimed[me];
  if
  :: claim == NONE -> goto entered
  :: else -> hasAsked = false
  fi;
  // roost_claimed. It makes system calls: what was stored is seen.
  atomic { empty(stores[me]) && !unseen[me] };
  do
  :: claim = claimed[me];
     if
     :: claim == NONE -> break
     :: claim == GRANTED && !hasAsked ->
        hasAsked = true;
        rejoining[me] = true;
#ifndef BROKEN_POKE  // asks, but does not wake
        atomic { if :: asleep -> asleep = false; edge = true :: else fi }
#endif
     :: else -> atomic { claimed[me] != claim }  // FUTEX_WAIT
     fi
  od;
entered:
  goInside();
  if
  :: turns > 0 -> turns--; goto again  // a turn enters and leaves many times
  :: skip
  fi;
  inProcess[me] = false;
  goto between;
sleep:
  asleep = true;
#ifndef BROKEN_LOOK  // sleeps without a second look
  if
  :: wanted -> asleep = false; goto between
  :: else
  fi;
#endif
end_sleep:
  atomic { edge -> edge = false };
  asleep = false;
  goto between
}

inline assign(to) { atomic { takenFrom = from; assigned[to] = true } }

// The watch, at a scheduler that has been long in one turn.
proctype Watch() {
  byte from, spare, value, tries = CLAIMS;
  bool isOutside;
  do
  :: tries > 0 ->
     tries--;
     from = bound;
     if
     :: inProcess[from] && claimed[from] == NONE
     :: else -> goto next_
     fi;
     // A thread to go on with, before the claim: a granted claim is not withdrawn.
     if
     :: atomic { isIdle[0] && !assigned[0] -> spare = 0 }
     :: atomic { isIdle[1] && !assigned[1] && !isIdle[0] -> spare = 1 }
     :: atomic { isIdle[2] && !assigned[2] && !isIdle[0] && !isIdle[1] -> spare = 2 }
     :: else -> goto next_
     fi;
     // roost_claim
     claimed[from] = ASKED;
#ifndef BROKEN_BARRIER  // the other side's store may still be on its way
     barrier();
#endif
     isOutside = (inProcess[from] && depth[from] == 0);
     if
     :: isOutside -> claimed[from] = GRANTED
     :: else -> claimed[from] = NONE; goto next_
     fi;
#ifdef BROKEN_START  // no thread can be had, and the claim is withdrawn
     if
     :: claimed[from] = NONE; goto next_
     :: skip
     fi;
#endif
     assign(spare);
next_:
     skip
  :: else -> break
  od
}

// When nothing more can happen, nobody waits to have the scheduler back, and some thread runs it.
active proctype AtTheEnd() {
  timeout;
  assert(!wanted);
  assert(claimed[0] == NONE && claimed[1] == NONE && claimed[2] == NONE);  // H2
  assert(asleep && inside == bound)
}

init {
  atomic {
    run Memory(0); run Memory(1); run Memory(2);
    run Watch();
    assigned[0] = true;
    run Thread(0); run Thread(1); run Thread(2)
  }
}
