//! The headless node as its user runs it: a process that connects, is approved, is asked, and does what it was allowed to.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use clawhost_tests::compiler::skip;
use clawhost_tests::program::{Gateway, Home, PATIENCE};
use client::{ConnectOptions, Connection, Identity};
use serde_json::{Value, json};

/// A node that runs, and what it said until it was connected; killed when dropped.
struct Node(Child, Vec<String>);

impl Node {
    /// Starts one, and waits until it says that it is connected.
    fn start(home: &Home, flags: &str) -> Self {
        let mut command = home.command(["node", "run"].into_iter().chain(flags.split_whitespace()));
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let connected =
            lines.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains("connected to gateway"));
        assert!(connected, "it connects: {said:?}");
        // What it says later has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Node(child, said)
    }

    /// Asks it to stop; its exit code.
    fn stop(mut self) -> Option<i32> {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(asked.success());
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the answer is as wanted; each look is a request.
fn until(home: &Home, line: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = home.json(line);
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{line}: {answer}");
    }
}

fn invoke(node: &Value, command: &str, params: &Value) -> String {
    let question = json!({ "nodeId": node, "command": command, "params": params, "idempotencyKey": "k" });
    format!("call node.invoke --params {question}")
}

#[test]
fn a_node_is_approved_and_does_what_its_user_allows() {
    let home = Home::default();
    let mut gateway = home.start();
    let node = Node::start(&home, "--name box --location 52.5,13.4");
    let waiting = until(&home, "call node.pair.list", |list| list["pending"][0]["displayName"] == "box");
    let request = &waiting["pending"][0];
    let id = request["nodeId"].clone();
    // Where it stands is nothing that a Linux machine tells unless the gateway's operator names it.
    assert_eq!(request["commands"], json!(["system.execApprovals.get", "system.run", "system.which"]));
    let which = invoke(&id, "system.which", &json!({ "bins": ["sh"] }));
    assert!(home.run(&which).err.contains("not allowed"), "nobody approved it");
    home.json(&format!("call node.pair.approve --params {}", json!({ "requestId": request["requestId"] })));
    assert!(home.json(&which)["payload"]["bins"]["sh"].as_str().expect("a path").ends_with("/sh"));

    let print = invoke(&id, "system.run", &json!({ "command": ["printf", "done"] }));
    let refused = home.run(&print);
    assert!(refused.code == Some(1) && refused.err.contains("SYSTEM_RUN_DISABLED"), "{refused:?}");
    assert_eq!(home.run("node allow **/printf").code, Some(0));
    let payload = home.json(&print)["payload"].clone();
    assert_eq!((&payload["stdout"], &payload["exitCode"]), (&json!("done"), &json!(0)));
    let other = home.run(&invoke(&id, "system.run", &json!({ "command": ["touch", "proof"] })));
    assert!(other.err.contains("SYSTEM_RUN_DENIED") && !home.path().join("proof").exists(), "{other:?}");
    let wrong = home.run("node allow printf");
    assert!(wrong.code == Some(2) && wrong.err.contains("from the root"), "{wrong:?}");

    assert_eq!(node.stop(), Some(0));
    until(&home, "call node.list", |list| list["nodes"][0]["connected"] == false);
    let gone = home.run(&which);
    assert!(gone.code == Some(1) && gone.err.contains("node not connected"), "{gone:?}");

    // The device and the approval are still there when it comes back.
    let node = Node::start(&home, "--name box --location geoclue --no-canvas");
    assert!(node.1.iter().any(|line| line.contains("no location: GeoClue does not answer")), "{:?}", node.1);
    let abilities = node.1.iter().find(|line| line.contains("abilities: ")).expect("it says what it has");
    assert!(!abilities.contains("location.get") && !abilities.contains("canvas."), "{abilities}");
    assert!(until(&home, &which, |answer| answer["ok"] == true)["payload"]["bins"]["sh"].is_string());
    gateway.terminate();
}

#[test]
fn a_generated_picture_comes_through_where_the_gateway_allows_it() {
    let has_ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok_and(|ran| ran.status.success());
    if !has_ffmpeg {
        let why = "a_generated_picture_comes_through_where_the_gateway_allows_it needs ffmpeg, which is missing";
        return skip("CLAWHOST_REQUIRE_MEDIA", why);
    }
    let home = Home::default();
    home.configure("[plugins.node.config]\nallow_commands = [\"camera.list\", \"camera.snap\"]\n");
    let mut gateway = home.start();
    let _node = Node::start(&home, "--name box --camera test");
    let waiting = until(&home, "call node.pair.list", |list| list["pending"][0]["displayName"] == "box");
    home.json(&format!(
        "call node.pair.approve --params {}",
        json!({ "requestId": waiting["pending"][0]["requestId"] })
    ));
    let params = json!({ "deviceId": "test", "maxWidth": 320 });
    let snap = home.json(&invoke(&waiting["pending"][0]["nodeId"], "camera.snap", &params));
    assert_eq!((&snap["payload"]["format"], &snap["payload"]["width"]), (&json!("jpg"), &json!(320)));
    gateway.terminate();
}

