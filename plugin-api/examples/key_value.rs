//! How does a plugin remember something beyond a restart? `cargo run --example key_value`

use std::sync::{Arc, LazyLock};

use plugin_api::{
    Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup, WriteError,
};
use plugin_kit::Harness;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

struct Ledger {
    host: Host,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    amount: i64,
}

#[derive(Serialize, JsonSchema)]
struct Balance {
    balance: i64,
}

#[derive(Serialize, JsonSchema)]
struct Balances {
    balances: Vec<(String, String)>,
}

static METHODS: LazyLock<Methods<Ledger>> = LazyLock::new(|| {
    let book = Method::operator("ledger.book", &["operator.write"]).summary("Books an amount.").effects();
    let list = Method::operator("ledger.list", &["operator.read"]).summary("All balances.");
    Methods::new().add(book, Ledger::book).add(list, Ledger::list)
});

impl Plugin for Ledger {
    fn manifest() -> Manifest {
        Manifest::new("ledger", "1.0.0").methods(&METHODS)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Ledger { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Ledger);

impl Ledger {
    async fn book(self: Arc<Self>, _: Call, entry: Entry) -> Result<Balance, MethodError> {
        let key = format!("account/{}", entry.name);
        loop {
            // Reads come from the host's memory. A condition keeps two calls at once from losing one of the amounts.
            let known = self.host.kv().text(&key)?;
            let balance = known.as_deref().unwrap_or("0").parse::<i64>().unwrap_or(0) + entry.amount;
            let batch = match known {
                Some(known) => self.host.kv().batch().set_if_equal(&key, known, balance.to_string()),
                None => self.host.kv().batch().set_if_absent(&key, balance.to_string()),
            };
            // Visible when `write` returns; on the disk when it has been awaited.
            match batch.write().await {
                Ok(()) => return Ok(Balance { balance }),
                Err(WriteError::Conflict(_)) => continue,
                Err(other) => return Err(MethodError::unavailable(other.to_string())),
            }
        }
    }

    async fn list(self: Arc<Self>, _: Call, _: NoParams) -> Result<Balances, MethodError> {
        Ok(Balances { balances: self.host.kv().scan("account/")? })
    }
}

pub(crate) fn main() {
    let plugin = Harness::new::<Ledger>().kv("account/ada", "40").start();
    for (name, amount) in [("ada", 2), ("charles", 7), ("ada", -10)] {
        plugin.call("ledger.book", json!({ "name": name, "amount": amount })).payload();
    }
    println!("{}", plugin.call("ledger.list", json!({})).payload());
    assert_eq!(plugin.kv("account/ada").as_deref(), Some("32"));
}
