//! How do I call one method of a running gateway?
//!
//! `cargo run -p clawhost-client --example call -- ws://127.0.0.1:18789 health '{}'`, with the gateway's token in the
//! environment variable `CLAWHOST_TOKEN`.

use std::process::ExitCode;

use client::{ClientError, ConnectOptions, Connection};
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, method, params @ ..] = arguments.as_slice() else {
        eprintln!("usage: call URL METHOD [PARAMS]");
        return ExitCode::from(2);
    };
    match call(url, method, params.first()).await {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn call(url: &str, method: &str, params: Option<&String>) -> Result<Box<RawValue>, ClientError> {
    let params = params.map(|text| RawValue::from_string(text.clone())).transpose();
    let params = params.map_err(|error| ClientError::Options(format!("PARAMS is not JSON: {error}")))?;
    let options = ConnectOptions::new(url).token(std::env::var("CLAWHOST_TOKEN").unwrap_or_default());
    let connection = Connection::open(options).await?;
    let answer = connection.request_raw(method, params.as_deref(), None).await;
    connection.close().await;
    answer
}
