%% Runs scenarios on real OTP supervisors and says what happened. The Python side is otp.py.
%%
%% One request a line on standard input, an Erlang term ended by a dot:
%%     {run, Tree, Steps}.
%%     Tree = {sup, Id, Strategy, Intensity, AutoShutdown, Restart, Significant, [Tree]}
%%          | {work, Id, Restart, Significant, Fails}      Fails: how many of its first starts fail
%%     Step = start | stop | {fails, Path, N} | {exit, Path, normal | shutdown | crash}
%%          | {burst, SupPath, [{Path, How}]} | {terminate | restart | delete, Path}
%% Paths and ids are strings; "" is the root. For each step one line with what happened, in order, and what is
%% there afterwards; then the line `done`.
%%
%% Workers trap exits and write each start and stop into one ordered log. A step is over when all supervisors
%% have been quiet, with empty mailboxes, for three looks in a row.
-module(kage_tree).
-behaviour(supervisor).
-export([main/0, init/1, start_worker/1, worker/2]).

main() ->
    logger:set_primary_config(level, none),
    io:setopts(standard_io, [binary, {encoding, unicode}]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> halt(0);
        Line ->
            {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Line)),
            {ok, {run, Tree, Steps}} = erl_parse:parse_term(Tokens),
            run(Tree, Steps),
            io:put_chars("done\n"),
            loop()
    end.

%% A scenario has an owner of its own: whatever is left of it goes when the owner does.
run(Tree, Steps) ->
    {Owner, Mon} = spawn_monitor(fun() -> scenario(Tree, Steps) end),
    receive {'DOWN', Mon, process, Owner, Reason} -> Reason =:= normal orelse io:format("broken ~0p~n", [Reason]) end.

scenario(Tree, Steps) ->
    process_flag(trap_exit, true),
    ets:new(journal, [named_table, public, ordered_set]),
    ets:new(alive, [named_table, public, set]),
    ets:new(fails, [named_table, public, set]),
    lists:foreach(
        fun(Step) ->
            Reply = step(Step, Tree),
            quiet(),
            Happened = [Text || {_, Text} <- ets:tab2list(journal)],
            ets:delete_all_objects(journal),
            io:format("~ts|~ts|~ts~n", [Reply, lists:join(",", Happened), lists:join(",", shown())])
        end,
        Steps
    ),
    case ets:lookup(alive, "") of
        [{_, Root}] -> stop(Root);
        [] -> ok
    end.

note(What, Path) ->
    ets:insert(journal, {erlang:unique_integer([monotonic]), [What, " ", Path]}).

%% --- steps

step(start, Tree) ->
    fails("", Tree),
    case supervisor:start_link(?MODULE, {"", Tree}) of
        {ok, _} -> "ok";
        {error, _} -> "failed"
    end;
step(stop, _) ->
    case ets:lookup(alive, "") of
        [{_, Root}] -> case is_process_alive(Root) of true -> stop(Root), "ok"; false -> "ok" end;
        [] -> "ok"
    end;
step({fails, Path, N}, _) ->
    ets:insert(fails, {Path, N}),
    "ok";
step({exit, Path, How}, _) ->
    case pid(Path) of
        none -> "nobody";
        Pid -> die(Pid, How), "ok"
    end;
step({burst, Path, Deaths}, _) ->
    %% The supervisor is held, so that all exits wait in its mailbox, in this order.
    Sup = pid(Path),
    sys:suspend(Sup),
    [die(pid(Child), How) || {Child, How} <- Deaths],
    sys:resume(Sup),
    "ok";
step({Verb, Path}, _) ->
    {Parent, Id} = split(Path),
    case pid(Parent) of
        none -> "noproc";
        Sup ->
            Function = list_to_existing_atom(atom_to_list(Verb) ++ "_child"),
            case catch supervisor:Function(Sup, Id) of
                ok -> "ok";
                {ok, _} -> "ok";
                {error, Why} when Why =:= not_found; Why =:= running; Why =:= restarting -> atom_to_list(Why);
                {error, _} -> "failed";
                {'EXIT', _} -> "noproc"
            end
    end.

