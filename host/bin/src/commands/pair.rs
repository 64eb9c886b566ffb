//! `clawhost pair`: a code by which a device that is not here yet pairs itself, as text and to be scanned.

use clap::Args;
use client::Fingerprint;
use qrcode::{EcLevel, QrCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::devices::{Grant, rights};
use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::{Style, clean, span};

const METHOD: &str = "device.pair.setupCode";
const PLUGIN: &str = "devices";
/// Light around a code, without which no camera finds it, in modules.
const QUIET: usize = 2;

/// What the device may do, and where it finds the gateway.
#[derive(Debug, Args)]
pub struct PairArgs {
    /// For a node instead of an operator's program
    #[arg(long, conflicts_with = "scopes")]
    node: bool,
    #[command(flatten)]
    grant: Grant,
    /// Where the device reaches the gateway (ws://HOST:PORT or wss://HOST:PORT), if not where it listens
    #[arg(long, value_name = "URL")]
    reach: Option<String>,
    /// A name for the device
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// Print no QR code
    #[arg(long)]
    no_qr: bool,
}

/// The answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    setup_code: String,
    url: String,
    expires_at_ms: u64,
    role: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    tls_fingerprint: Option<String>,
}

/// Makes a code and shows it.
pub fn run(args: PairArgs, context: &Context) -> Result<(), Failure> {
    let PairArgs { node, grant, reach, label, no_qr } = args;
    let mut params = json!({});
    grant.put_into(&mut params);
    let said = [("role", node.then(|| "node".to_string())), ("url", reach), ("label", label)];
    for (key, text) in said.into_iter().filter_map(|(key, text)| Some((key, text?))) {
        params[key] = Value::String(text);
    }
    let style = context.style;
    context.show(&Question::new(METHOD, PLUGIN).with(params), |made: Made| {
        Ok(render(&made, !no_qr, style, schemas::now_ms()))
    })
}

fn render(made: &Made, with_qr: bool, style: Style, now_ms: u64) -> String {
    let code = clean(&made.setup_code);
    let mut text = format!("{}\n{code}\n\n", style.bold("Setup code"));
    if let Some(drawn) = with_qr.then(|| drawn(&code)).flatten() {
        text.push_str(&format!("{drawn}\n"));
    }
    let scopes: Vec<String> = made.scopes.iter().map(|scope| clean(scope)).collect();
    let may = rights([&*clean(&made.role)], &scopes);
    let left = span(made.expires_at_ms.saturating_sub(now_ms).div_ceil(1000) * 1000);
    text.push_str(&format!("For one device, once, within {left}. It comes in as {may}.\n"));
    text.push_str(&format!("It connects to {}", clean(&made.url)));
    if let Some(pin) = made.tls_fingerprint.as_deref().and_then(|pin| pin.parse::<Fingerprint>().ok()) {
        text.push_str(&format!(", whose certificate has SHA-256 {pin}"));
    }
    text.push_str(".\n\nScan it, paste it where the device asks for a setup code, or run there:\n");
    text.push_str("  clawhost health --setup-code CODE\n");
    text.push_str("Whoever has the code comes in by it: show it to nobody else.\n");
    if made.url.starts_with("ws://") {
        text.push_str("The connection is not encrypted: use it in a network that you trust, or through a tunnel.\n");
    }
    text
}

/// Two rows of modules a line. Light ones are drawn, so that the code is as it should be on a dark terminal; on a light one it
/// is inverted, which most cameras read too. Nothing if the text is too long for a code.
fn drawn(code: &str) -> Option<String> {
    let qr = QrCode::with_error_correction_level(code, EcLevel::L).ok()?;
    let (width, colors) = (qr.width(), qr.to_colors());
    let is_light = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET..QUIET + width).contains(&at);
        !(inside(x) && inside(y)) || colors[(y - QUIET) * width + x - QUIET] == qrcode::Color::Light
    };
    let size = width + 2 * QUIET;
    let mut text = String::new();
    for y in (0..size).step_by(2) {
        for x in 0..size {
            let below = y + 1 < size && is_light(x, y + 1);
            text.push(match (is_light(x, y), below) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        serde_json::from_value(json!({
            "setupCode": "eyJ1cmwi", "url": "ws://192.0.2.1:1", "expiresAtMs": 600_000, "role": "operator",
            "scopes": ["operator.read"],
        }))
        .unwrap()
    }

    #[test]
    fn it_says_what_the_code_is_worth() {
        let text = render(&made(), false, Style::plain(), 0);
        assert!(text.starts_with("Setup code\neyJ1cmwi\n"), "{text}");
        assert!(text.contains("within 10 min. It comes in as operator: read.\n"), "{text}");
        assert!(text.contains("connects to ws://192.0.2.1:1.\n") && text.contains("not encrypted"), "{text}");
        let pinned =
            Made { url: "wss://h:1".into(), tls_fingerprint: Some("sha256:".to_string() + &"ab".repeat(32)), ..made() };
        let text = render(&pinned, false, Style::plain(), 0);
        assert!(text.contains("abab") && !text.contains("not encrypted"), "{text}");
    }

    #[test]
    fn it_is_drawn_with_light_around_it() {
        let qr = drawn("eyJ1cmwi").unwrap();
        let lines: Vec<Vec<char>> = qr.lines().map(|line| line.chars().collect()).collect();
        assert!(lines.iter().all(|line| line.len() == lines[0].len()) && lines[0].iter().all(|&c| c == '█'));
        assert!(lines.iter().all(|line| line[..QUIET].iter().all(|&c| c != ' ')));
        assert!(qr.contains(' ') && drawn(&"x".repeat(5000)).is_none());
    }
}
