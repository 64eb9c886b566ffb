//! `clawhost dashboard`: where the page is, with a code in the address by which one browser comes in.

use clap::Args;
use client::Connection;
use schemas::scope;
use schemas::setup_code::SetupCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::devices::{Grant, rights};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, clean, print, span};

/// The plugin that serves the page.
const PAGE: &str = "console";
const QUESTIONS: &str = "operator.questions";
/// Everything that the page has a use for. Whoever runs this may do all of it, or is given less.
const SCOPES: [&str; 6] = [scope::ADMIN, scope::APPROVALS, scope::PAIRING, QUESTIONS, scope::READ, scope::WRITE];

/// Where the browser is, and what it may do.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    #[command(flatten)]
    grant: Grant,
    /// Where the browser reaches the gateway (http://HOST:PORT or https://HOST:PORT), if not as this command does
    #[arg(long, value_name = "URL")]
    reach: Option<String>,
    /// A name for the browser
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Print the link and open nothing, which is what is done in any case
    #[arg(long, hide = true)]
    no_open: bool,
}

/// The answer of `device.pair.setupCode`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    setup_code: String,
    expires_at_ms: u64,
    #[serde(default)]
    scopes: Vec<String>,
}

/// Makes the link and prints it.
pub fn run(args: DashboardArgs, context: &Context) -> Result<(), Failure> {
    let DashboardArgs { grant, reach, label, no_open: _ } = args;
    let socket = match &reach {
        Some(url) => socket_address(url)?,
        None => context.target.address()?,
    };
    let mut params = json!({ "scopes": SCOPES, "url": socket });
    grant.put_into(&mut params);
    if let Some(label) = label {
        params["label"] = Value::String(label);
    }
    let (base, made) = context.with_gateway(async |connection| {
        let base = base_path(connection).await?;
        let question = Question::new("device.pair.setupCode", "devices").with(params);
        Ok((base, question.ask_for::<Made>(connection).await?))
    })?;
    let code = SetupCode::decode(&made.setup_code)
        .ok_or_else(|| Failure::failed("the gateway's answer holds no setup code"))?;
    let link = link(&socket, &base, &code.bootstrap_token);
    if context.json {
        let told = json!({ "url": link, "expiresAtMs": made.expires_at_ms, "scopes": made.scopes });
        return print(&format!("{told}\n"));
    }
    print(&render(&link, &made, context.style, schemas::now_ms()))
}

/// The path of the page, if the gateway has one.
async fn base_path(connection: &Connection) -> Result<String, Failure> {
    let hello = connection.hello();
    if hello.has_method("system.plugins") {
        let plugins: Value = Question::new("system.plugins", "system").ask_for(connection).await?;
        let rows = plugins["plugins"].as_array().into_iter().flatten();
        let is_there = rows.into_iter().any(|row| row["id"] == PAGE && row["state"] == "running");
        if !is_there {
            return Err(Failure::failed(format!(
                "this gateway serves no page: its plugin {PAGE:?} is disabled, does not run, or is not part of it"
            )));
        }
    }
    if !hello.has_method("config.get") {
        return Ok("/".to_string());
    }
    let read: Value = Question::new("config.get", "config").ask_for(connection).await?;
    let base = &read["config"]["plugins"][PAGE]["config"]["base_path"];
    Ok(base.as_str().unwrap_or("/").to_string())
}

/// The address of a page as that of the gateway behind it.
fn socket_address(url: &str) -> Result<String, Failure> {
    let place = [("http://", "ws://"), ("https://", "wss://")]
        .into_iter()
        .find_map(|(page, socket)| Some(format!("{socket}{}", url.trim().strip_prefix(page)?)));
    let place = place.filter(|place| !place.contains(['?', '#']));
    place
        .map(|place| place.trim_end_matches('/').to_string())
        .ok_or_else(|| Failure::usage(format!("--reach {url:?} has to be http://HOST:PORT or https://HOST:PORT")))
}

/// The code stands behind `#`, which no browser sends to anybody.
fn link(socket: &str, base: &str, token: &str) -> String {
    let page = socket.trim_end_matches('/').replacen("ws", "http", 1);
    format!("{page}{}/#code={token}", base.trim_end_matches('/'))
}

fn render(link: &str, made: &Made, style: Style, now_ms: u64) -> String {
    let scopes: Vec<String> = made.scopes.iter().map(|scope| clean(scope)).collect();
    let may = rights(["operator"], &scopes);
    let left = span(made.expires_at_ms.saturating_sub(now_ms).div_ceil(1000) * 1000);
    format!(
        "{}\n{}\n\nFor one browser, once, within {left}. It comes in as {may}.\n\
         Whoever has the link comes in by it: show it to nobody else. Afterwards the address without the code is enough.\n",
        style.bold("Open this in a browser"),
        clean(link)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_page_below_its_base_path() {
        assert_eq!(link("ws://127.0.0.1:1", "/", "t"), "http://127.0.0.1:1/#code=t");
        assert_eq!(link("wss://h:1/", "/ui/", "t"), "https://h:1/ui/#code=t");
        assert_eq!(socket_address("https://gw.example/").ok().as_deref(), Some("wss://gw.example"));
        for wrong in ["gw.example", "ws://gw", "http://gw/?x", "http://gw/#x"] {
            assert_eq!(socket_address(wrong).err().map(|failure| failure.code()), Some(2), "{wrong}");
        }
    }

    #[test]
    fn it_says_what_the_link_is_worth() {
        let made = Made {
            setup_code: String::new(),
            expires_at_ms: 600_000,
            scopes: vec!["operator.read".to_string(), "operator.write".to_string()],
        };
        let text = render("http://h/#code=t", &made, Style::plain(), 0);
        assert!(text.starts_with("Open this in a browser\nhttp://h/#code=t\n\n"), "{text}");
        assert!(text.contains("within 10 min. It comes in as operator: read, write.\n"), "{text}");
    }
}