stop(Root) ->
    Mon = monitor(process, Root),
    exit(Root, shutdown),
    receive {'DOWN', Mon, process, Root, _} -> ok end.

die(Pid, How) ->
    Mon = monitor(process, Pid),
    Pid ! {die, How},
    receive {'DOWN', Mon, process, Pid, _} -> ok end.

pid(Path) ->
    case ets:lookup(alive, Path) of
        [{_, Pid}] -> case is_process_alive(Pid) of true -> Pid; false -> none end;
        [] -> none
    end.

split(Path) ->
    case string:split(Path, "/", trailing) of
        [Parent, Id] -> {Parent, Id};
        [Id] -> {"", Id}
    end.

join("", Id) -> Id;
join(Path, Id) -> Path ++ "/" ++ Id.

%% --- supervisors and workers

fails(Path, {sup, _, _, _, _, _, _, Children}) ->
    [fails(join(Path, element(2, Child)), Child) || Child <- Children];
fails(Path, {work, _, _, _, N}) ->
    ets:insert_new(fails, {Path, N}).

init({Path, {sup, _, Strategy, Intensity, Auto, _, _, Children}}) ->
    ets:insert(alive, {Path, self()}),
    note("init", Path),
    Flags = #{strategy => Strategy, intensity => Intensity, period => 100000, auto_shutdown => Auto},
    {ok, {Flags, [child(Path, Child) || Child <- Children]}}.

child(Path, {work, Id, Restart, Significant, _}) ->
    #{id => Id, start => {?MODULE, start_worker, [join(Path, Id)]}, restart => Restart, significant => Significant};
child(Path, {sup, Id, _, _, _, Restart, Significant, _} = Tree) ->
    Start = {supervisor, start_link, [?MODULE, {join(Path, Id), Tree}]},
    #{id => Id, start => Start, restart => Restart, significant => Significant, type => supervisor}.

start_worker(Path) ->
    case ets:lookup(fails, Path) of
        [{_, N}] when N > 0 ->
            ets:insert(fails, {Path, N - 1}),
            note("fail", Path),
            {error, asked_to};
        _ -> proc_lib:start_link(?MODULE, worker, [self(), Path])
    end.

worker(Sup, Path) ->
    process_flag(trap_exit, true),
    ets:insert(alive, {Path, self()}),
    note("start", Path),
    proc_lib:init_ack(Sup, {ok, self()}),
    receive
        {die, crash} -> exit(crash);
        {die, How} -> exit(How);
        {'EXIT', Sup, Reason} -> note("stop", Path), exit(Reason)
    end.

%% --- waiting until nothing moves, and looking

quiet() -> quiet(none, 0).

quiet(_, 3) -> ok;
quiet(Before, Times) ->
    erlang:yield(),
    Now = {ets:info(journal, size), lists:sort([look(Pid) || {_, Pid} <- ets:tab2list(alive), is_process_alive(Pid)])},
    Idle = lists:all(fun({_, Queue, Status}) -> Queue =:= 0 andalso Status =:= waiting end, element(2, Now)),
    case Idle andalso Now =:= Before of
        true -> quiet(Now, Times + 1);
        false -> quiet(Now, 0)
    end.

look(Pid) ->
    case process_info(Pid, [message_queue_len, status]) of
        undefined -> {Pid, 1, gone};
        [{_, Queue}, {_, Status}] -> {Pid, Queue, Status}
    end.

%% Every child of every living supervisor, in start order: its path, and + (runs), - (undefined), ~ (restarting).
shown() ->
    case pid("") of
        none -> ["dead"];
        Root -> shown("", Root)
    end.

shown(Path, Sup) ->
    lists:append([shown_child(join(Path, Id), Pid, Type)
        || {Id, Pid, Type, _} <- lists:reverse(supervisor:which_children(Sup))]).

shown_child(Path, undefined, _) -> [[Path, "-"]];
shown_child(Path, restarting, _) -> [[Path, "~"]];
shown_child(Path, Pid, supervisor) -> [[Path, "+"] | shown(Path, Pid)];
shown_child(Path, _, worker) -> [[Path, "+"]].
