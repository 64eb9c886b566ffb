use std::fs;
use std::path::Path;

use super::*;

/// An environment of a few variables, with a home folder that no test touches.
fn environment<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.to_string()).or_else(|| (name == "HOME").then(|| "/nonexistent/home".to_string()))
    }
}

/// A configuration from this text.
fn load(text: &str, overrides: Overrides, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let result = Config::load(Overrides { config: Some(path), ..overrides }, environment(variables));
    result.map_err(|error| ConfigError { file: Some("config.toml".into()), ..error })
}

fn refused(text: &str) -> String {
    load(text, Overrides::default(), &[]).unwrap_err().to_string()
}

#[test]
fn a_flag_beats_each_variable_in_its_order_and_these_the_file() {
    let file = "[gateway]\nport = 1\n";
    let mut variables = vec![];
    let port = |overrides, variables: &[(&str, &str)]| load(file, overrides, variables).unwrap().gateway.port;
    assert_eq!(load("", Overrides::default(), &[]).unwrap().gateway.port, 18789);
    assert_eq!(port(Overrides::default(), &variables), 1);
    for (name, value, number) in [
        ("CLAWDBOT_GATEWAY_PORT", "2", 2),
        ("OPENCLAW_GATEWAY_PORT", "3", 3),
        ("CLAWHOST_PORT", "4", 4),
        ("CLAWHOST_GATEWAY_PORT", "5", 5),
    ] {
        variables.push((name, value));
        assert_eq!(port(Overrides::default(), &variables), number);
    }
    assert_eq!(port(Overrides { port: Some(6), ..Overrides::default() }, &variables), 6);
    assert_eq!(port(Overrides::default(), &[("CLAWHOST_PORT", " ")]), 1, "an empty variable says nothing");
}

#[test]
fn every_wrong_thing_is_listed_with_its_place() {
    let overrides = Overrides { bind: Some("nowhere".to_string()), ..Overrides::default() };
    let text = "[gateway.limits]\nmax_playload = 1\n[gateway]\ntrusted_proxies = [\"10.0.0.0/40\"]\n";
    let error = load(text, overrides, &[("CLAWHOST_PORT", "many")]).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(
        lines,
        [
            "config.toml:2: [gateway.limits]: unknown key \"max_playload\"; did you mean \"max_payload\"?",
            "CLAWHOST_PORT=many: a whole number from 0 to 65535 is needed",
            "--bind nowhere: \"loopback\", \"lan\", \"tailnet\", \"auto\", \"custom\" or an IP address is needed",
            "config.toml:4: [gateway] trusted_proxies = [\"10.0.0.0/40\"]: an IP address or network is needed in place of \
             \"10.0.0.0/40\"",
        ]
    );
}

#[test]
fn a_named_file_must_exist_and_one_in_the_state_folder_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Overrides { config: Some(folder.path().join("none.toml")), ..Overrides::default() };
    let error = Config::load(missing, environment(&[])).unwrap_err().to_string();
    assert!(error.contains("none.toml") && error.contains("--config"), "{error}");
    let json = Config::load(Overrides::default(), environment(&[("OPENCLAW_CONFIG_PATH", "/x/openclaw.json")]));
    let error = json.unwrap_err().to_string();
    assert!(error.contains("TOML, not JSON (named by OPENCLAW_CONFIG_PATH)"), "{error}");

    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("config.toml"), "[gateway]\nport = 7\n").unwrap();
    let overrides = Overrides { state_dir: Some(state.clone()), ..Overrides::default() };
    let config = Config::load(overrides, environment(&[])).unwrap();
    assert_eq!((config.gateway.port, config.gateway.state_dir), (7, state));
    let file = config.file.unwrap();
    assert_eq!(file.text.expose(), "[gateway]\nport = 7\n");
    assert_eq!(file.sha256.len(), 64);
}

/// It is read again while the gateway runs: what can be read once, or without end, would keep a worker for ever.
#[test]
fn a_configuration_is_a_regular_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for place in [Path::new("/dev/zero"), folder.path()] {
        let overrides = Overrides { config: Some(place.to_path_buf()), ..Overrides::default() };
        let error = Config::load(overrides, |_| None).expect_err("it is no file").to_string();
        assert!(error.contains("it is not a regular file") && error.contains("named by --config"), "{error}");
    }
}

