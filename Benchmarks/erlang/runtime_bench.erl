%% The programs of `roost-bench`, on the BEAM: the same processes, the same messages, the same counts.
%% Prints one JSON line for each figure.
%% Run: erl -noshell +S 1:1 +P 2000000 -pa DIR -run runtime_bench main pingpong 2000000
-module(runtime_bench).
-export([main/1]).
-compile(inline).

%% A process of its own measures, not the one that `-run` starts: that one runs through the shell's machinery.
main([Program | Arguments]) ->
    Numbers = [list_to_integer(Argument) || Argument <- Arguments],
    {_, Reference} = spawn_monitor(fun() -> measure(Program, Numbers) end),
    receive
        {'DOWN', Reference, process, _, normal} -> halt(0);
        {'DOWN', Reference, process, _, Reason} -> io:format(standard_error, "~p~n", [Reason]), halt(1)
    end.

measure("pingpong", [Messages]) -> pingpong(Messages);
measure("ring", [Processes, Rounds]) -> ring(Processes, Rounds);
measure("stream", [Messages]) -> stream(Messages);
measure("fanout", [Receivers, Rounds]) -> fanout(Receivers, Rounds);
measure("monitor", [Processes]) -> monitor_each(Processes);
measure("pairs", [Pairs, Rounds]) -> pairs(Pairs, Rounds);
measure("timers", [Timers]) -> timers(Timers);
measure("latency", [Echoes, Spinners, Rounds]) -> latency(Echoes, Spinners, Rounds).

%% ---- Two processes that send one message back and forth.

pingpong(Messages) ->
    Rounds = Messages div 2,
    Owner = self(),
    Peer = spawn(fun() -> answer(Owner) end),
    Start = now_ns(),
    ask(Peer, Rounds),
    report("pingpong", 2 * Rounds, now_ns() - Start),
    Peer ! stop.

ask(_Peer, 0) -> ok;
ask(Peer, Left) ->
    Peer ! true,
    receive true -> ask(Peer, Left - 1) end.

answer(Owner) ->
    receive
        true -> Owner ! true, answer(Owner);
        stop -> ok
    end.

%% ---- A message that goes round a ring of processes.

ring(Processes, Rounds) ->
    First = make_ring(Processes - 1, self()),
    Start = now_ns(),
    go_round(First, 0, Rounds),
    report("ring", Processes * Rounds, now_ns() - Start).

make_ring(0, Next) -> Next;
make_ring(Left, Next) -> make_ring(Left - 1, spawn(fun() -> pass_on(Next) end)).

pass_on(Next) ->
    receive Number -> Next ! Number, pass_on(Next) end.

go_round(_First, Rounds, Rounds) -> ok;
go_round(First, Round, Rounds) ->
    First ! Round,
    receive _ -> go_round(First, Round + 1, Rounds) end.

%% ---- One sender, one receiver, no answers but the last.

stream(Messages) ->
    Owner = self(),
    Receiver = spawn(fun() -> count_down(Messages, Owner) end),
    Start = now_ns(),
    send_all(Receiver, 0, Messages),
    receive done -> ok end,
    report("stream", Messages, now_ns() - Start).

send_all(_Receiver, Messages, Messages) -> ok;
send_all(Receiver, Number, Messages) ->
    Receiver ! Number,
    send_all(Receiver, Number + 1, Messages).

count_down(0, Owner) -> Owner ! done;
count_down(Left, Owner) ->
    receive _ -> count_down(Left - 1, Owner) end.

%% ---- One sender, many receivers: each gets a message a round and says when it has had them all.

fanout(Receivers, Rounds) ->
    Owner = self(),
    Pids = [spawn(fun() -> count_down(Rounds, Owner) end) || _ <- lists:seq(1, Receivers)],
    Start = now_ns(),
    send_rounds(Pids, 0, Rounds),
    await_done(Receivers),
    report("fanout", Receivers * Rounds, now_ns() - Start).

send_rounds(_Pids, Rounds, Rounds) -> ok;
send_rounds(Pids, Round, Rounds) ->
    send_each(Pids, Round),
    send_rounds(Pids, Round + 1, Rounds).

send_each([], _Round) -> ok;
send_each([Pid | Rest], Round) ->
    Pid ! Round,
    send_each(Rest, Round).

await_done(0) -> ok;
await_done(Left) ->
    receive done -> await_done(Left - 1) end.

%% ---- A process that is started with a monitor, ends, and is heard to have ended.

