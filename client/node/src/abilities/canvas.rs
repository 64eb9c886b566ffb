//! `canvas.*`: a page in a browser that this node starts for it alone. Nobody sees it; it is there to be pushed to, asked and
//! drawn. It starts with the first command, and ends with `canvas.hide` and with the node.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::browser::{Chromium, Picture, Program, Size};
use super::camera::known_format;
use crate::ability::{Ability, Answer, Refusal, TIMEOUT, Work, read};
use crate::gateway::Gateway;

/// The page's size unless somebody says.
const SIZE: Size = Size { width: 1280, height: 800 };
/// Pixels each way, at most.
const MAX_SIDE: u32 = 4096;
/// Characters of an address.
const MAX_URL: usize = 8 * 1024;
/// Bytes of a script, and of messages.
const MAX_INPUT: usize = 4 * 1024 * 1024;
/// Bytes of what a script gave.
const MAX_RESULT: usize = 1024 * 1024;
/// Characters of a picture, as base64; a gateway takes no more in one answer.
const MAX_PICTURE: usize = 24 * 1024 * 1024;
/// Of a JPEG, between 0 and 1.
const QUALITY: f64 = 0.9;
/// How long a command may take, whatever the gateway says.
const MAX_WORK: Duration = Duration::from_secs(60);
/// The answer has to be there before nobody waits for it any more.
const TO_ANSWER: Duration = Duration::from_millis(250);
/// How long a page that was too slow before may take to show that it is alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// The names under which gateways serve the A2UI page, newest first.
const BRANDS: [&str; 3] = ["openclaw", "moltbot", "clawdbot"];
/// What a gateway answers whoever comes by an address that has ended.
const UNAUTHORIZED: u64 = 401;
/// What Chromium says instead when that answer, or another one that is an error, has no body.
const WITHOUT_BODY: &str = "ERR_HTTP_RESPONSE_CODE_FAILURE";
/// What that page is driven by.
const HOST: &str = "[globalThis.openclawA2UI, globalThis.moltbotA2UI, globalThis.clawdbotA2UI].find(host => typeof host?.applyMessages === 'function')";

/// The canvas.
pub struct Canvas {
    program: Program,
    gateway: Gateway,
    state: Mutex<State>,
}

struct State {
    browser: Option<Chromium>,
    /// What is shown, and shown again if the browser ended by itself.
    shown: Option<Place>,
    size: Size,
    /// The last command did not come to its end, so the page may hang.
    suspect: bool,
}

/// What there is to show.
#[derive(Clone)]
enum Place {
    /// An address of the web.
    Web(String),
    /// A path of the gateway's canvas, whose address is another one from time to time.
    Canvas(String),
}

#[derive(Deserialize)]
struct Present {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    placement: Option<Placement>,
}

