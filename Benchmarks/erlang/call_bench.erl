%% Calls a gen_server that answers with a counter; prints one JSON line, as `roost-bench call` does.
%% Run: erl -noshell +S 1:1 -pa DIR -run call_bench main 1000000
-module(call_bench).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2]).

main([Count]) ->
    Calls = list_to_integer(Count),
    {ok, Server} = gen_server:start_link(?MODULE, 0, []),
    call(Server, Calls div 10),
    Start = erlang:monotonic_time(nanosecond),
    call(Server, Calls),
    Stop = erlang:monotonic_time(nanosecond),
    io:format("{\"runtime\":\"erlang\",\"kind\":\"call\",\"count\":~b,\"ns_each\":~.1f}~n",
              [Calls, (Stop - Start) / Calls]),
    halt(0).

call(_Server, 0) -> ok;
call(Server, Left) ->
    _ = gen_server:call(Server, increment),
    call(Server, Left - 1).

init(Count) -> {ok, Count}.

handle_call(increment, _From, Count) -> {reply, Count + 1, Count + 1}.

handle_cast(_Message, Count) -> {noreply, Count}.