#[test]
fn paths_of_the_file_are_seen_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, "[gateway]\nstate_dir = \"state\"\n[gateway.auth]\ntoken_file = \"secret.txt\"\n").unwrap();
    fs::write(folder.path().join("secret.txt"), "hunter2\n").unwrap();
    let overrides = || Overrides { config: Some(path.clone()), ..Overrides::default() };
    let config = Config::load(overrides(), environment(&[])).unwrap();
    assert_eq!(config.gateway.state_dir, folder.path().join("state"));
    assert!(config.gateway.auth.token.unwrap().matches("hunter2"));
    let from_variable = Config::load(overrides(), environment(&[("CLAWDBOT_GATEWAY_TOKEN", "other")])).unwrap();
    assert!(from_variable.gateway.auth.token.unwrap().matches("other"), "the environment stands above the file");
    fs::remove_file(folder.path().join("secret.txt")).unwrap();
    let error = Config::load(overrides(), environment(&[])).unwrap_err().to_string();
    assert!(error.contains("[gateway.auth] token_file = \"secret.txt\": cannot read"), "{error}");
    let home = load("", Overrides::default(), &[]).unwrap();
    assert_eq!(home.gateway.state_dir, Path::new("/nonexistent/home/.clawhost"));
}

#[test]
fn an_address_that_nobody_listens_on_is_refused_unless_a_flag_says_so() {
    let custom = "[gateway]\ncustom_bind = \"127.0.0.2\"\n";
    let needed = "config.toml:2: [gateway] custom_bind = \"127.0.0.2\": bind = \"custom\" is needed as well";
    assert!(refused(custom).starts_with(needed), "{}", refused(custom));
    let contrary = refused(&format!("{custom}bind = \"lan\"\n"));
    assert!(contrary.starts_with(needed) && contrary.contains("with bind = \"lan\" it does nothing"), "{contrary}");

    let both = format!("{custom}bind = \"custom\"\n");
    let address = Bind::Address("127.0.0.2".parse().unwrap());
    assert_eq!(load(&both, Overrides::default(), &[]).unwrap().gateway.bind, address);
    let typed = Overrides { bind: Some("auto".to_string()), ..Overrides::default() };
    assert_eq!(load(&both, typed, &[]).unwrap().gateway.bind, Bind::Auto);
    assert_eq!(load(custom, Overrides::default(), &[("CLAWHOST_BIND", "custom")]).unwrap().gateway.bind, address);
}

#[test]
fn the_mode_follows_from_the_secrets_unless_it_is_said() {
    let mode = |text: &str| load(text, Overrides::default(), &[]).unwrap().gateway.auth.mode;
    assert_eq!(mode(""), AuthMode::Token);
    assert_eq!(mode("[gateway.auth]\npassword = \"p\""), AuthMode::Password);
    assert_eq!(mode("[gateway.auth]\npassword = \"p\"\ntoken = \"t\""), AuthMode::Password);
    assert_eq!(mode("[gateway.auth]\npassword = \"p\"\ntoken = \"t\"\nmode = \"token\""), AuthMode::Token);
    let typed = Overrides { token: Some(Secret::new("t")), ..Overrides::default() };
    assert_eq!(load("[gateway.auth]\npassword = \"p\"", typed, &[]).unwrap().gateway.auth.mode, AuthMode::Token);
    assert!(refused("[gateway.auth]\nmode = \"password\"").contains("no password is configured"));
    assert!(refused("[gateway.auth]\ntoken = \"t\"\ntoken_file = \"f\"").contains("only one of the two"));
    assert!(refused("[gateway.auth]\ntoken = \" \"").contains("[gateway.auth] token: a text that is not only blanks"));
}

