//! The end of an instance that another one has taken the place of, or that is not wanted any more: its calls are answered
//! as far as they are within the time that is left to them, then it is stopped and freed.

use std::sync::Arc;
use std::time::Duration;

use plugin_api::abi::GWP_CANCEL_STOP;
use schemas::ErrorShape;

use crate::calls::OpenCall;
use crate::dispatch;
use crate::gateway::Gateway;
use crate::host_side::HostSide;
use crate::plugin::RunningPlugin;
use crate::registry::Handler;

/// Drains, stops and frees an instance that is in no table any more. It was quiesced before, if it ever ran.
pub async fn end(gateway: Arc<Gateway>, plugin: Arc<RunningPlugin>) {
    // In this order: a call that entered before is seen below, and one that enters later sees this and goes elsewhere.
    plugin.retire();
    let limits = &gateway.live.load_full().gateway.plugins;
    let own = |call: &OpenCall| is_of(call, &plugin);
    let drain = Duration::from_millis(limits.drain_ms);
    let exchanges = tokio::time::timeout(drain, gateway.exchanges.ended(plugin.number));
    let waited_for = gateway.calls.ended(|call| own(call) && !call.method.is_detached());
    let (calls, _) = tokio::join!(tokio::time::timeout(drain, waited_for), exchanges);
    if calls.is_err() {
        cancel(&gateway, |call| own(call) && !call.method.is_detached());
    }
    let detached = gateway.calls.ended(own);
    if tokio::time::timeout(Duration::from_millis(limits.drain_detached_ms), detached).await.is_err() {
        cancel(&gateway, own);
    }
    stop(&gateway, &plugin, drain).await;
}

/// Stops and frees an instance whose calls are over.
pub async fn stop(gateway: &Arc<Gateway>, plugin: &Arc<RunningPlugin>, patience: Duration) {
    gateway.exchanges.stop(plugin.number);
    if !plugin.stop(patience).await {
        tracing::warn!(plugin = &*plugin.id, "the plugin did not stop in time; its instance is abandoned");
    }
    forget_books(gateway, plugin);
}

/// Forgets an instance that was never made: what its `create` left behind runs no more.
pub fn forget(gateway: &Arc<Gateway>, plugin: &RunningPlugin, view: &HostSide) {
    view.cut_off();
    forget_books(gateway, plugin);
}

fn forget_books(gateway: &Arc<Gateway>, plugin: &RunningPlugin) {
    gateway.subscriptions.remove_all(plugin.number);
    gateway.plugin_books.instance_ended(gateway, plugin.number);
}

fn cancel(gateway: &Arc<Gateway>, which: impl FnMut(&OpenCall) -> bool) {
    let error = ErrorShape::unavailable("the method was stopped before it answered").retry_after(1000);
    for number in gateway.calls.numbers(which) {
        dispatch::end(gateway, number, GWP_CANCEL_STOP, &error);
    }
}

fn is_of(call: &OpenCall, plugin: &RunningPlugin) -> bool {
    matches!(&call.method.handler, Handler::Plugin(own) if own.number == plugin.number)
}
