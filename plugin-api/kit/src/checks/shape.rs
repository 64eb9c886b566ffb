//! What can be seen without making an instance.

use plugin_api::Manifest;
use plugin_api::hosting;

use super::bench::{Bench, unmade};
use super::{Done, Skip};
use crate::{made_up, rows};

/// More than any plugin has to say; a gateway reads it into memory.
const LARGEST: usize = 1 << 20;

/// The header was looked at when the entry was found; what else it says is looked at here.
pub(super) fn entry(bench: &mut Bench) -> Done {
    bench.step("the entry");
    if let Err(why) = hosting::manifest(bench.subject.entry) {
        bench.find(why.to_string());
    }
    Ok(())
}

pub(super) fn manifest(bench: &mut Bench) -> Done {
    bench.step("the manifest");
    let entry = bench.subject.entry;
    let text = hosting::manifest(entry).map_err(|why| Skip(why.to_string()))?;
    let address = text.as_ptr();
    // Several at once and one after another: the same bytes, and where they were.
    let differs = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| hosting::manifest(entry))).collect();
        readers.into_iter().any(|reader| reader.join().ok().is_none_or(|again| again != Ok(text)))
    });
    if differs {
        bench.find("the manifest is not the same bytes every time");
    }
    if hosting::manifest(entry).is_ok_and(|again| again.as_ptr() != address) {
        bench.find("the manifest is somewhere else the second time: its bytes have to stay where they are");
    }
    if text.len() > LARGEST {
        bench.find(format!("the manifest has {} bytes; a gateway reads at most {LARGEST}", text.len()));
    }
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(why) => {
            bench.find(format!("the manifest cannot be read: {why}"));
            return Ok(());
        }
    };
    if let Err(why) = rows::compile(&manifest) {
        bench.find(why);
        return Ok(());
    }
    if let Some(schema) = &manifest.config
        && let Err(why) = jsonschema::draft202012::new(&schema.value())
    {
        bench.find(format!("{}: the schema of its configuration does not compile: {why}", manifest.id));
    }
    if manifest.version.is_empty() {
        bench.find(format!("{}: the version is empty", manifest.id));
    }
    for spec in manifest.methods.iter().filter(|spec| made_up::values(&spec.params.value()).is_empty()) {
        bench.find(unmade(&spec.name));
    }
    Ok(())
}
