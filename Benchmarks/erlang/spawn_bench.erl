%% Spawns processes that park in `receive`; prints one JSON line per count, as `roost-bench spawn` does.
%% Run: erl -noshell +S 1:1 +P 2000000 -pa DIR -run spawn_bench main 100000 1000000
-module(spawn_bench).
-export([main/1, parked/1, hibernated/1]).

main(Counts) ->
    lists:foreach(fun(Count) -> measure(list_to_integer(Count)) end, Counts),
    halt(0).

measure(Count) ->
    print(parked, Count, run(parked, Count)),
    print(hibernated, Count, run(hibernated, Count)).

%% The clock stops when the last one says that it is about to wait: with one scheduler and one
%% run queue, first in, first out, all the others wait by then.
run(Kind, Count) ->
    erlang:garbage_collect(),
    Before = erlang:memory(total),
    Start = erlang:monotonic_time(nanosecond),
    Last = spawn_all(Kind, Count, self()),
    receive {ready, Last} -> ok end,
    Stop = erlang:monotonic_time(nanosecond),
    timer:sleep(50),
    After = erlang:memory(total),
    {memory, Own} = erlang:process_info(Last, memory),
    end_all(Count),
    {(Stop - Start) / Count, (After - Before) / Count, Own}.

%% The pids are not kept: a list of them would count as memory of the processes.
spawn_all(Kind, 1, Owner) ->
    Pid = spawn(?MODULE, Kind, [Owner]),
    Pid ! report,
    Pid;
spawn_all(Kind, Left, Owner) ->
    spawn(?MODULE, Kind, [Owner]),
    spawn_all(Kind, Left - 1, Owner).

parked(Owner) ->
    receive
        report -> Owner ! {ready, self()}, parked(Owner);
        stop -> ok
    end.

hibernated(Owner) ->
    receive report -> Owner ! {ready, self()} after 0 -> ok end,
    erlang:hibernate(?MODULE, parked, [Owner]).

end_all(_Count) ->
    Others = [Pid || Pid <- erlang:processes(), is_ours(Pid)],
    lists:foreach(fun(Pid) -> Pid ! stop end, Others),
    wait_until_gone().

is_ours(Pid) ->
    case erlang:process_info(Pid, current_function) of
        {current_function, {?MODULE, parked, 1}} -> true;
        {current_function, {erlang, hibernate, 3}} -> true;
        _ -> false
    end.

wait_until_gone() ->
    case erlang:system_info(process_count) < 1000 of
        true -> ok;
        false -> timer:sleep(10), wait_until_gone()
    end.

print(Kind, Count, {NanosecondsEach, BytesEach, OwnBytes}) ->
    io:format("{\"runtime\":\"erlang\",\"kind\":\"~s\",\"count\":~b,\"ns_each\":~.1f,\"bytes_each\":~.1f,"
              "\"process_info_bytes\":~b}~n", [Kind, Count, NanosecondsEach, BytesEach, OwnBytes]).
