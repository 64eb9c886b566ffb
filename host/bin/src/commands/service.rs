//! `clawhost service`: the gateway as a service of whoever is logged in, kept running by systemd or launchd. The gateway
//! never starts itself again; its supervisor does, and reads in the exit code whether that makes sense.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use service_manager::{
    RestartPolicy, ServiceInstallCtx, ServiceLabel, ServiceLevel, ServiceManager, ServiceStartCtx, ServiceStatus,
    ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx,
};

use crate::cli::{Context, absolute};
use crate::failure::Failure;
use crate::show::print;

/// What the gateway's service is called.
const GATEWAY: &str = "clawhost";
/// Seconds between the end of a gateway that failed and its next start.
const RESTART_AFTER_S: u32 = 5;

/// What to do with the service.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Install the gateway as a service of this user, and start it; --config and --state-dir are written into it
    Install,
    /// Stop the service and take it away; the gateway's state stays
    Uninstall,
    /// Say whether the service is installed and runs
    Status,
}

/// What is kept running.
pub struct Job<'a> {
    /// The service's name.
    pub label: &'static str,
    /// What it is, for its unit.
    pub description: &'static str,
    /// What its command line says after the program.
    pub words: Vec<PathBuf>,
    /// What to do next, once it is installed.
    pub next: &'a str,
}

/// Does what was asked.
pub fn run(command: ServiceCommand, context: &Context) -> Result<(), Failure> {
    let job = Job {
        label: GATEWAY,
        description: "clawhost gateway",
        words: words(&["run"], context.target.config.as_deref(), context.target.state_dir.as_deref()),
        next: "`clawhost status` finds the gateway.",
    };
    match command {
        ServiceCommand::Install => {
            if context.target.token.is_some() || context.target.password.is_some() {
                return Err(Failure::usage(
                    "a secret would be readable in the service's file; put it into token_file or password_file of the \
                     configuration instead of the command line",
                ));
            }
            job.install(context)
        }
        ServiceCommand::Uninstall => job.uninstall(context),
        ServiceCommand::Status => job.status(context),
    }
}

impl Job<'_> {
    /// Installs it, and starts it.
    pub fn install(&self, context: &Context) -> Result<(), Failure> {
        let manager = manager(ServiceLevel::User)?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program cannot tell where it is: {error}")))?;
        let contents = cfg!(target_os = "linux").then(|| unit(self.description, &program, &self.words)).transpose()?;
        let wanted = ServiceInstallCtx {
            label: self.label(),
            program,
            args: self.words.iter().map(Into::into).collect(),
            contents,
            username: None,
            working_directory: None,
            environment: None,
            autostart: true,
            restart_policy: RestartPolicy::OnFailure {
                delay_secs: Some(RESTART_AFTER_S),
                max_retries: None,
                reset_after_secs: None,
            },
        };
        manager.install(wanted).map_err(|error| failed("installed", &error))?;
        // One that runs would go on with what it was started with; launchd has ended it.
        if cfg!(target_os = "linux") {
            let _ = manager.stop(ServiceStopCtx { label: self.label() });
        }
        manager.start(ServiceStartCtx { label: self.label() }).map_err(|error| failed("started", &error))?;
        say(context, "installed", &format!("The service is installed and started. {}", self.next))
    }

    /// Stops it, and takes it away.
    pub fn uninstall(&self, context: &Context) -> Result<(), Failure> {
        let manager = manager(ServiceLevel::User)?;
        // One that does not run cannot be stopped, and is taken away all the same.
        let _ = manager.stop(ServiceStopCtx { label: self.label() });
        manager.uninstall(ServiceUninstallCtx { label: self.label() }).map_err(|error| failed("taken away", &error))?;
        say(context, "uninstalled", "The service is gone. The state folder was left as it is.")
    }

    /// Says whether it is there and runs.
    pub fn status(&self, context: &Context) -> Result<(), Failure> {
        let asked = ServiceStatusCtx { label: self.label() };
        match manager(ServiceLevel::User)?.status(asked).map_err(|error| failed("asked for", &error))? {
            ServiceStatus::Running => say(context, "running", "The service runs."),
            ServiceStatus::Stopped(why) => {
                let why = why.map_or_else(String::new, |why| format!(" ({why})"));
                say(context, "stopped", &format!("The service is installed and does not run{why}."))
            }
            ServiceStatus::NotInstalled => say(context, "not-installed", "The service is not installed."),
        }
    }

    fn label(&self) -> ServiceLabel {
        ServiceLabel { qualifier: None, organization: None, application: self.label.to_string() }
    }
}

