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
    "acp" => plugin_acp,
    "agent" => plugin_agent,
    "agents" => plugin_agents,
    "anthropic" => plugin_anthropic,
    "approvals" => plugin_approvals,
    "canvas" => plugin_canvas,
    "channels" => plugin_channels,
    "chat" => plugin_chat,
    "command" => plugin_command,
    "config" => plugin_config,
    "console" => plugin_console,
    "cron" => plugin_cron,
    "devices" => plugin_devices,
    "discovery" => plugin_discovery,
    "doors" => plugin_doors,
    "echo" => plugin_echo,
    "health" => plugin_health,
    "heartbeat" => plugin_heartbeat,
    "hooks" => plugin_hooks,
    "logs" => plugin_logs,
    "models" => plugin_models,
    "node" => plugin_node,
    "openai" => plugin_openai,
    "presence" => plugin_presence,
    "send" => plugin_send,
    "sessions" => plugin_sessions,
    "signal" => plugin_signal,
    "status" => plugin_status,
    "system" => plugin_system,
    "telegram" => plugin_telegram,
    "voice" => plugin_voice,
}
