//! Which plugin answers which path: the `http` rows of all manifests. The longest path that fits is taken.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hyper::Method;
use metrics::Counter;
use plugin_api::http::{Admission, HttpSpec};

use crate::metrics::Metrics;
use crate::plugin::RunningPlugin;

/// All rows of one generation.
#[derive(Default)]
pub struct Routes {
    by_prefix: HashMap<Box<str>, Arc<Route>>,
    /// Who shows them: the first that named one.
    surfaces: BTreeMap<String, Arc<RunningPlugin>>,
}

/// A row, ready to be answered.
pub struct Route {
    /// Its row of the manifest.
    pub spec: HttpSpec,
    /// Who answers.
    pub plugin: Arc<RunningPlugin>,
    /// Requests that were handed over.
    pub requests: Counter,
    /// Requests that were answered with a fault of the plugin's, or for want of the plugin.
    pub failures: Counter,
}

impl Route {
    /// Whether its row takes a verb.
    pub fn takes(&self, verb: &Method) -> bool {
        self.spec.verbs.iter().any(|known| known == verb.as_str())
    }
}

impl Routes {
    /// Adds a row; the error names both sides of a clash.
    pub fn add(&mut self, plugin: &Arc<RunningPlugin>, spec: &HttpSpec, metrics: &Metrics) -> Result<(), String> {
        let prefix = spec.prefix();
        if let Some(other) = self.by_prefix.get(prefix) {
            return Err(format!("path {:?} is claimed by {:?} and by {:?}", spec.path, &*other.plugin.id, &*plugin.id));
        }
        let labels = [("plugin", &*plugin.id), ("path", spec.path.as_str())];
        let requests = metrics.counter("clawhost_http_requests_total", &labels);
        let failures = metrics.counter("clawhost_http_failures_total", &labels);
        let route = Route { spec: spec.clone(), plugin: plugin.clone(), requests, failures };
        self.by_prefix.insert(prefix.into(), Arc::new(route));
        if let Some(surface) = spec.surface.as_ref().filter(|_| spec.admit == Admission::Capability) {
            self.surfaces.entry(surface.clone()).or_insert_with(|| plugin.clone());
        }
        Ok(())
    }

    /// Who answers this path.
    pub fn find(&self, path: &str) -> Option<&Arc<Route>> {
        let mut prefix = path.trim_end_matches('/');
        loop {
            match (self.by_prefix.get(prefix), prefix.rfind('/')) {
                (Some(route), _) => return Some(route),
                (None, Some(cut)) => prefix = &prefix[..cut],
                (None, None) => return None,
            }
        }
    }

    /// Names of addresses that hello-ok tells, sorted, and who shows what is there.
    pub fn surfaces(&self) -> impl Iterator<Item = (&str, &RunningPlugin)> {
        self.surfaces.iter().map(|(name, plugin)| (name.as_str(), &**plugin))
    }

    /// Whether there are no rows at all.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }
}