#[test]
fn listening_beyond_this_machine_needs_a_secret() {
    for bind in ["lan", "tailnet", "0.0.0.0", "192.0.2.1", "::"] {
        let text = format!("[gateway]\nbind = \"{bind}\"\n");
        let error = refused(&text);
        assert!(error.starts_with("config.toml:2: [gateway] bind = ") && error.contains("shared secret"), "{error}");
        assert!(load(&text, Overrides::default(), &[("CLAWHOST_TOKEN", "t")]).is_ok());
    }
    assert!(load("[gateway]\nbind = \"127.0.0.1\"", Overrides::default(), &[]).is_ok());
    let state = tempfile::tempdir().unwrap();
    let overrides = || Overrides { state_dir: Some(state.path().to_path_buf()), ..Overrides::default() };
    assert!(load("[gateway]\nbind = \"lan\"", overrides(), &[]).is_err());
    fs::write(state.path().join("token"), "t").unwrap();
    assert!(load("[gateway]\nbind = \"lan\"", overrides(), &[]).is_ok(), "an earlier start made a token");
}

#[test]
fn values_of_the_file_arrive() {
    let text = "[gateway]\nbind = \"custom\"\ncustom_bind = \"127.0.0.3\"\nallowed_origins = [\"https://A.example/\"]\n\
                allowed_hosts = [\"Box.local\"]\ntrusted_proxies = [\"10.0.0.0/8\"]\nclient_ids = [\"mine\"]\n\
                log = { level = \"debug\", format = \"json\" }\n[gateway.limits]\nmax_payload = 2048\n\
                tick_interval_ms = 100\n[gateway.auth]\ntoken_ttl = \"1h\"\n[gateway.methods.node]\ndeny = [\"*\"]\n\
                [plugins.status]\nenabled = false\n";
    let config = load(text, Overrides::default(), &[("CLAWHOST_LOG", "warn")]).unwrap();
    let gateway = &config.gateway;
    assert_eq!(config.listen_addresses(), ["127.0.0.3:18789".parse().unwrap()]);
    assert_eq!((&*gateway.allowed_origins[0], &*gateway.allowed_hosts[0]), ("https://a.example", "box.local"));
    assert!(gateway.trusted_proxies[0].contains("10.1.1.1".parse().unwrap()));
    assert_eq!((gateway.log.format, &*gateway.log.level), (LogFormat::Json, "warn"));
    let by_variable = load("", Overrides::default(), &[("CLAWHOST_LOG_FORMAT", "json")]).unwrap();
    assert_eq!(by_variable.gateway.log.format, LogFormat::Json);
    assert_eq!((gateway.limits.max_payload, gateway.limits.tick_interval_ms), (2048, 100));
    assert_eq!(gateway.auth.token_ttl.as_secs(), 3_600);
    assert!(gateway.methods.permits("operator", "health") && !gateway.methods.permits("node", "health"));
    assert!(!config.plugin("status").enabled && config.plugin("health").enabled);
    assert!(refused("[gateway]\nbind = \"custom\"").contains("custom_bind is needed"));
    assert!(refused("[gateway.limits]\nmax_buffered_hard_bytes = 1024").contains("at least max_buffered_bytes"));
}

#[test]
fn hosts_are_names_and_no_patterns() {
    assert!(load("[gateway]\nallowed_hosts = [\"*\", \"gw.example\"]", Overrides::default(), &[]).is_ok());
    let wrong = "a host name without scheme or path, or \"*\", is needed in place of \"*.example.org\"";
    let said = refused("[gateway]\nallowed_hosts = [\"*.example.org\"]");
    assert!(said.starts_with("config.toml:2: ") && said.ends_with(wrong), "{said}");
}

#[test]
fn secrets_that_are_others_than_before_hold_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let config = |secret: &str, named: &str| {
        fs::write(&file, secret).unwrap();
        let auth = format!("[gateway.auth]\ntoken_file = {file:?}\npassword = \"{secret}\"\n");
        let token = format!("name = \"a\"\ntoken = \"{named}-hunter2-hunter2\"\nscopes = [\"operator.read\"]\n");
        load(&format!("{auth}[[gateway.auth.tokens]]\n{token}"), Overrides::default(), &[]).unwrap()
    };
    let before = config("hunter2", "one");
    assert_eq!(config("hunter2", "one").needs_restart(&before), [""; 0]);
    assert_eq!(config("hunter2", "two").needs_restart(&before), ["gateway.auth.tokens"]);
    let others = ["gateway.auth.token_file", "gateway.auth.password"];
    assert_eq!(config("hunter3", "one").needs_restart(&before), others);
    let none = load("", Overrides::default(), &[]).unwrap();
    let keys = ["gateway.auth.mode", "gateway.auth.password", "gateway.auth.token_file", "gateway.auth.tokens"];
    assert_eq!(none.needs_restart(&before), keys);
}