/// A node with a canvas that may be asked for these commands, and its id. None where there is no Chromium. `before` is done
/// before it comes.
fn canvas_node<T>(
    home: &Home,
    test: &str,
    commands: &[&str],
    before: impl FnOnce(&Gateway) -> T,
) -> Option<(Gateway, Node, Value, T)> {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success()))
    else {
        skip("CLAWHOST_REQUIRE_MEDIA", &format!("{test} needs Chromium, which is missing"));
        return None;
    };
    home.configure(&format!("[plugins.node.config]\nallow_commands = {commands:?}\n"));
    let gateway = home.start();
    let before = before(&gateway);
    let which = Command::new("sh").args(["-c", &format!("command -v {browser}")]).output().expect("a shell");
    let path = String::from_utf8(which.stdout).expect("a path");
    // As root it takes a decision; whoever is somebody else keeps the sandbox.
    let root = Command::new("id").arg("-u").output().expect("id runs").stdout == b"0\n";
    let flags = if root { " --browser-without-sandbox" } else { "" };
    if root {
        let refused = home.run(&format!("node run --browser {}", path.trim()));
        assert!(refused.code == Some(2) && refused.err.contains("--browser-without-sandbox"), "{refused:?}");
    }
    let node = Node::start(home, &format!("--name box --browser {}{flags}", path.trim()));
    let waiting = until(home, "call node.pair.list", |list| list["pending"][0]["displayName"] == "box");
    let request = &waiting["pending"][0];
    assert!(request["caps"].as_array().expect("caps").contains(&json!("canvas")), "{request}");
    home.json(&format!("call node.pair.approve --params {}", json!({ "requestId": request["requestId"] })));
    Some((gateway, node, request["nodeId"].clone(), before))
}

#[test]
fn a_canvas_is_shown_and_drawn_where_the_gateway_allows_it() {
    let home = Home::default();
    let commands = ["canvas.present", "canvas.eval", "canvas.snapshot", "canvas.hide"];
    let test = "a_canvas_is_shown_and_drawn_where_the_gateway_allows_it";
    let Some((mut gateway, node, id, ())) = canvas_node(&home, test, &commands, |_| ()) else { return };
    let pages = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = pages.local_addr().expect("it has one");
    std::thread::spawn(move || {
        for mut visitor in pages.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(&visitor);
            let mut line = String::new();
            while head.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<title>page</title>";
            let _ = visitor.write_all(answer.as_bytes());
        }
    });
    let present = json!({ "url": format!("http://{address}/"), "placement": { "width": 320, "height": 200 } });
    home.json(&invoke(&id, "canvas.present", &present));
    let told = home.json(&invoke(&id, "canvas.eval", &json!({ "javaScript": "document.title" })));
    assert_eq!(told["payload"], json!({ "result": "page" }));
    let drawn = home.json(&invoke(&id, "canvas.snapshot", &json!({ "format": "png" })));
    assert!(drawn["payload"]["base64"].as_str().expect("a picture").starts_with("iVBORw0KGgo"));
    home.json(&invoke(&id, "canvas.hide", &json!({})));
    assert_eq!(node.stop(), Some(0));
    gateway.terminate();
}

/// The gateway keeps two addresses a device. Another connection of the node's own device asks for two, so that the one in the
/// node's `hello-ok` is neither.
#[test]
fn a_canvas_whose_address_has_ended_is_shown_at_a_fresh_one() {
    let home = Home::default();
    let commands = ["canvas.present", "canvas.navigate", "canvas.eval"];
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let beside = |gateway: &Gateway| {
        let identity = Identity::load_or_create(&home.state().join("node-device.json")).expect("an identity");
        let token = std::fs::read_to_string(home.state().join("token")).expect("the gateway's token");
        let options = ConnectOptions::new(&gateway.url).token(token.trim()).identity(identity).role("node");
        let options = options.client("node-host", "node").scopes(Vec::<String>::new()).caps(["canvas"]).protocols(3, 4);
        runtime.block_on(Connection::open(options)).expect("it is let in")
    };
    let test = "a_canvas_whose_address_has_ended_is_shown_at_a_fresh_one";
    let Some((mut gateway, node, id, other)) = canvas_node(&home, test, &commands, beside) else { return };
    home.json(&invoke(&id, "canvas.present", &json!({})));
    let place = || {
        let script = json!({ "javaScript": "location.pathname" });
        home.json(&invoke(&id, "canvas.eval", &script))["payload"]["result"].as_str().expect("a path").to_string()
    };
    let before = place();
    for _ in 0..2 {
        let asked = json!({ "surface": "canvas" });
        let fresh: Value = runtime.block_on(other.request("node.pluginSurface.refresh", asked)).expect("a fresh one");
        assert!(!fresh["pluginSurfaceUrls"]["canvas"].as_str().expect("an address").contains(&before));
    }
    home.json(&invoke(&id, "canvas.navigate", &json!({ "url": "/__openclaw__/a2ui/" })));
    let after = place();
    assert!(after.ends_with("/__openclaw__/a2ui/") && after != before, "{before} {after}");
    let status = json!({ "javaScript": "performance.getEntriesByType('navigation')[0].responseStatus" });
    assert_eq!(home.json(&invoke(&id, "canvas.eval", &status))["payload"]["result"], "200");
    assert_eq!(node.stop(), Some(0));
    runtime.block_on(other.close());
    gateway.terminate();
}

