//! `clawhost send`: a message to somebody outside, by a channel.

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use crate::cli::Context;
use crate::failure::Failure;
use crate::session::Question;
use crate::show::clean;

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// To whom: a number, a name or an id, as the channel knows them
    #[arg(long, value_name = "TARGET")]
    to: String,
    /// The channel, such as telegram
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// The account to send with, if there are several
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// The address of a picture or file to go with it
    #[arg(long, value_name = "URL")]
    media: Option<String>,
    /// The text
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    message: String,
}

/// Sends it.
pub fn run(args: SendArgs, context: &Context) -> Result<(), Failure> {
    let key = uuid::Uuid::new_v4().to_string();
    let mut params = json!({ "to": args.to, "message": args.message, "idempotencyKey": key });
    for (name, value) in [("channel", args.channel), ("accountId", args.account), ("mediaUrl", args.media)] {
        if let Some(value) = value {
            params[name] = json!(value);
        }
    }
    context.show(&Question::new("send", "send").with(params), |sent: Sent| {
        Ok(format!("sent by {}: message {}\n", clean(&sent.channel), clean(&sent.message_id)))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    message_id: String,
    channel: String,
}
