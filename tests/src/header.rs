//! The C header of the plugin boundary, made from its Rust mirror: `plugin-api/include/gwp.h` is under review as a file.
//! The generator writes it; a test compares it.
//!
//! cbindgen reads the mirror and writes types and constants. What C has another way of saying is put around it here: the
//! preface, constants with their types, the exported name, and the assertions of the layout.

use std::fmt::Write;
use std::path::PathBuf;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use plugin_api::abi;

use crate::program::repository;

/// The command that writes the header anew.
pub const REGENERATE: &str = "cargo run -p clawhost-tests --bin header";

const WIDTH: usize = 120;

const PREFACE: &str = r#"/*
 * gwp, "gateway plugin": the interface between the gateway and its plugins, major version 1.
 *
 * A plugin is a shared library that exports `gwp_entry_v1`, see the end of this file. Only fixed-width integers and
 * pointers cross. Three tables (gwp_entry, gwp_host, gwp_plugin) never change within the major; records (gwp_request,
 * gwp_event, gwp_kv_op) grow at the tail: whoever fills one sets `size`, and a field may be read if it ends within it.
 * Everything optional is an extension asked for by id, whose table never changes either. Whoever does not know a flag,
 * a kind, a reason or a JSON field passes over it.
 *
 * Memory: every slice is lent for the length of the call that passes it, in both directions. Copy what you keep; free
 * nothing of the other side's. `user` pointers are the plugin's.
 *
 * Threads: `[control]` the host calls, one at a time per instance; `[worker]` the host calls, several at once, return
 * within about a millisecond; `[any]` either side, any thread, never blocks. But for the sinks of `get` and `scan` the
 * host never calls a plugin from within a host function: a plugin may hold its own lock while it calls the host.
 *
 * Generated from plugin-api/src/abi.rs and abi/http.rs by `REGENERATE`.
 */
#ifndef GWP_H
#define GWP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

"#;

const ENTRY: &str = r#"/* What a plugin defines: `const gwp_entry gwp_entry_v1 = { GWP_MAGIC, sizeof(gwp_entry), ... };` */
#if defined(_WIN32)
#define GWP_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define GWP_EXPORT __attribute__((visibility("default")))
#else
#define GWP_EXPORT
#endif
GWP_EXPORT extern const gwp_entry gwp_entry_v1;

#ifdef __cplusplus
} /* extern "C" */
#endif

"#;

const ASSERT: &str = r#"/* The layout, on machines of 64 bits. */
#if UINTPTR_MAX == 0xffffffffffffffffu
#if defined(__cplusplus)
#define GWP_ASSERT(name, holds) static_assert(holds, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define GWP_ASSERT(name, holds) _Static_assert(holds, #name)
#else
#define GWP_ASSERT(name, holds) typedef char gwp_assert_##name[(holds) ? 1 : -1]
#endif
#define GWP_SIZE(type, size) GWP_ASSERT(size_of_##type, sizeof(type) == (size))
#define GWP_OFFSET(type, field, offset) GWP_ASSERT(offset_of_##type##_##field, offsetof(type, field) == (offset))
"#;

const END: &str = "#undef GWP_OFFSET\n#undef GWP_SIZE\n#undef GWP_ASSERT\n#endif\n\n#endif /* GWP_H */\n";

/// Each group of constants: its first one, what it is, and how C writes the values.
const GROUPS: [(&str, &str, Value); 13] = [
    ("GWP_MAGIC", "The interface.", Value::Hex),
    ("GWP_OK", "Results.", Value::Signed),
    ("GWP_INTERIM", "Kinds of `reply`, and of what the sink of gwp_invoke_v1 hears.", Value::Signed),
    ("GWP_SINK_EVENT", "Kinds that other sinks hear.", Value::Signed),
    ("GWP_CANCEL_DISCONNECT", "Reasons of `cancel`.", Value::Signed),
    ("GWP_REQ_LOCAL", "Flags of gwp_request.", Value::Flag),
    ("GWP_EV_DROP_IF_SLOW", "Flags of gwp_event.", Value::Flag),
    ("GWP_KV_DELETE", "Flags of gwp_kv_op.", Value::Flag),
    ("GWP_OWN_GRANTS", "A bit of gwp_principal.", Value::Wide(abi::GWP_OWN_GRANTS)),
    ("GWP_HTTP_BODY", "Kinds of `write` and `event` of HTTP.", Value::Signed),
    ("GWP_HTTP_REQ_LOCAL", "Flags of gwp_http_request.", Value::Flag),
    ("GWP_HTTP_LENGTH_UNKNOWN", "A value of body_len.", Value::Wide(abi::GWP_HTTP_LENGTH_UNKNOWN)),
    ("GWP_EXT_EXEC", "Ids of extensions, for `extension` of gwp_host.", Value::Text),
];

#[derive(Clone, Copy)]
enum Value {
    Hex,
    Signed,
    Flag,
    Wide(u64),
    Text,
}

/// Where the header is.
pub fn path() -> PathBuf {
    repository().join("plugin-api/include/gwp.h")
}

