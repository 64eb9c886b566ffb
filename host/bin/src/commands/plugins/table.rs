//! `[plugins.<id>]` of a configuration, written so that everything else in the file stays as it is.

use plugin_api::Manifest;
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// What is to stand in the table of a plugin.
pub struct Entry<'e> {
    /// The plugin's id.
    pub id: &'e str,
    /// Its library, as `path` will say.
    pub path: &'e str,
    /// The checksum, unless the file may change.
    pub sha256: Option<&'e str>,
    /// What it may call and hear.
    pub grants: &'e Grants,
    /// The author's keys, if they are to be set.
    pub config: Option<&'e Json>,
}

/// What a plugin may call and hear in its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    pub invoke: Vec<String>,
    pub hear: Vec<String>,
}

impl Grants {
    /// What a manifest asks for.
    pub fn wanted(manifest: &Manifest) -> Self {
        Grants { invoke: manifest.invokes.clone(), hear: manifest.hears.clone() }
    }

    /// What a configuration gives already.
    pub fn given(document: &DocumentMut, id: &str) -> Self {
        let grants = document.get("plugins").and_then(|plugins| plugins.get(id)).and_then(|table| table.get("grants"));
        let list = |name: &str| {
            let list = grants.and_then(|grants| grants.get(name)).and_then(Item::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
        };
        Grants { invoke: list("invoke"), hear: list("hear") }
    }

    /// What is in here and not in there.
    pub fn beyond(&self, other: &Grants) -> Self {
        let beyond =
            |own: &[String], other: &[String]| own.iter().filter(|name| !other.contains(name)).cloned().collect();
        Grants { invoke: beyond(&self.invoke, &other.invoke), hear: beyond(&self.hear, &other.hear) }
    }

    /// All of both.
    pub fn and(mut self, other: Grants) -> Self {
        self.invoke.extend(other.invoke);
        self.hear.extend(other.hear);
        self
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.invoke.is_empty() && self.hear.is_empty()
    }
}

/// Whether the configuration has a table for this plugin.
pub fn exists(document: &DocumentMut, id: &str) -> bool {
    document.get("plugins").and_then(|plugins| plugins.get(id)).is_some()
}

/// Writes the table, or what has changed of it.
pub fn write(document: &mut DocumentMut, entry: &Entry<'_>) -> Result<(), String> {
    let is_new = !exists(document, entry.id);
    // Comments at the end of the file stay above a table that is added.
    let ending = document.trailing().as_str().unwrap_or_default().to_string();
    let plugins = document.entry("plugins").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let plugins = plugins.as_table_like_mut().ok_or("\"plugins\" is not a table")?;
    let own = plugins.entry(entry.id).or_insert_with(|| Item::Table(Table::new()));
    let own = own.as_table_like_mut().ok_or_else(|| format!("\"plugins.{}\" is not a table", entry.id))?;
    set(own, "path", entry.path.into());
    match entry.sha256 {
        Some(sha256) => set(own, "sha256", sha256.into()),
        None => drop(own.remove("sha256")),
    }
    if !entry.grants.is_empty() {
        write_grants(own, entry.grants)?;
    }
    if let Some(config) = entry.config {
        own.insert("config", config_table(config)?);
    }
    if is_new
        && let Some(Item::Table(table)) = document.get_mut("plugins").and_then(|plugins| plugins.get_mut(entry.id))
    {
        let gap = if ending.is_empty() { "" } else { "\n" };
        table.decor_mut().set_prefix(format!("{ending}{gap}"));
        document.set_trailing("");
    }
    Ok(())
}

fn write_grants(own: &mut dyn TableLike, grants: &Grants) -> Result<(), String> {
    let item = own.entry("grants").or_insert_with(|| Item::Value(Value::InlineTable(InlineTable::new())));
    let table = item.as_table_like_mut().ok_or("\"grants\" is not a table")?;
    for (name, list) in [("invoke", &grants.invoke), ("hear", &grants.hear)] {
        if !list.is_empty() {
            set(table, name, Value::Array(list.iter().collect::<Array>()));
        }
    }
    Ok(())
}

/// Puts a value in its place; a comment behind the old one stays.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

fn config_table(config: &Json) -> Result<Item, String> {
    let mut table = Table::new();
    for (key, value) in config.as_object().into_iter().flatten() {
        table.insert(key, Item::Value(toml_value(key, value)?));
    }
    Ok(Item::Table(table))
}

fn toml_value(key: &str, value: &Json) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err(format!("{key}: TOML has no null; leave the key out")),
        Json::Bool(flag) => (*flag).into(),
        Json::String(text) => text.as_str().into(),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) if !number.is_u64() => real.into(),
            _ => return Err(format!("{key}: {number} does not fit in 64 bits with a sign")),
        },
        Json::Array(items) => {
            Value::Array(items.iter().map(|item| toml_value(key, item)).collect::<Result<Array, String>>()?)
        }
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| Ok((key.as_str(), toml_value(key, value)?)));
            Value::InlineTable(members.collect::<Result<InlineTable, String>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(text: &str, entry: &Entry<'_>) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        write(&mut document, entry).unwrap();
        document.to_string()
    }

    #[test]
    fn a_new_table_comes_last_and_everything_else_stays() {
        let text = "# mine\n[gateway]\nport = 1 # the port\n\n# the end\n";
        let grants = Grants { invoke: vec!["health".into()], hear: vec![] };
        let config = json!({ "a": 1, "b": { "c": [true, 1.5] } });
        let entry = Entry { id: "w", path: "/w.so", sha256: Some("00"), grants: &grants, config: Some(&config) };
        let expected = "# mine\n[gateway]\nport = 1 # the port\n\n# the end\n\n[plugins.w]\npath = \"/w.so\"\n\
                        sha256 = \"00\"\ngrants = { invoke = [\"health\"] }\n\n[plugins.w.config]\na = 1\n\
                        b = { c = [true, 1.5] }\n";
        assert_eq!(edited(text, &entry), expected);
        assert_eq!(
            edited("", &Entry { config: None, grants: &Grants::default(), ..entry }),
            "[plugins.w]\npath = \"/w.so\"\nsha256 = \"00\"\n"
        );
    }

    #[test]
    fn a_table_that_is_there_keeps_its_comments_and_its_other_keys() {
        let text = "[plugins.w]\n# where\npath = \"old\" # here\nenabled = false\nsha256 = \"11\" # sum\n\n[plugins.v]\nenabled = false\n";
        let entry = Entry { id: "w", path: "/w.so", sha256: Some("00"), grants: &Grants::default(), config: None };
        let expected = text.replace("\"old\"", "\"/w.so\"").replace("\"11\"", "\"00\"");
        assert_eq!(edited(text, &entry), expected);
        let more = Grants { invoke: vec![], hear: vec!["cron.*".into()] };
        let entry = Entry { grants: &more, ..entry };
        assert!(edited(text, &entry).contains("grants = { hear = [\"cron.*\"] }"));
        let document: DocumentMut = edited(text, &entry).parse().unwrap();
        assert_eq!(Grants::given(&document, "w"), more);
        assert!(more.beyond(&more).is_empty());
    }

    #[test]
    fn what_toml_cannot_say_is_refused() {
        let mut document = DocumentMut::new();
        let config = json!({ "a": null });
        let grants = Grants::default();
        let entry = Entry { id: "w", path: "/w.so", sha256: None, grants: &grants, config: Some(&config) };
        assert_eq!(write(&mut document, &entry), Err("a: TOML has no null; leave the key out".into()));
        let mut wrong: DocumentMut = "plugins = 1".parse().unwrap();
        assert_eq!(write(&mut wrong, &entry), Err("\"plugins\" is not a table".into()));
    }
}
