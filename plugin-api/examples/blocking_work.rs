//! How does a plugin do what takes long or blocks, without keeping the host's workers? `cargo run --example blocking_work`

use std::sync::{Arc, LazyLock};

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, Plugin, Reply, Setup};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Library {
    shelf: std::path::PathBuf,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Book {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Shelved {
    books: usize,
    primes: usize,
}

static METHODS: LazyLock<Methods<Library>> = LazyLock::new(|| {
    let shelve = Method::operator("shelve", &["operator.write"]).summary("Keeps a book in a file.").effects();
    Methods::new().add(shelve, Library::shelve)
});

impl Plugin for Library {
    fn manifest() -> Manifest {
        // A plugin that blocks in every method says `.blocking()` here instead, and the host calls it where it may.
        Manifest::new("library", "1.0.0").methods(&METHODS)
    }

    fn create(_: Host, setup: Setup) -> Result<Self, CreateError> {
        Ok(Library { shelf: setup.data_dir()?.to_path_buf() })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Library);

impl Library {
    async fn shelve(self: Arc<Self>, call: Call, book: Book) -> Result<Shelved, MethodError> {
        let library = self.clone();
        // Runs on a thread that may block. The call may be cancelled meanwhile: the closure then ends unheard.
        let books = call.host().blocking(move || library.write(&book.text)).await??;
        let primes = call.host().blocking(|| (2..20_000_u32).filter(|n| is_prime(*n)).count()).await?;
        Ok(Shelved { books, primes })
    }

    fn write(&self, text: &str) -> std::io::Result<usize> {
        let books = std::fs::read_dir(&self.shelf)?.count();
        std::fs::write(self.shelf.join(format!("{books}.txt")), text)?;
        Ok(books + 1)
    }
}

fn is_prime(number: u32) -> bool {
    (2..number).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}

pub(crate) fn main() {
    let plugin = Harness::new::<Library>().start();
    for text in ["Call me Ishmael.", "It was the best of times."] {
        println!("{}", plugin.call("shelve", json!({ "text": text })).payload());
    }
    let second = std::fs::read_to_string(plugin.data_dir().join("1.txt")).expect("it was written");
    assert_eq!(second, "It was the best of times.");
}
