//! Whether somebody starts the gateway again: the service of this user, or that of the machine.

use service_manager::{ServiceLevel, ServiceStatus};

use super::finding::Finding;
use crate::commands::service::gateway_status;

const CHECK: &str = "service";

/// Asks the manager of services.
pub fn examine() -> Finding {
    let install = "clawhost service install";
    let user = gateway_status(ServiceLevel::User);
    // A package installs it for the machine.
    let machine = match &user {
        Ok(ServiceStatus::Running) => None,
        _ => gateway_status(ServiceLevel::System).ok().filter(|status| !matches!(status, ServiceStatus::NotInstalled)),
    };
    match (machine, user) {
        (Some(ServiceStatus::Running), _) => Finding::ok(CHECK, "the machine's service runs"),
        (Some(_), _) => Finding::warning(CHECK, "the machine's service is installed and does not run")
            .run("sudo systemctl start clawhost"),
        (None, Ok(ServiceStatus::Running)) => Finding::ok(CHECK, "the service of this user runs"),
        (None, Ok(ServiceStatus::Stopped(_))) => {
            let start = if cfg!(target_os = "linux") { "systemctl --user start clawhost" } else { install };
            Finding::warning(CHECK, "the service of this user is installed and does not run").run(start)
        }
        (None, Ok(ServiceStatus::NotInstalled)) => {
            Finding::note(CHECK, "it is no service: after a crash or a restart of the machine nobody starts it")
                .run(install)
        }
        (None, Err(failure)) => Finding::note(CHECK, failure.sentence()),
    }
}