#[derive(Deserialize)]
struct Placement {
    #[serde(default)]
    width: Option<f64>,
    #[serde(default)]
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Navigate {
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eval {
    java_script: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    max_width: Option<f64>,
    #[serde(default)]
    quality: Option<f64>,
}

#[derive(Deserialize)]
struct Push {
    messages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct PushLines {
    jsonl: String,
}

impl Canvas {
    /// In this browser.
    pub fn new(program: Program, gateway: Gateway) -> Self {
        let state = State { browser: None, shown: None, size: SIZE, suspect: false };
        Canvas { program, gateway, state: Mutex::new(state) }
    }

    async fn carry_out(&self, command: &str, params: &str, deadline: Instant) -> Answer {
        let latest = deadline.checked_sub(TO_ANSWER).unwrap_or(deadline);
        let until = latest.min(Instant::now() + MAX_WORK);
        if command == "canvas.hide" {
            self.stop().await;
            return Ok(Value::Null);
        }
        // What makes no sense starts no browser.
        let work = self.understand(command, params)?;
        // One at a time: there is one page.
        let mut state = self.state.lock().await;
        self.ready(&mut state).await?;
        state.suspect = true;
        let done = self.perform(work, &mut state, until).await;
        state.suspect = matches!(&done, Err(refusal) if refusal.code == TIMEOUT);
        done
    }

    fn understand(&self, command: &str, params: &str) -> Result<Task, Refusal> {
        match command {
            "canvas.present" => {
                let Present { url, placement } = read(command, params)?;
                let url = url.filter(|url| !url.trim().is_empty());
                let place = url.map(|url| self.place(&url)).transpose()?;
                Ok(Task::Present { place, size: placement.map(|placement| placement.size()) })
            }
            "canvas.navigate" => {
                let Navigate { url } = read(command, params)?;
                Ok(Task::Navigate(self.place(&url)?))
            }
            "canvas.eval" => {
                let Eval { java_script } = within(command, params)?;
                Ok(Task::Eval(java_script))
            }
            "canvas.snapshot" => {
                let Snapshot { format, max_width, quality } = read(command, params)?;
                let format = known_format(format.as_deref(), "jpg", &["jpg", "png"])?;
                let max_width = max_width.filter(|width| *width >= 1.0).map(|width| width as u32);
                let quality = (quality.unwrap_or(QUALITY).clamp(0.0, 1.0) * 100.0).round() as u8;
                let format = if format == "jpg" { "jpeg" } else { format };
                Ok(Task::Snapshot(Picture { format, quality, max_width }))
            }
            "canvas.a2ui.reset" => Ok(Task::A2ui("host.reset()".to_string())),
            "canvas.a2ui.push" => {
                let Push { messages } = within(command, params)?;
                let messages: Vec<&str> = messages.iter().map(|message| message.get()).collect();
                Ok(apply(&messages))
            }
            _ => {
                let PushLines { jsonl } = within(command, params)?;
                Ok(apply(&lines(&jsonl)?))
            }
        }
    }

    /// What may be shown: an address of the web, or a path of the gateway's canvas. Files of this machine and the browser's own
    /// pages are nobody's business.
    fn place(&self, url: &str) -> Result<Place, Refusal> {
        let url = url.trim();
        if url.len() > MAX_URL || url.chars().any(char::is_control) {
            return Err(Refusal::invalid(format!(
                "url: at most {MAX_URL} characters, none of them a control character"
            )));
        }
        if url.starts_with('/') && !url.starts_with("//") {
            return match self.gateway.canvas() {
                Some(_) => Ok(Place::Canvas(url.to_string())),
                None => Err(Refusal::unavailable("url: a path is one of the gateway's canvas, which it has none of")),
            };
        }
        let begins = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if begins("http://") || begins("https://") {
            return Ok(Place::Web(url.to_string()));
        }
        Err(Refusal::invalid("url: must begin with http:// or https://, or be a path of the gateway's canvas"))
    }

    /// Sees to it that there is a browser that answers, with what was shown before if it ended by itself.
    async fn ready(&self, state: &mut State) -> Result<(), Refusal> {
        if let Some(browser) = &state.browser
            && (browser.is_over() || (state.suspect && !browser.answers(SIGN_OF_LIFE).await))
        {
            tracing::warn!("the browser crashed or hangs, and is started again");
            if let Some(browser) = state.browser.take() {
                browser.end().await;
            }
        }
        if state.browser.is_none() {
            let browser = Chromium::start(&self.program, state.size).await?;
            browser.resize(state.size).await?;
            state.suspect = false;
            if let Some(place) = &state.shown
                && let Err(why) = self.go(&browser, place, Instant::now() + SIGN_OF_LIFE).await
            {
                tracing::warn!(why = why.message, "what was shown before is not shown again");
            }
            state.browser = Some(browser);
        }
        Ok(())
    }

    async fn perform(&self, task: Task, state: &mut State, until: Instant) -> Answer {
        let State { browser, shown, size, .. } = state;
        let browser = browser.as_ref().ok_or_else(|| Refusal::unavailable("there is no browser"))?;
        match task {
            Task::Present { place, size: asked } => {
                if let Some(asked) = asked {
                    browser.resize(asked).await?;
                    *size = asked;
                }
                match place {
                    Some(place) => self.show(browser, shown, place, until).await.map(drop)?,
                    // What is shown already stays.
                    None if shown.is_some() => {}
                    None => self.show_a2ui(browser, shown, until).await?,
                }
                Ok(Value::Null)
            }
            Task::Navigate(place) => self.show(browser, shown, place, until).await.map(|_| Value::Null),
            Task::Eval(script) => {
                let result = browser.eval(&script, until).await?.map(text).unwrap_or_default();
                if result.len() > MAX_RESULT {
                    return Err(Refusal::unavailable(format!(
                        "the script gave {} bytes, and {MAX_RESULT} are the most; let it give less",
                        result.len()
                    )));
                }
                Ok(json!({ "result": result }))
            }
            Task::Snapshot(picture) => {
                let drawn = browser.picture(picture, *size, until).await?;
                if drawn.len() > MAX_PICTURE {
                    return Err(Refusal::unavailable("the picture is too large; ask for a JPEG or a smaller maxWidth"));
                }
                Ok(json!({ "format": picture.format, "base64": drawn }))
            }
            Task::A2ui(call) => {
                if !self.has_host(browser, 0, until).await? {
                    self.show_a2ui(browser, shown, until).await?;
                    if !self.has_host(browser, 50, until).await? {
                        return Err(Refusal::unavailable("the gateway's A2UI page has no hook to push to"));
                    }
                }
                let call = format!("(async host => await {call})({HOST})");
                let answer = browser.eval(&call, until).await?.unwrap_or_default();
                match answer {
                    Value::Object(said) if said.get("ok") == Some(&Value::Bool(false)) => {
                        let why = said.get("error").and_then(Value::as_str).unwrap_or("it did not say why");
                        Err(Refusal::unavailable(format!("the A2UI page refused: {why}")))
                    }
                    Value::Object(said) => Ok(Value::Object(said)),
                    _ => Ok(Value::Null),
                }
            }
        }
    }

    /// Whether the page can be pushed to, looking again so many times: it may be setting itself up.
    async fn has_host(&self, browser: &Chromium, again: u32, until: Instant) -> Result<bool, Refusal> {
        let look = format!(
            "new Promise(found => {{ const look = left => {HOST} ? found(true) : left > 0 ? setTimeout(look, 100, left - 1) : found(false); look({again}); }})"
        );
        Ok(browser.eval(&look, until).await? == Some(Value::Bool(true)))
    }

    /// Shows the gateway's A2UI page, under whichever name it has it.
    async fn show_a2ui(&self, browser: &Chromium, shown: &mut Option<Place>, until: Instant) -> Result<(), Refusal> {
        if self.gateway.canvas().is_none() {
            return Err(Refusal::unavailable(
                "the page shown takes no A2UI messages, and the gateway gave no canvas address to show",
            ));
        }
        let platform = if cfg!(target_os = "macos") { "macos" } else { std::env::consts::OS };
        for brand in BRANDS {
            let place = Place::Canvas(format!("/__{brand}__/a2ui/?platform={platform}"));
            if self.show(browser, shown, place, until).await? < 400 {
                return Ok(());
            }
        }
        *shown = None;
        Err(Refusal::unavailable("the gateway serves no A2UI page at the canvas address it gave"))
    }

    /// Goes there, and notes that this is shown; the status with which it was served.
    async fn show(
        &self,
        browser: &Chromium,
        shown: &mut Option<Place>,
        place: Place,
        until: Instant,
    ) -> Result<u64, Refusal> {
        let status = self.go(browser, &place, until).await?;
        *shown = Some(place);
        Ok(status)
    }

    /// Goes there; the status with which it was served, or 0 of what is not the canvas's. Where the canvas's address has ended,
    /// the gateway is asked for a fresh one, once.
    async fn go(&self, browser: &Chromium, place: &Place, until: Instant) -> Result<u64, Refusal> {
        let path = match place {
            Place::Web(url) => return browser.navigate(url, until).await.map(|()| 0),
            Place::Canvas(path) => path,
        };
        let none = || Refusal::unavailable("the gateway gave no canvas address to show");
        let canvas = self.gateway.canvas().ok_or_else(none)?;
        match visit(browser, &format!("{canvas}{path}"), until).await {
            Ok(UNAUTHORIZED) => {}
            Err(refusal) if refusal.message.contains(WITHOUT_BODY) => {}
            done => return done,
        }
        let late =
            |_| Refusal { code: TIMEOUT, message: "the canvas's address has ended, and no other one came".into() };
        let canvas = timeout_at(until, self.gateway.renewed(&canvas)).await.map_err(late)??;
        match visit(browser, &format!("{canvas}{path}"), until).await? {
            UNAUTHORIZED => Err(Refusal::unavailable("the gateway does not serve its canvas at the address it gave")),
            status => Ok(status),
        }
    }
}

impl Ability for Canvas {
    fn cap(&self) -> &'static str {
        "canvas"
    }

    fn commands(&self) -> &'static [&'static str] {
        &[
            "canvas.present",
            "canvas.hide",
            "canvas.navigate",
            "canvas.eval",
            "canvas.snapshot",
            "canvas.a2ui.push",
            "canvas.a2ui.pushJSONL",
            "canvas.a2ui.reset",
        ]
    }

    fn run<'a>(&'a self, command: &'a str, params: &'a str, deadline: Instant) -> Work<'a> {
        Box::pin(self.carry_out(command, params, deadline))
    }

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let mut state = self.state.lock().await;
            state.shown = None;
            if let Some(browser) = state.browser.take() {
                browser.end().await;
            }
        })
    }
}

