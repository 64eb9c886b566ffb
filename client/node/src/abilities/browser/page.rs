//! What the page can be asked for: to go somewhere, to run a script, to be drawn.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::chromium::Chromium;
use super::devtools::Fault;
use crate::ability::{Refusal, TIMEOUT};

/// Characters of an error that are passed on.
const MAX_COMPLAINT: usize = 2_000;

/// How long a page that goes on to another one is left alone.
const NEXT_LOOK: Duration = Duration::from_millis(50);

/// Width and height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// What a picture is to be.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// `png` or `jpeg`.
    pub format: &'static str,
    /// Of a JPEG, 0 to 100.
    pub quality: u8,
    /// Wider pages are drawn smaller.
    pub max_width: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evaluated {
    result: Remote,
    #[serde(default)]
    exception_details: Option<Exception>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remote {
    #[serde(default)]
    value: Option<Value>,
    /// What JSON has no word for, such as `NaN` or `1n`.
    #[serde(default)]
    unserializable_value: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Deserialize)]
struct Exception {
    text: String,
    #[serde(default)]
    exception: Option<Remote>,
}

impl Chromium {
    /// Goes to an address, and returns when what is there is loaded.
    pub async fn navigate(&self, url: &str, until: Instant) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Navigated {
            #[serde(default)]
            error_text: Option<String>,
        }
        let going = async {
            let went: Navigated = self.ask("Page.navigate", json!({ "url": url })).await?;
            if let Some(why) = went.error_text.filter(|why| !why.is_empty()) {
                return Err(Refusal::unavailable(format!("the page could not be loaded: {why}")));
            }
            // A page that sends its visitor on takes the script with it, which then asks the next one.
            loop {
                let loaded = r#"document.readyState === "complete" || new Promise(done => addEventListener("load", () => done(true)))"#;
                match self.evaluate(loaded, until).await {
                    Ok(_) => return Ok(()),
                    Err(Fault::Refused(why)) => {
                        tracing::debug!(why, "the page went on to another one");
                        sleep(NEXT_LOOK).await;
                    }
                    Err(Fault::Gone) => return Err(gone()),
                }
            }
        };
        match timeout_at(until, going).await {
            Ok(gone) => gone,
            Err(_) => {
                let _ = self.ask::<Value>("Page.stopLoading", json!({})).await;
                Err(too_long("the page"))
            }
        }
    }

    /// Runs a script, waits for it if it is to be waited for, and gives what came of it; absent if nothing did.
    pub async fn eval(&self, script: &str, until: Instant) -> Result<Option<Value>, Refusal> {
        let evaluated = match timeout_at(until, self.evaluate(script, until)).await {
            Ok(evaluated) => evaluated.map_err(|fault| match fault {
                Fault::Refused(why) if why.contains("terminated") => too_long("the script"),
                fault => refusal("the script gave nothing", fault),
            })?,
            Err(_) => return Err(too_long("the script")),
        };
        if let Some(Exception { text, exception }) = evaluated.exception_details {
            let mut why =
                exception.and_then(|thrown| thrown.description.or(thrown.value.map(|value| value.to_string())));
            let why = why.get_or_insert(text);
            why.truncate(why.floor_char_boundary(MAX_COMPLAINT));
            return Err(Refusal::unavailable(format!("the script failed: {why}")));
        }
        Ok(evaluated.result.value.or(evaluated.result.unserializable_value.map(Value::from)))
    }

    /// Draws the page as base64.
    pub async fn picture(&self, picture: Picture, size: Size, until: Instant) -> Result<String, Refusal> {
        #[derive(Deserialize)]
        struct Drawn {
            data: String,
        }
        let mut params = json!({ "format": picture.format });
        if picture.format == "jpeg" {
            params["quality"] = json!(picture.quality);
        }
        if let Some(width) = picture.max_width.filter(|width| *width < size.width) {
            let scale = f64::from(width) / f64::from(size.width);
            // Where it was scrolled to is where it is drawn.
            let (x, y) = self.scrolled(until).await?;
            params["clip"] = json!({ "x": x, "y": y, "width": size.width, "height": size.height, "scale": scale });
        }
        match timeout_at(until, self.ask::<Drawn>("Page.captureScreenshot", params)).await {
            Ok(drawn) => Ok(drawn?.data),
            Err(_) => Err(too_long("the picture")),
        }
    }

    /// Gives the page another size.
    pub async fn resize(&self, Size { width, height }: Size) -> Result<(), Refusal> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask::<Value>("Emulation.setDeviceMetricsOverride", metrics).await.map(drop)
    }

    /// Whether the page still answers, in this time.
    pub async fn answers(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        matches!(timeout_at(until, self.evaluate("1", until)).await, Ok(Ok(_)))
    }

    async fn scrolled(&self, until: Instant) -> Result<(f64, f64), Refusal> {
        let place = self.eval("[scrollX, scrollY]", until).await?.unwrap_or_default();
        Ok((place[0].as_f64().unwrap_or_default(), place[1].as_f64().unwrap_or_default()))
    }

    async fn evaluate(&self, script: &str, until: Instant) -> Result<Evaluated, Fault> {
        let left = until.saturating_duration_since(Instant::now());
        let params = json!({
            "expression": script,
            "returnByValue": true,
            "awaitPromise": true,
            // Whoever counts for ever is stopped there; what waits for ever is no longer waited for here.
            "timeout": left.as_millis() as u64,
        });
        self.devtools.call(Some(&self.session), "Runtime.evaluate", params).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, Refusal> {
        let answer = self.devtools.call(Some(&self.session), method, params).await;
        answer.map_err(|fault| refusal("the browser refused", fault))
    }
}

fn refusal(what: &str, fault: Fault) -> Refusal {
    match fault {
        Fault::Gone => gone(),
        Fault::Refused(why) => Refusal::unavailable(format!("{what}: {why}")),
    }
}

fn gone() -> Refusal {
    Refusal::unavailable("the browser ended meanwhile; the next command starts it again")
}

fn too_long(what: &str) -> Refusal {
    Refusal { code: TIMEOUT, message: format!("{what} took too long") }
}
