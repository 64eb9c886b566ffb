//! `clawhost token`: the secret that lets clients into this machine's gateway.

use clap::Subcommand;
use clawhost::config::{AuthMode, Config};
use clawhost::secret::Secret;
use clawhost::state::{LocalAuth, read_gateway_json, read_shared_token};
use serde_json::json;

use crate::cli::Context;
use crate::failure::Failure;
use crate::show::print;
use crate::target::Target;

/// What to do with the token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print it
    Show,
}

/// Prints the token.
pub fn run(command: TokenCommand, context: &Context) -> Result<(), Failure> {
    let TokenCommand::Show = command;
    let token = shared_token(&context.target, &|name| std::env::var(name).ok())?;
    let text = if context.json { json!({ "token": token.expose() }).to_string() } else { token.expose().to_string() };
    print(&format!("{text}\n"))
}

/// The token in force: that of the gateway that runs, else the one the next start would take.
fn shared_token(target: &Target, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, Failure> {
    let state_dir = target.state_dir()?;
    let in_password_mode = || Err(Failure::failed("the gateway asks for a password, so there is no shared token"));
    match read_gateway_json(&state_dir).map(|gateway| gateway.auth) {
        Some(LocalAuth::Token(token)) => return Ok(token),
        Some(LocalAuth::Password(_)) => return in_password_mode(),
        None => {}
    }
    let config = Config::load(target.overrides(), env).map_err(|error| Failure::usage(error.to_string()))?;
    if config.gateway.auth.mode == AuthMode::Password {
        return in_password_mode();
    }
    if let Some(token) = config.gateway.auth.token {
        return Ok(token);
    }
    let found = read_shared_token(&state_dir).map_err(|error| Failure::failed(error.to_string()))?;
    found.ok_or_else(|| {
        let folder = state_dir.display();
        Failure::failed(format!("there is no token in {folder} yet; the first start of the gateway makes one"))
    })
}

#[cfg(test)]
mod tests {
    use clawhost::state::StateDir;

    use super::*;

    #[test]
    fn the_token_in_force_or_the_one_of_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("state");
        let config = root.path().join("config.toml");
        std::fs::write(&config, "").unwrap();
        let target = Target { state_dir: Some(folder.clone()), config: Some(config.clone()), ..Target::default() };
        let show = || shared_token(&target, &|_| None);
        assert!(show().unwrap_err().sentence().contains("the first start of the gateway makes one"));

        let made = StateDir::open(&folder).unwrap().shared_token().unwrap();
        assert!(show().unwrap().matches(made.expose()));

        std::fs::write(&config, "[gateway.auth]\ntoken = \"configured\"\n").unwrap();
        assert!(show().unwrap().matches("configured"));

        std::fs::write(&config, "[gateway.auth]\nmode = \"password\"\npassword = \"p\"\n").unwrap();
        assert!(show().unwrap_err().sentence().contains("password"));

        let state = StateDir::open(&folder).unwrap();
        let running = clawhost::state::LocalGateway {
            url: "ws://127.0.0.1:1".to_string(),
            port: 1,
            pid: 1,
            version: "1".to_string(),
            started_at_ms: 1,
            auth: LocalAuth::Token(Secret::new("by flag")),
            tls_fingerprint: None,
            config: None,
        };
        state.publish(&running).unwrap();
        assert!(show().unwrap().matches("by flag"), "what runs counts, not what a restart would change");
    }
}
