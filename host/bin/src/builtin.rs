//! The plugins that are linked in. Remove a line and the plugin is gone from the program; nothing else has to change.

/// Links each plugin whose feature is on, and lists them: a linker may drop a crate that nobody refers to, and the
/// gateway compares what registered itself with this list.
macro_rules! builtin {
    ($($feature:tt => $plugin:ident,)*) => {
        $(
            #[cfg(feature = $feature)]
            use $plugin as _;
        )*

        /// Ids of the plugins that have to be there at the start.
        pub const EXPECTED: &[&str] = &[$(#[cfg(feature = $feature)] $feature,)*];
    };
}

builtin! {
    "agents" => plugin_agents,
    "approvals" => plugin_approvals,
    "canvas" => plugin_canvas,
    "channels" => plugin_channels,
    "config" => plugin_config,
    "devices" => plugin_devices,
    "discovery" => plugin_discovery,
    "health" => plugin_health,
    "heartbeat" => plugin_heartbeat,
    "logs" => plugin_logs,
    "models" => plugin_models,
    "node" => plugin_node,
    "presence" => plugin_presence,
    "status" => plugin_status,
    "system" => plugin_system,
    "voice" => plugin_voice,
}