#[test]
fn plugins_that_do_not_exist_are_refused_with_the_nearest() {
    let config = load("\n[plugins.agnet]\n", Overrides::default(), &[]).unwrap();
    let error = config.check_plugin_ids(&["agent", "health"]).unwrap_err();
    assert_eq!(error.issues[0].message, "[plugins.agnet]: no such plugin; did you mean \"agent\"?");
    assert_eq!(error.issues[0].line, Some(2));
    assert!(config.check_plugin_ids(&["agnet"]).is_ok());
}

#[test]
fn no_secret_is_shown() {
    let text =
        "[gateway.auth]\ntoken = \"hunter2\"\npassword = \"hunter2\"\n[plugins.x.config]\nbot_token = \"hunter2\"\n";
    let config = load(text, Overrides::default(), &[]).unwrap();
    let shown = config.redacted();
    assert_eq!(shown["gateway"]["auth"]["token"], REDACTED);
    assert_eq!(shown["gateway"]["auth"]["mode"], "password");
    assert_eq!(shown["gateway"]["limits"]["max_payload"], 524_288);
    assert!(!shown.to_string().contains("hunter2") && !format!("{config:?}").contains("hunter2"));
}

#[test]
fn of_a_plugin_the_same_is_shown_as_it_stands_in_the_file_and_as_it_is_in_force() {
    let text = "[plugins.x.config]\nurl = \"https://ann:hunter2@example.org/\"\nargs = [\"--api-key\", \"hunter2\", 5]\n\
                env = [\"KEY=hunter2\"]\nmore = [{ headers = [{ name = \"cookie\", value = \"hunter2\" }] }]\n\
                [plugins.x.config.headers]\ncookie = \"hunter2\"\ncount = 5\nstrict = true\n";
    let shown = load(text, Overrides::default(), &[]).unwrap().redacted();
    assert_eq!(crate::redact::toml_value(text)["plugins"]["x"]["config"], shown["plugins"]["x"]["config"]);
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
}