/// What an agent pushes: a list that is bound to data, a field, a button, and text that looks like markup.
fn surface() -> Value {
    let component = |id: &str, is: Value| json!({ "id": id, "component": is });
    json!([
        { "surfaceUpdate": { "surfaceId": "main", "components": [
            component("root", json!({ "Column": { "children": { "explicitList": ["title", "list", "name", "go", "lost"] } } })),
            component("title", json!({ "Text": { "text": { "path": "/title" }, "usageHint": "h2" } })),
            component("list", json!({ "List": { "children": { "template": { "componentId": "item", "dataBinding": "/items" } } } })),
            component("item", json!({ "Text": { "text": { "path": "label" } } })),
            component("name", json!({ "TextField": { "label": { "literalString": "Name" }, "text": { "path": "/name" } } })),
            component("go", json!({ "Button": { "child": "word", "action": { "name": "go", "context": [
                { "key": "name", "value": { "path": "/name" } },
            ] } } })),
            component("word", json!({ "Text": { "text": { "literalString": "Go" } } })),
        ] } },
        { "dataModelUpdate": { "surfaceId": "main", "contents": [
            { "key": "title", "valueString": "<b onclick=alert(1)>Plan</b>" },
            { "key": "name", "valueString": "Ada" },
            { "key": "items", "valueMap": [
                { "key": "0", "valueMap": [{ "key": "label", "valueString": "one" }] },
                { "key": "1", "valueMap": [{ "key": "label", "valueString": "two" }] },
            ] },
        ] } },
        { "beginRendering": { "surfaceId": "main", "root": "root" } },
    ])
}

/// What the page shows, and what a click on its button tells after somebody wrote into its field.
const LOOK: &str = r##"(() => {
    const all = (what) => [...document.querySelectorAll(what)].map((it) => it.textContent);
    const field = document.querySelector("input");
    const before = field?.value;
    let told = null;
    addEventListener("a2uiaction", (event) => { told = event.detail; }, { once: true });
    if (field) { field.value = "Grace"; field.dispatchEvent(new Event("input")); }
    document.querySelector("#surfaces button")?.click();
    return JSON.stringify({ title: all("#surfaces h2"), markup: document.querySelectorAll("#surfaces b").length,
        items: all("#surfaces li"), before, told: told && { name: told.name, source: told.sourceComponentId, context: told.context } });
})()"##;

#[test]
fn what_agents_push_is_drawn_as_text_and_tells_what_people_do() {
    let home = Home::default();
    let commands = ["canvas.eval", "canvas.a2ui.push", "canvas.a2ui.reset"];
    let test = "what_agents_push_is_drawn_as_text_and_tells_what_people_do";
    let Some((mut gateway, node, id, ())) = canvas_node(&home, test, &commands, |_| ()) else { return };
    let ask = |command: &str, params: &Value| {
        let question = json!({ "nodeId": id, "command": command, "params": params, "idempotencyKey": "k" });
        let mut call = home.command(["call", "node.invoke", "--json", "--params", &question.to_string()]);
        let done = call.output().expect("the program runs");
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{command}: {told}");
        serde_json::from_slice::<Value>(&done.stdout).expect("it prints JSON")["payload"].clone()
    };
    let look = || {
        let seen = ask("canvas.eval", &json!({ "javaScript": LOOK }));
        serde_json::from_str::<Value>(seen["result"].as_str().expect("a text")).expect("it is JSON")
    };
    ask("canvas.a2ui.push", &json!({ "messages": surface() }));
    let told = json!({ "name": "go", "source": "go", "context": { "name": "Grace" } });
    let drawn = json!({
        "title": ["<b onclick=alert(1)>Plan</b>"], "markup": 0, "items": ["one", "two"], "before": "Ada", "told": told,
    });
    assert_eq!(look(), drawn);

    // A change of the data is drawn too, and what nobody can draw harms nothing.
    let odd = json!([
        { "dataModelUpdate": { "surfaceId": "main", "path": "/items", "contents": [
            { "key": "2", "valueMap": [{ "key": "label", "valueString": "three" }] },
            { "key": "__proto__", "valueMap": [{ "key": "label", "valueString": "x" }] },
        ] } },
        { "surfaceUpdate": { "surfaceId": "main", "components": [
            { "id": "lost", "component": { "Column": { "children": { "explicitList": ["lost", "root"] } } } },
            { "id": "odd", "component": { "constructor": {} } }, 7, null,
        ] } },
        { "noSuchMessage": {} }, null,
    ]);
    ask("canvas.a2ui.push", &json!({ "messages": odd }));
    let items = look()["items"].clone();
    assert_eq!(items, json!(["one", "two", "three"]));
    ask("canvas.a2ui.reset", &json!({}));
    assert_eq!((look()["title"].clone(), look()["items"].clone()), (json!([]), json!([])));
    assert_eq!(node.stop(), Some(0));
    gateway.terminate();
}
