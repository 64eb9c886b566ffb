//! `clawhost call`: any method, its parameters as they are typed, its answer as it came.

use std::io::Read;
use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;

use crate::cli::Context;
use crate::failure::Failure;
use crate::show::{json_text, print, remark};

/// Methods that answer twice are those that take long.
const FINAL_LIMIT: Duration = Duration::from_secs(600);

/// Arguments of `call`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// The method; `clawhost methods` lists them
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    method: String,
    /// Its parameters: JSON, @FILE to read them from a file, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// Wait for the final answer of a method that first says it has accepted (10 minutes unless --timeout says)
    #[arg(long)]
    expect_final: bool,
}

/// Calls and prints the answer.
pub fn run(args: CallArgs, context: &Context) -> Result<(), Failure> {
    let params = json_argument("--params", &args.params)?;
    let answer = context.with_gateway(async |connection| {
        if !args.expect_final {
            return Ok(connection.request_raw(&args.method, Some(&params), None).await?);
        }
        let limit = context.target.timeout.unwrap_or(FINAL_LIMIT);
        let on_interim = |interim: &RawValue| remark(&format!("accepted: {}", json_text::compact(interim.get())));
        Ok(connection.request_final(&args.method, Some(&params), Some(limit), on_interim).await?)
    })?;
    let text = if context.json { json_text::compact(answer.get()) } else { json_text::pretty(answer.get()) };
    print(&format!("{text}\n"))
}

/// The JSON that a flag gives as it is typed, as `@FILE`, or as `-` for standard input.
pub fn json_argument(flag: &str, argument: &str) -> Result<Box<RawValue>, Failure> {
    let (source, text) = match argument.strip_prefix('@') {
        Some(path) => (path.to_string(), std::fs::read(path)),
        None if argument == "-" => ("standard input".to_string(), read_stdin()),
        None => (flag.to_string(), Ok(argument.as_bytes().to_vec())),
    };
    let text = text.map_err(|error| Failure::usage(format!("{source}: cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| Failure::usage(format!("{source} is not JSON: {error}")))
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(argument: &str) -> Result<Box<RawValue>, Failure> {
        json_argument("--params", argument)
    }

    #[test]
    fn parameters_are_taken_as_typed_or_from_a_file() {
        assert_eq!(params(r#"{"a":1.50}"#).unwrap().get(), r#"{"a":1.50}"#);
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("params.json");
        std::fs::write(&file, "{\"b\":\n 2}\n").unwrap();
        let argument = format!("@{}", file.display());
        assert_eq!(params(&argument).unwrap().get(), "{\"b\":\n 2}");
        std::fs::write(&file, "{\"b\":\n }").unwrap();
        let wrong = params(&argument).unwrap_err();
        assert!(wrong.sentence().contains("params.json") && wrong.sentence().contains("line 2 column 2"), "{wrong:?}");
    }

    #[test]
    fn wrong_json_is_a_mistake_of_usage_and_says_where() {
        for (text, place) in [("{", "line 1 column 1"), ("{\"a\":}", "line 1 column 6"), ("{} x", "column 4")] {
            let failure = params(text).unwrap_err();
            assert_eq!(failure.code(), 2);
            assert!(failure.sentence().starts_with("--params is not JSON") && failure.sentence().contains(place));
        }
        assert_eq!(params("@/no/such/file").unwrap_err().code(), 2);
    }
}