monitor_each(Processes) ->
    Start = now_ns(),
    monitor_loop(Processes),
    report("monitor", Processes, now_ns() - Start).

monitor_loop(0) -> ok;
monitor_loop(Left) ->
    {_, Reference} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Reference, process, _, _} -> monitor_loop(Left - 1) end.

%% ---- Many pairs of ping-pong at once. Each leader starts its own partner.

pairs(Pairs, Rounds) ->
    Owner = self(),
    Start = now_ns(),
    start_leaders(Pairs, Rounds, Owner),
    await_done(Pairs),
    report("pairs", 2 * Pairs * Rounds, now_ns() - Start).

start_leaders(0, _Rounds, _Owner) -> ok;
start_leaders(Left, Rounds, Owner) ->
    spawn(fun() -> lead(Rounds, Owner) end),
    start_leaders(Left - 1, Rounds, Owner).

lead(Rounds, Owner) ->
    Leader = self(),
    Partner = spawn(fun() -> answer(Leader) end),
    ask(Partner, Rounds),
    Partner ! stop,
    Owner ! done.

%% ---- Timers: all are armed, then 99 of 100 cancelled; the others fire and are received.

timers(Timers) ->
    Start = now_ns(),
    References = arm(Timers, []),
    Armed = now_ns(),
    cancel(References),
    Stop = now_ns(),
    await_fired(Timers div 100),
    report("timers_arm", Timers, Armed - Start),
    report("timers_cancel", Timers, Stop - Armed),
    report("timers", Timers, Stop - Start).

%% Those that are cancelled would be due in 60 to 120 s, spread over all milliseconds; the others within a second.
arm(0, References) -> References;
arm(Number, References) when Number rem 100 =:= 0 ->
    erlang:send_after((Number div 100) rem 1000, self(), fired),
    arm(Number - 1, References);
arm(Number, References) ->
    arm(Number - 1, [erlang:send_after(60000 + (Number * 7919) rem 60000, self(), late) | References]).

cancel([]) -> ok;
cancel([Reference | Rest]) ->
    erlang:cancel_timer(Reference, [{async, true}, {info, false}]),
    cancel(Rest).

await_fired(0) -> ok;
await_fired(Left) ->
    receive fired -> await_fired(Left - 1) end.

%% ---- Round trips to echo processes beside processes that spin.

latency(Echoes, Spinners, Rounds) ->
    Owner = self(),
    Pids = [spawn(fun() -> echo(Owner) end) || _ <- lists:seq(1, Echoes)],
    round_trips(Pids, Echoes, 10, []),
    report_latency("latency_quiet", round_trips(Pids, Echoes, Rounds, [])),
    Spinning = [spawn(fun() -> spin(0) end) || _ <- lists:seq(1, Spinners)],
    round_trips(Pids, Echoes, 2, []),
    report_latency("latency", round_trips(Pids, Echoes, Rounds, [])),
    [exit(Pid, kill) || Pid <- Spinning].

echo(Owner) ->
    receive SentAt -> Owner ! SentAt, echo(Owner) end.

spin(Count) -> spin(Count + 1).

round_trips(_Pids, _Echoes, 0, Samples) -> Samples;
round_trips(Pids, Echoes, Left, Samples) ->
    [Pid ! now_ns() || Pid <- Pids],
    round_trips(Pids, Echoes, Left - 1, await_echoes(Echoes, Samples)).

await_echoes(0, Samples) -> Samples;
await_echoes(Left, Samples) ->
    receive SentAt -> await_echoes(Left - 1, [now_ns() - SentAt | Samples]) end.

report_latency(Kind, Samples) ->
    Sorted = list_to_tuple(lists:sort(Samples)),
    Count = tuple_size(Sorted),
    Percentile = fun(Permille) -> element(max(1, Count * Permille div 1000), Sorted) / 1000 end,
    io:format("{\"runtime\":\"erlang\",\"kind\":\"~s\",\"count\":~b,\"p50_us\":~.1f,\"p99_us\":~.1f,\"max_us\":~.1f}~n",
              [Kind, Count, Percentile(500), Percentile(990), Percentile(1000)]).

%% ----

now_ns() -> erlang:monotonic_time(nanosecond).

report(Kind, Count, Nanoseconds) ->
    io:format("{\"runtime\":\"erlang\",\"kind\":\"~s\",\"count\":~b,\"ns_each\":~.1f}~n",
              [Kind, Count, Nanoseconds / Count]).