/// Whether the gateway is a service of the user or of the machine, and runs.
pub fn gateway_status(level: ServiceLevel) -> Result<ServiceStatus, Failure> {
    let label = ServiceLabel { qualifier: None, organization: None, application: GATEWAY.to_string() };
    manager(level)?.status(ServiceStatusCtx { label }).map_err(|error| failed("asked for", &error))
}

/// The manager of this machine's services.
fn manager(level: ServiceLevel) -> Result<Box<dyn ServiceManager>, Failure> {
    let none = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("no service manager was found on this machine (systemd or launchd is needed): {error}"))
    };
    let mut manager = <dyn ServiceManager>::native().map_err(|error| none(&error))?;
    manager.set_level(level).map_err(|error| none(&error))?;
    Ok(manager)
}

/// What the service's command line says after the program.
pub fn words(command: &[&str], config: Option<&Path>, state_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut words: Vec<PathBuf> = command.iter().map(PathBuf::from).collect();
    for (flag, path) in [("--config", config), ("--state-dir", state_dir)] {
        if let Some(path) = path {
            words.extend([PathBuf::from(flag), absolute(path.to_path_buf())]);
        }
    }
    words
}

/// The unit of systemd. A program that fails comes back after a while; one whose configuration is wrong (exit code 2)
/// waits for its operator instead of failing for ever.
fn unit(description: &str, program: &Path, words: &[PathBuf]) -> Result<String, Failure> {
    let mut command = Vec::with_capacity(words.len() + 1);
    for word in std::iter::once(program).chain(words.iter().map(PathBuf::as_path)) {
        command.push(quoted(word)?);
    }
    Ok(format!(
        "[Unit]\n\
         Description={description}\n\
         After=network.target\n\
         StartLimitIntervalSec=60\n\
         StartLimitBurst=5\n\
         \n\
         [Service]\n\
         ExecStart={}\n\
         Restart=on-failure\n\
         RestartSec={RESTART_AFTER_S}\n\
         RestartPreventExitStatus=2\n\
         TimeoutStopSec=30\n\
         LimitNOFILE=65536\n\
         UMask=0077\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        command.join(" ")
    ))
}

/// A word of systemd's command lines, in which `%` and `$` mean something.
fn quoted(word: &Path) -> Result<String, Failure> {
    let text = word.to_str().filter(|text| !text.contains(char::is_control)).ok_or_else(|| {
        Failure::usage(format!("{} cannot stand in a service's file; use a path of plain text", word.display()))
    })?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{escaped}\""))
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::failed(format!("the service could not be {what}: {}", error.to_string().trim()))
}

fn say(context: &Context, state: &str, sentence: &str) -> Result<(), Failure> {
    let text = if context.json { json!({ "service": state }).to_string() } else { sentence.to_string() };
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_a_unit_means_what_it_says() {
        let unit = {
            let words = words(&["run"], Some(Path::new("/a/100%.toml")), None);
            unit("clawhost gateway", Path::new("/opt/claw host/clawhost"), &words).unwrap()
        };
        assert!(
            unit.contains("ExecStart=\"/opt/claw host/clawhost\" \"run\" \"--config\" \"/a/100%%.toml\"\n"),
            "{unit}"
        );
        assert_eq!(quoted(Path::new("a\"b$c\\d")).unwrap(), "\"a\\\"b$$c\\\\d\"");
        assert_eq!(quoted(Path::new("a\nb")).unwrap_err().code(), 2);
    }
}