/// The header as the Rust mirror says it.
pub fn text() -> String {
    let sources = ["plugin-api/src/abi.rs", "plugin-api/src/abi/http.rs"].map(|file| repository().join(file));
    let (constants, types) = mirrored(&sources);
    let forward: String = layouts().map(|layout| format!("typedef struct {0} {0};\n", layout.name)).collect();
    let preface = PREFACE.replace("REGENERATE", REGENERATE);
    let layout = in_c(&layout());
    let text = format!("{preface}{}{forward}\n{}{ENTRY}{ASSERT}{layout}{END}", groups(&constants), in_c(&types));
    for (number, line) in text.lines().enumerate() {
        assert!(line.is_ascii() && line.len() <= WIDTH, "line {} of the header: {line}", number + 1);
    }
    text
}

/// Of every table and record.
fn layouts() -> impl Iterator<Item = &'static abi::Layout> {
    abi::LAYOUTS.iter().chain(abi::HTTP_LAYOUTS)
}

struct Constant {
    name: String,
    value: String,
    doc: String,
}

/// What cbindgen makes of the mirror: its constants, and the text of its types.
fn mirrored(sources: &[PathBuf]) -> (Vec<Constant>, String) {
    let mut config = Config {
        language: Language::C,
        style: Style::Tag,
        documentation_style: DocumentationStyle::C,
        usize_is_size_t: true,
        no_includes: true,
        line_length: WIDTH - 8,
        ..Config::default()
    };
    config.export.include = layouts().map(|layout| layout.name.to_string()).collect();
    // A list of names in Rust; C has the names.
    config.export.exclude = vec!["ALL".to_string()];
    let builder = sources.iter().fold(Builder::new(), |builder, source| builder.with_src(source));
    let bindings = builder.with_config(config).generate().expect("the mirror can be read");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = one_line_comments(&String::from_utf8(text).expect("the header is text"));

    let (mut constants, mut types) = (Vec::new(), String::new());
    for block in text.trim().split("\n\n") {
        let define = block.lines().last().and_then(|line| line.strip_prefix("#define "));
        match define.and_then(|define| define.split_once(' ')) {
            Some((name, value)) => {
                let doc = block.lines().next().unwrap_or_default();
                let doc = doc.trim_start_matches("/* ").trim_end_matches(" */").to_string();
                constants.push(Constant { name: name.to_string(), value: value.to_string(), doc });
            }
            None => types.extend([block, "\n\n"]),
        }
    }
    // cbindgen passes over texts.
    let ids = abi::extension::ALL.into_iter().map(|id| {
        let (name, _) = id.split_once('.').and_then(|(_, id)| id.split_once('/')).expect("gwp.<name>/<rev>");
        let table = format!("gwp_{name}_v1");
        assert!(layouts().any(|layout| layout.name == table), "{id} has no table {table}");
        Constant { name: format!("GWP_EXT_{}", name.to_uppercase()), value: format!("\"{id}\""), doc: table }
    });
    constants.extend(ids);
    (constants, types)
}

/// `/*`, one line, `*/` of cbindgen on one line.
fn one_line_comments(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut source = text.lines().peekable();
    while let Some(line) = source.next() {
        if line.trim() != "/*" {
            lines.push(line.to_string());
            continue;
        }
        let comment: Vec<&str> = source.by_ref().map(str::trim).take_while(|line| *line != "*/").collect();
        let indent = &line[..line.len() - 2];
        lines.push(format!("{indent}/* {} */", comment.join(&format!("\n{indent}   "))));
    }
    lines.join("\n")
}

fn groups(constants: &[Constant]) -> String {
    let mut text = String::new();
    let mut form = Value::Signed;
    for constant in constants {
        if let Some((_, heading, value)) = GROUPS.iter().find(|(first, ..)| *first == constant.name) {
            form = *value;
            let gap = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{gap}/* {heading} */").expect("a text grows");
        }
        let (value, width) = (form.write(&constant.value), if matches!(form, Value::Text) { 16 } else { 12 });
        writeln!(text, "#define {:<22} {value:<width$} /* {} */", constant.name, constant.doc).expect("a text grows");
    }
    text.push('\n');
    in_c(&text)
}

impl Value {
    fn write(self, value: &str) -> String {
        match self {
            Value::Hex => value.parse::<u32>().map_or(value.to_string(), |number| {
                if number > 0xffff { format!("{number:#010x}u") } else { format!("{number}u") }
            }),
            Value::Signed if value.starts_with('-') => format!("({value})"),
            Value::Signed | Value::Text => value.to_string(),
            Value::Flag => format!("{value}u"),
            Value::Wide(number) => format!("UINT64_C({number:#x})"),
        }
    }
}

fn layout() -> String {
    let mut text = String::new();
    for layout in layouts() {
        writeln!(text, "GWP_SIZE({}, {});", layout.name, layout.size).expect("a text grows");
        for (field, offset) in layout.fields {
            writeln!(text, "GWP_OFFSET({}, {field}, {offset});", layout.name).expect("a text grows");
        }
    }
    text
}

/// Rust's words in C's: links of the docs, names that are keywords there, and tags where a name is enough.
fn in_c(text: &str) -> String {
    let mut text = text.replace("[`", "").replace("`]", "").replace('…', "...").replace("self_", "self");
    text = text.replace("void*", "void *");
    let lines = text.lines().map(|line| {
        // A definition keeps its tag; the names are declared before all of them.
        if line.starts_with("struct ") { line.to_string() } else { line.replace("struct gwp_", "gwp_") }
    });
    lines.map(|line| line + "\n").collect()
}