/// What is to be done, understood.
enum Task {
    Present {
        place: Option<Place>,
        size: Option<Size>,
    },
    Navigate(Place),
    Eval(String),
    Snapshot(Picture),
    /// A call of the page's hook, `host`.
    A2ui(String),
}

impl Placement {
    /// A page that nobody sees is nowhere, but it has a size.
    fn size(&self) -> Size {
        let side = |asked: Option<f64>, usual| {
            asked.filter(|side| *side >= 1.0).map_or(usual, |side| (side as u32).min(MAX_SIDE))
        };
        Size { width: side(self.width, SIZE.width), height: side(self.height, SIZE.height) }
    }
}

/// Goes to an address; the status with which it was served, or 0 where that is not said: by browsers before 2023, and by a
/// page that goes on to another one.
async fn visit(browser: &Chromium, url: &str, until: Instant) -> Result<u64, Refusal> {
    browser.navigate(url, until).await?;
    let status = "performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0";
    match browser.eval(status, until).await {
        Err(late) if late.code == TIMEOUT => Err(late),
        told => Ok(told.ok().flatten().and_then(|status| status.as_u64()).unwrap_or_default()),
    }
}

/// [`read`], for parameters that are handed on to the page.
fn within<T: DeserializeOwned>(command: &str, params: &str) -> Result<T, Refusal> {
    if params.len() > MAX_INPUT {
        return Err(Refusal::invalid(format!("{command}: {} bytes, and {MAX_INPUT} are the most", params.len())));
    }
    read(command, params)
}

/// Each line of text that has something on it, as JSON.
fn lines(jsonl: &str) -> Result<Vec<&str>, Refusal> {
    let filled = jsonl.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    filled
        .map(|(number, line)| match serde_json::from_str::<&RawValue>(line) {
            Ok(message) => Ok(message.get()),
            Err(error) => Err(Refusal::invalid(format!("jsonl: line {} is no JSON: {error}", number + 1))),
        })
        .collect()
}

/// JSON is JavaScript.
fn apply(messages: &[&str]) -> Task {
    Task::A2ui(format!("host.applyMessages([{}])", messages.join(",")))
}

/// A script's result as text: text is itself, and the rest is JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
