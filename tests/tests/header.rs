//! `plugin-api/include/gwp.h` says what the Rust mirror says, and compiles wherever plugins are written.

use clawhost_tests::compiler::{self, Compiler, Language};
use clawhost_tests::header::{self, REGENERATE};
use plugin_api::hosting;

/// What an author writes at the least, and every constant in use.
const PLUGIN: &str = r#"
#include "gwp.h"
#include "gwp.h"

static const char text[] = "{}";
static void manifest(gwp_bytes *out) { out->ptr = (const uint8_t *)text; out->len = sizeof(text) - 1; }
static int32_t start(void *self) { return self == NULL ? GWP_INVALID : GWP_OK; }
static void call(void *self, const gwp_request *request) {
    const gwp_host *host = (const gwp_host *)self;
    gwp_bytes id = { (const uint8_t *)GWP_EXT_CALLER, sizeof(GWP_EXT_CALLER) - 1 };
    const gwp_caller_v1 *caller = (const gwp_caller_v1 *)host->extension(host, id);
    gwp_principal kept = 0;
    if (caller != NULL && caller->retain(host, request->call, &kept) == GWP_OK)
        caller->release(host, kept | GWP_OWN_GRANTS);
    host->reply(host, request->call, request->flags & GWP_REQ_ADMIN ? GWP_FINAL : GWP_ERROR, request->params);
}
static void cancel(void *self, gwp_call call, int32_t reason) { (void)self; (void)call; (void)reason; }
static void end(void *self, gwp_fn done, void *user) { (void)self; done(user); }
static void destroy(void *self) { (void)self; }
static const void *extension(void *self, gwp_bytes id) { (void)self; (void)id; return NULL; }
static int32_t create(const gwp_host *host, gwp_bytes setup_json, gwp_plugin *out) {
    gwp_plugin plugin = { sizeof plugin, 0, (void *)host, start, call, cancel, end, end, destroy, extension };
    (void)setup_json;
    if (out->size < sizeof plugin) return GWP_UNSUPPORTED;
    *out = plugin;
    return GWP_OK;
}
const gwp_entry gwp_entry_v1 = { GWP_MAGIC, sizeof(gwp_entry), GWP_ABI_MINOR, 0, manifest, create };
"#;

const STANDARDS: [(Language, &str); 4] =
    [(Language::C, "c99"), (Language::C, "c11"), (Language::Cpp, "c++11"), (Language::Cpp, "c++17")];

#[test]
fn the_header_is_what_the_mirror_says() {
    let found = std::fs::read_to_string(header::path()).unwrap_or_default();
    let expected = header::text();
    let mut lines = found.lines().zip(expected.lines()).enumerate();
    if let Some((number, (found, expected))) = lines.find(|(_, (found, expected))| found != expected) {
        let number = number + 1;
        panic!("gwp.h:{number} says {found:?}, the mirror {expected:?}; run `{REGENERATE}` and look at what changed");
    }
    assert_eq!(found.len(), expected.len(), "gwp.h ends too early or too late; run `{REGENERATE}`");
}

#[test]
fn it_compiles_as_c_and_as_cpp_without_a_warning() {
    for (language, standard) in STANDARDS {
        let Some(compiler) = Compiler::find(language) else { continue };
        for text in ["#include \"gwp.h\"\ntypedef int not_empty;\n", PLUGIN] {
            if let Err(why) = compiler.check(standard, text) {
                panic!("{standard}: {why}");
            }
        }
    }
}

/// Even where everything is hidden that is not exported by name, and though a constant of C++ is not by itself.
#[test]
fn the_entry_is_exported_under_its_name() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (language, name) in [(Language::C, "plugin.c"), (Language::Cpp, "plugin.cpp")] {
        let Some(compiler) = Compiler::find(language) else { continue };
        let (source, library) = (folder.path().join(name), folder.path().join(format!("{name}.so")));
        std::fs::write(&source, PLUGIN).expect("a file can be written");
        let built = compiler.library(&compiler::include(), &source, &["-fvisibility=hidden"], &library);
        built.unwrap_or_else(|why| panic!("{name}: {why}"));
        let entry = hosting::open(&library).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(hosting::manifest(entry), Ok("{}"), "{name}");
    }
}

/// An assertion that never fails would prove nothing.
#[test]
fn a_layout_that_is_not_the_mirrors_does_not_compile() {
    for (language, standard) in STANDARDS {
        let Some(compiler) = Compiler::find(language) else { continue };
        for (right, wrong) in [
            ("GWP_SIZE(gwp_bytes, 16)", "GWP_SIZE(gwp_bytes, 24)"),
            ("  uint64_t conn;\n", "  uint64_t later;\n  uint64_t conn;\n"),
            ("GWP_OFFSET(gwp_plugin, self, 8)", "GWP_OFFSET(gwp_plugin, self, 16)"),
        ] {
            let text = header::text();
            assert!(text.contains(right), "the header has no {right:?}");
            assert!(compiler.check(standard, &text.replace(right, wrong)).is_err(), "{standard} stands {wrong:?}");
        }
    }
}
