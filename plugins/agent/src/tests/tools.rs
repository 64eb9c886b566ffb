//! What a model asks for: whose rights its tools have, and what bounds them.

use super::*;

#[test]
fn a_client_s_tools_are_called_with_its_rights_and_own_runs_follow_the_list() {
    let tools = json!({ "tools": ["node.*"], "toolsDenied": ["node.rename"] });
    let (harness, calls) = keeping(harness(json!({}), tools), BACKEND);
    let (harness, invoked) = keeping(harness, "node.invoke");
    let plugin = harness.start();
    for (place, is_client) in [(0, true), (1, false)] {
        let run_id = format!("r{place}");
        let call = if is_client { client(&plugin, &run_id, "main") } else { own(&plugin, &run_id, json!({})) };
        let backend = nth(&plugin, &calls, place * 3);
        let offered = backend.params()["tools"].as_array().expect("tools").clone();
        assert_eq!(offered.iter().map(|tool| &tool["name"]).collect::<Vec<_>>(), [&json!("node_invoke")]);
        assert_eq!(offered[0]["parameters"]["properties"], json!({}), "the key is not the model's business");
        backend.finish(Ok(tool_call("node_invoke", json!({ "command": "x" }))));
        let tool = nth(&plugin, &invoked, place);
        let (role, by) = (tool.asked().caller.role.clone(), tool.asked().by.clone());
        assert_eq!((role.as_str(), by.as_str()), (if is_client { "operator" } else { "plugin" }, "agent"));
        assert_eq!(tool.params()["idempotencyKey"], format!("{run_id}:t1"));
        match is_client {
            true => tool.finish(Err(ErrorShape::missing_scope("operator.write", &["operator.write".into()]))),
            false => tool.finish(Ok(json!({ "ok": true }))),
        }
        let again = nth(&plugin, &calls, place * 3 + 1);
        let result = again.params()["messages"].as_array().expect("messages").last().expect("a result").clone();
        assert_eq!((&result["role"], &result["toolCallId"]), (&json!("toolResult"), &json!("t1")));
        assert_eq!(result["isError"], is_client, "a refusal is the tool's result");
        // What is not offered is not called, whatever the model says.
        again.finish(Ok(tool_call("node_rename", json!({}))));
        let last = nth(&plugin, &calls, place * 3 + 2);
        last.finish(Ok(answer("done")));
        call.wait().payload();
        let phases = phases(&events(&plugin, &run_id));
        assert!(phases.iter().all(|phase| !phase.starts_with("tool")), "nobody wanted to see tools: {phases:?}");
    }
    assert!(plugin.asked().iter().all(|asked| asked.method != "node.rename"));
}

#[test]
fn calls_that_share_an_id_are_carried_out_one_by_one() {
    let (harness, calls) = keeping(harness(json!({}), json!({ "tools": ["node.*"] })), BACKEND);
    let plugin = harness.answer("node.invoke", json!({ "ok": true })).start();
    let call = client(&plugin, "r", "main");
    nth(&plugin, &calls, 0).finish(Ok(tool_call("node_invoke", json!({}))));
    nth(&plugin, &calls, 1).finish(Ok(tool_call("node_invoke", json!({}))));
    let last = nth(&plugin, &calls, 2);
    let messages = last.params()["messages"].as_array().expect("messages").clone();
    let answered: Vec<_> = messages.iter().filter_map(|message| message["toolCallId"].as_str()).collect();
    assert_eq!(answered, ["t1", "t1_2"]);
    assert_eq!(messages[3]["content"][0]["id"], "t1_2", "a call and its answer go together");
    last.finish(Ok(answer("done")));
    call.wait().payload();
    let invoked = plugin.asked().into_iter().filter(|asked| asked.method == "node.invoke");
    let keys: Vec<Value> = invoked.map(|asked| asked.params["idempotencyKey"].clone()).collect();
    assert_eq!(keys, ["r:t1", "r:t1_2"], "the second one is no repetition of the first");
}

#[test]
fn tools_are_told_where_wanted_and_bounded() {
    let (harness, calls) =
        keeping(harness(json!({ "max_tool_rounds": 1, "tool_timeout_ms": 4_000 }), json!({ "tools": ["*"] })), BACKEND);
    let entry = json!({ "verboseLevel": "full" });
    let (harness, invoked) = keeping(harness, "node.invoke");
    let plugin = harness
        .answer("session.store.open", json!({ "key": "k", "agentId": "main", "sessionId": "s", "entry": entry }))
        .answer("session.store.append", json!({ "key": "k", "sessionId": "s", "ids": [], "total": 1 }))
        .answer("session.store.transcript", json!({ "key": "k", "messages": [], "total": 0 }))
        .start();
    let call = client(&plugin, "r", "main");
    nth(&plugin, &calls, 0).finish(Ok(tool_call("node_invoke", json!({}))));
    let tool = nth(&plugin, &invoked, 0);
    plugin.advance(4 * SECOND);
    tool.wait_ended();
    nth(&plugin, &calls, 1).finish(Ok(tool_call("node_invoke", json!({}))));
    assert_eq!(call.wait().error().details.expect("details")["code"], "TOOL_LOOP");
    let events = events(&plugin, "r");
    let phases = phases(&events);
    assert_eq!(phases[2..4], ["tool start", "tool result"]);
    assert_eq!((&events[2]["data"]["toolCallId"], &events[3]["data"]["isError"]), (&json!("t1"), &json!(true)));
}

#[test]
fn tools_are_shown_to_clients_of_the_session_that_ask_for_it() {
    let (harness, calls) = keeping(harness(json!({}), json!({ "tools": ["node.*"] })), BACKEND);
    let plugin = harness.answer("node.invoke", json!({ "ok": true })).start();
    let connected = |conn: u64, protocol: u32| {
        let mut opened = plugin_kit::sample::opened(conn);
        opened.connection.protocol = protocol;
        opened.connection.caps = vec!["tool-events".to_string()];
        plugin.open_connection(&opened);
        opened
    };
    let (direct, through_chat, old) = (connected(7, 4), connected(8, 4), connected(9, 3));
    let begin = |who: Who, key: &str| {
        let params = json!({ "message": "hi", "idempotencyKey": key, "sessionKey": "main" });
        let call = plugin.begin_as(who, "agent", params);
        assert_eq!(call.next_interim()["status"], "accepted");
        call
    };
    let first = begin(Who::of(&direct), "a");
    nth(&plugin, &calls, 0);
    // A call on a client's behalf has no connection, and names it all the same.
    let id = through_chat.connection.conn_id.clone();
    let second = begin(Who::of(&through_chat).conn(0).with(|caller| caller.conn_id = Some(id)), "b");
    let third = begin(Who::of(&old), "c");
    for (place, call) in [first, second, third].into_iter().enumerate() {
        nth(&plugin, &calls, 2 * place).finish(Ok(tool_call("node_invoke", json!({}))));
        nth(&plugin, &calls, 2 * place + 1).finish(Ok(answer("done")));
        call.wait().payload();
    }
    let shown = |run_id: &str| {
        let is_tool =
            |event: &plugin_kit::Emitted| event.payload["runId"] == run_id && event.payload["stream"] == "tool";
        plugin.events().into_iter().filter(is_tool).map(|event| event.conns).collect::<Vec<_>>()
    };
    assert_eq!(shown("a"), vec![Some(vec![7, 8]); 2], "the one that began it, and one that came into its session");
    assert_eq!(shown("b"), vec![Some(vec![8]); 2]);
    assert_eq!(shown("c"), Vec::<Option<Vec<u64>>>::new(), "it needs 4");
}
