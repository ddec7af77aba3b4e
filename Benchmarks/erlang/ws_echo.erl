%% A small WebSocket server on gen_tcp, or ssl, one process per connection: the BEAM beside Roost when handlers spin.
%% It echoes on every path but two. The handler of /demo/spin echoes until it is sent the text `go` and then loops
%% forever. What comes on /broadcast/ROOM goes to all others there, framed once, as messages of the members of a pg.
%% Run: erl -noshell +S 1:1 -pa DIR -run ws_echo main PORT [CHAIN KEY]
-module(ws_echo).
-export([main/1, accept/2, connection/2]).

-define(GUID, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").
-define(SPIN_PATH, <<"/demo/spin">>).
-define(ROOM_PATH, <<"/broadcast/", _/binary>>).

main([Port]) ->
    serve(gen_tcp, Port, []);
main([Port, Chain, Key]) ->
    {ok, _} = application:ensure_all_started(ssl),
    serve(ssl, Port, [{certfile, Chain}, {keyfile, Key}, {versions, ['tlsv1.3']}]).

serve(Transport, Port, Options) ->
    {ok, _} = pg:start_link(),
    {ok, Listener} = Transport:listen(list_to_integer(Port), [
        binary, {ip, {127, 0, 0, 1}}, {active, false}, {packet, http_bin}, {reuseaddr, true},
        {nodelay, true}, {backlog, 4096} | Options
    ]),
    io:format("listening on 127.0.0.1:~s~n", [Port]),
    [spawn_link(?MODULE, accept, [Transport, Listener]) || _ <- lists:seq(1, 10)],
    receive stop -> ok end.

accept(Transport, Listener) ->
    {ok, Socket} = case Transport of
        gen_tcp -> gen_tcp:accept(Listener);
        ssl -> ssl:transport_accept(Listener)
    end,
    Pid = spawn(?MODULE, connection, [Transport, Socket]),
    ok = Transport:controlling_process(Socket, Pid),
    Pid ! start,
    accept(Transport, Listener).

connection(gen_tcp, Socket) ->
    receive start -> ok end,
    upgrade({gen_tcp, Socket});
connection(ssl, Accepted) ->
    receive start -> ok end,
    {ok, Socket} = ssl:handshake(Accepted, 5000),
    upgrade({ssl, Socket}).

%% From here on a socket is {Transport, Socket}.
upgrade(Socket) ->
    {ok, {http_request, 'GET', {abs_path, Path}, _}} = recv(Socket, 0, 5000),
    Key = key(Socket, none),
    Accept = base64:encode(crypto:hash(sha, [Key, ?GUID])),
    ok = setopts(Socket, [{packet, raw}]),
    ok = send(Socket, [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        Accept, "\r\n\r\n"
    ]),
    ok = join(Path),
    wait(Socket, Path, <<>>).

join(?ROOM_PATH = Path) -> pg:join(Path, self());
join(_) -> ok.

key(Socket, Key) ->
    case recv(Socket, 0, 5000) of
        {ok, {http_header, _, <<"Sec-Websocket-Key">>, _, Value}} -> key(Socket, Value);
        {ok, {http_header, _, <<"Sec-WebSocket-Key">>, _, Value}} -> key(Socket, Value);
        {ok, {http_header, _, _, _, _}} -> key(Socket, Key);
        {ok, http_eoh} when is_binary(Key) -> Key
    end.

wait(Socket, Path, Rest) ->
    ok = setopts(Socket, [{active, once}]),
    await(Socket, Path, Rest).

await(Socket, Path, Rest) ->
    receive
        {broadcast, Frame} -> deliver(Socket, Path, Rest, [Frame]);
        {Kind, _, Data} when Kind =:= tcp orelse Kind =:= ssl, Rest =:= <<>> -> frames(Socket, Path, Data, []);
        {Kind, _, Data} when Kind =:= tcp; Kind =:= ssl -> frames(Socket, Path, <<Rest/binary, Data/binary>>, []);
        {Kind, _} when Kind =:= tcp_closed; Kind =:= ssl_closed -> ok;
        {Kind, _, _} when Kind =:= tcp_error; Kind =:= ssl_error -> ok
    end.

%% Sends what has come for this client so far at once.
deliver(Socket, Path, Rest, Frames) ->
    receive
        {broadcast, Frame} -> deliver(Socket, Path, Rest, [Frame | Frames])
    after 0 ->
        case send(Socket, lists:reverse(Frames)) of
            ok -> await(Socket, Path, Rest);
            {error, _} -> close(Socket)
        end
    end.

recv({Transport, Socket}, Count, Timeout) -> Transport:recv(Socket, Count, Timeout).

send({Transport, Socket}, Data) -> Transport:send(Socket, Data).

close({Transport, Socket}) -> Transport:close(Socket).

setopts({gen_tcp, Socket}, Options) -> inet:setopts(Socket, Options);
setopts({ssl, Socket}, Options) -> ssl:setopts(Socket, Options).

frames(Socket, Path, <<1:1, 0:3, Opcode:4, 1:1, Length:7, Mask:4/binary, Masked:Length/binary, Rest/binary>>, Out)
        when Length < 126 ->
    frame(Socket, Path, Opcode, unmask(Masked, Mask), Rest, Out);
frames(Socket, Path,
       <<1:1, 0:3, Opcode:4, 1:1, 126:7, Length:16, Mask:4/binary, Masked:Length/binary, Rest/binary>>, Out) ->
    frame(Socket, Path, Opcode, unmask(Masked, Mask), Rest, Out);
frames(Socket, Path,
       <<1:1, 0:3, Opcode:4, 1:1, 127:7, Length:64, Mask:4/binary, Masked:Length/binary, Rest/binary>>, Out) ->
    frame(Socket, Path, Opcode, unmask(Masked, Mask), Rest, Out);
frames(Socket, Path, Incomplete, []) ->
    wait(Socket, Path, Incomplete);
frames(Socket, Path, Incomplete, Out) ->
    case send(Socket, lists:reverse(Out)) of
        ok -> wait(Socket, Path, Incomplete);
        {error, _} -> close(Socket)
    end.

frame(_Socket, ?SPIN_PATH, 1, <<"go">>, _Rest, _Out) -> spin(0);
frame(Socket, ?ROOM_PATH = Path, Opcode, Payload, Rest, Out) when Opcode =:= 1; Opcode =:= 2 ->
    Message = {broadcast, iolist_to_binary(encode(Opcode, Payload))},
    _ = [Pid ! Message || Pid <- pg:get_members(Path), Pid =/= self()],
    frames(Socket, Path, Rest, Out);
frame(Socket, Path, Opcode, Payload, Rest, Out) when Opcode =:= 1; Opcode =:= 2 ->
    frames(Socket, Path, Rest, [encode(Opcode, Payload) | Out]);
frame(Socket, Path, 9, Payload, Rest, Out) ->
    frames(Socket, Path, Rest, [encode(10, Payload) | Out]);
frame(Socket, _Path, 8, Payload, _Rest, Out) ->
    _ = send(Socket, lists:reverse([encode(8, Payload) | Out])),
    close(Socket);
frame(Socket, Path, _Opcode, _Payload, Rest, Out) ->
    frames(Socket, Path, Rest, Out).

spin(Count) -> spin(Count + 1).

encode(Opcode, Payload) when byte_size(Payload) < 126 ->
    [<<1:1, 0:3, Opcode:4, 0:1, (byte_size(Payload)):7>>, Payload];
encode(Opcode, Payload) when byte_size(Payload) < 65536 ->
    [<<1:1, 0:3, Opcode:4, 0:1, 126:7, (byte_size(Payload)):16>>, Payload];
encode(Opcode, Payload) ->
    [<<1:1, 0:3, Opcode:4, 0:1, 127:7, (byte_size(Payload)):64>>, Payload].

%% Native and whole, where Cowboy's library goes four bytes at a time.
unmask(Masked, Mask) ->
    Size = byte_size(Masked),
    Keys = binary:part(binary:copy(Mask, (Size + 3) div 4), 0, Size),
    crypto:exor(Masked, Keys).