#[test]
fn named_tokens_are_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "hunter2-hunter2-hunter2\n").unwrap();
    let text = format!(
        "[[gateway.auth.tokens]]\nname = \"a\"\ntoken_file = {file:?}\nscopes = [\"operator.read\"]\n\
         expires = 2027-01-31T12:00:00+01:00\nfrom = [\"10.0.0.0/8\"]\n\
         [[gateway.auth.tokens]]\nname = \"b\"\ntoken = \"hunter2-hunter2-hunter3\"\nmethods = [\"health\"]\n"
    );
    let config = load(&text, Overrides::default(), &[]).unwrap();
    let [a, b] = &config.gateway.auth.named[..] else { panic!("two are needed") };
    assert!(a.secret.matches("hunter2-hunter2-hunter2") && b.secret.matches("hunter2-hunter2-hunter3"));
    assert_eq!(
        (a.bounds.scopes.as_slice(), a.bounds.expires_at_ms),
        (&["operator.read".into()][..], Some(1_801_393_200_000))
    );
    assert!(a.bounds.methods.permits("anything") && a.bounds.from.is_some());
    assert!(b.bounds.methods.permits("health") && !b.bounds.methods.permits("status"));
    assert!(b.bounds.scopes.is_empty() && b.bounds.from.is_none() && b.bounds.expires_at_ms.is_none());
    let shown = &config.redacted()["gateway"]["auth"]["tokens"];
    let expected = json!({"name": "b", "token": REDACTED, "scopes": [], "methods": ["health"]});
    assert_eq!((&shown[0]["methods"], &shown[1]), (&json!(["*"]), &expected));
    assert!(!shown.to_string().contains("hunter2") && !format!("{config:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong_with_a_named_token_is_told() {
    let sound = "name = \"a\"\ntoken = \"0123456789abcdef\"\nscopes = [\"operator.read\"]\n";
    let told = |tables: &[&str]| {
        let text: String = tables.iter().map(|table| format!("[[gateway.auth.tokens]]\n{table}")).collect();
        refused(&text)
    };
    let without = |key: &str| {
        let lines = sound.lines().filter(|line| !line.starts_with(key));
        told(&[&lines.map(|line| format!("{line}\n")).collect::<String>()])
    };
    let with = |line: &str| told(&[&format!("{sound}{line}")]);
    let at = |line: usize, wrong: &str| format!("config.toml:{line}: [[gateway.auth.tokens]] {wrong}");
    assert_eq!(without("token"), at(1, "token: the secret is needed, or token_file"));
    assert_eq!(without("name"), at(1, "name: up to 64 letters, digits, \"-\", \"_\" and \".\" are needed"));
    assert_eq!(without("scopes"), at(1, "scopes: at least one scope is needed, or methods that need none"));
    assert_eq!(with("token_file = \"x\""), at(5, "token_file: token is set as well; only one of the two may be"));
    assert_eq!(with("from = []"), at(5, "from: an IP address or network is needed, or no such key"));
    assert_eq!(with("from = [\"x\"]"), at(5, "from: an IP address or network is needed in place of \"x\""));
    assert!(
        with("expires = \"soon\"").starts_with("config.toml:5: [gateway.auth.tokens] expires = \"soon\": a date, or")
    );
    let unknown = "config.toml:5: [[gateway.auth.tokens]]: unknown key \"expire\"; did you mean \"expires\"?";
    assert_eq!(with("expire = 2027-01-31"), unknown);
    let twice = [
        at(6, "name: there is another token \"a\"; a name of its own is needed"),
        at(7, "token: the same secret stands elsewhere; one of its own is needed"),
    ];
    assert_eq!(told(&[sound, sound]), twice.join("\n"));
    let short = sound.replace("9abcdef", "");
    assert_eq!(told(&[&short]), at(3, "token: a secret of at least 16 characters is needed"));
    let misspelt = sound.replace("operator.read", "operator.raed");
    let wrong = "scopes: unknown scope \"operator.raed\"; did you mean \"operator.read\"?";
    assert_eq!(told(&[&misspelt]), at(4, wrong));
    assert_eq!(
        refused("[gateway.auth]\ntokens = \"x\""),
        "config.toml:2: [gateway.auth] tokens: tables [[gateway.auth.tokens]] are needed"
    );
}

#[test]
fn a_text_is_judged_without_the_machine() {
    assert!(
        Config::validate_text("[gateway.auth]\nmode = \"password\"\npassword_file = \"/nonexistent/file\"").is_empty()
    );
    let issues = Config::validate_text("[gateway]\nport = true\nbind = \"x\"\n");
    let places: Vec<_> = issues.iter().map(|issue| (issue.path.as_str(), issue.line)).collect();
    assert_eq!(places, [("gateway.port", Some(2)), ("gateway.bind", Some(3))]);
    assert_eq!(Config::validate_text("a = ").first().and_then(|issue| issue.line), Some(1));
}

mod shipped {
    use super::*;

    const TEXT: &str = include_str!("../../../config.toml");

    /// The text with every `# key = value` and `# [table]` line made active; `# [[table]]` begins an example.
    fn uncommented() -> String {
        let active = |line: &str| {
            let Some(rest) = line.strip_prefix("# ") else { return line.to_string() };
            let is_of_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let key = rest.split_once(" = ").is_some_and(|(key, _)| key.chars().all(is_of_key));
            let table = rest.starts_with('[') && !rest.starts_with("[[") && rest.ends_with(']');
            if key || table { rest.to_string() } else { line.to_string() }
        };
        TEXT.lines().map(active).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn says_nothing_as_it_is() {
        let config = load(TEXT, Overrides::default(), &[]).unwrap();
        let nothing = load("", Overrides::default(), &[]).unwrap();
        assert_eq!(config.redacted(), nothing.redacted());
        assert!(config.plugins.is_empty());
    }

    #[test]
    fn holds_every_key_with_its_default() {
        let text = uncommented();
        let config = load(&text, Overrides::default(), &[]).unwrap();
        let defaults = load("", Overrides::default(), &[]).unwrap();
        assert_eq!(config.redacted()["gateway"], defaults.redacted()["gateway"]);
        assert!(!config.plugin("status").enabled, "the example works");
        let parsed: toml::Table = text.parse().unwrap();
        for key in keys::all() {
            let found = key
                .path
                .split('.')
                .try_fold(&toml::Value::Table(parsed.clone()), |value, name| value.get(name))
                .is_some();
            assert!(found, "{} is missing from config.toml", key.path);
        }
    }

    #[test]
    fn explains_every_key_of_a_named_token_with_an_example_that_works() {
        let (_, example) = TEXT.split_once("# [[gateway.auth.tokens]]\n").expect("there is an example");
        let lines = example.lines().map_while(|line| line.strip_prefix("#   "));
        let values = lines.filter_map(|line| line.split_once("   ").map(|(value, _)| value));
        let table: toml::Table = values.collect::<Vec<_>>().join("\n").parse().expect("the values are TOML");
        for key in named_tokens::KEYS.iter().filter(|key| key.kind != keys::Kind::Secret) {
            assert!(table.contains_key(key.name()), "{} is missing from config.toml", key.path);
        }
        assert_eq!(Config::validate_text(&format!("[[gateway.auth.tokens]]\n{table}")), []);
    }
}

#[test]
fn the_default_is_what_an_empty_file_says() {
    let defaults = Config::default();
    assert_eq!(defaults.gateway.limits, Limits::default());
    assert_eq!(defaults.gateway.bind, Bind::Loopback);
    assert_eq!(defaults.gateway.methods, MethodRules::default());
    assert!(defaults.plugins.is_empty() && defaults.warnings.is_empty());
}

#[test]
fn a_plugins_file_is_looked_for_beside_the_configuration_and_then_in_the_folder_of_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let (beside, kept) = (folder.path().join("x.so"), folder.path().join("state/plugins/x.so"));
    let path = folder.path().join("config.toml");
    fs::write(
        &path,
        "[gateway]\nstate_dir = \"state\"\n[plugins.x]\npath = \"x.so\"\n[plugins.y]\npath = \"~/y.so\"\n",
    )
    .unwrap();
    let config = Config::load(Overrides { config: Some(path), ..Overrides::default() }, environment(&[])).unwrap();
    let found = |id: &str| config.plugin_file(&config.plugin(id)).unwrap();
    assert_eq!(found("x"), beside, "a file that is nowhere is missed where it should be");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "").unwrap();
    assert_eq!(found("x"), kept);
    fs::write(&beside, "").unwrap();
    assert_eq!(found("x"), beside);
    assert_eq!(found("y"), Path::new("/nonexistent/home/y.so"));
    assert_eq!(config.plugin_file(&config.plugin("status")), None);
}

#[test]
fn keys_and_names_of_loaded_plugins_are_checked_before_anything_starts() {
    assert_eq!(
        refused("[gateway.plugins]\nkeys = [\"abc\"]"),
        "config.toml:2: [gateway.plugins] keys = [\"abc\"]: an Ed25519 public key, its 32 bytes in base64, is needed in \
         place of \"abc\""
    );
    assert!(
        refused("[plugins.x]\npath = \"x.so\"\nsha256 = \"5\"").starts_with("config.toml:3: [plugins.x] sha256 = ")
    );
    let config = load("[plugins.\"../x\"]\npath = \"x.so\"\n[plugins.y]\npath = \"y.so\"", Overrides::default(), &[]);
    let error = config.unwrap().check_plugin_ids(&[]).unwrap_err();
    assert_eq!(error.issues.len(), 1);
    assert!(error.issues[0].message.starts_with("[plugins.../x]: id \"../x\" must be"), "{error}");
    let warned = load("[gateway.plugins]\nallow_unpinned = true", Overrides::default(), &[]).unwrap();
    assert!(warned.warnings[0].contains("allow_unpinned"));
}
