//! A plugin that runs inside tokio, though the host that polls it has a runtime of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use plugin_api::{Call, CreateError, Host, Manifest, Method, MethodError, Methods, NoParams, Plugin, Reply, Setup};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The plugin.
pub struct Tides {
    host: Host,
}

static METHODS: LazyLock<Methods<Tides>> = LazyLock::new(|| {
    Methods::new()
        .add(Method::operator("tides.round", &[]), Tides::round)
        .add(Method::operator("tides.wait", &[]).interim(), Tides::wait)
});

impl Plugin for Tides {
    fn manifest() -> Manifest {
        Manifest::new("tides", "1.0.0").invokes(&["vault.*"]).methods(&METHODS)
    }

    fn create(host: Host, _: Setup) -> Result<Self, CreateError> {
        Ok(Tides { host })
    }

    fn call(self: Arc<Self>, call: Call) -> impl Future<Output = Reply> + Send {
        METHODS.dispatch(self, call)
    }
}

plugin_api::plugin!(Tides, runtime = tokio);

impl Tides {
    /// Whatever waits, of tokio and of the host in turn.
    async fn round(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        let ebb = exchange().await?;
        self.host.sleep(Duration::from_millis(1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let vault: Value = call.invoke("vault.read", &json!({})).send().await?;
        let flood = tokio::spawn(exchange()).await.map_err(|error| MethodError::unavailable(error.to_string()))??;
        let blocking = self.host.blocking(|| 7).await?;
        self.host.kv().set_json("tide", &ebb).await.map_err(|error| MethodError::unavailable(error.to_string()))?;
        let kept: Option<String> = self.host.kv().json("tide")?;
        Ok(json!({ "ebb": ebb, "flood": flood, "role": vault["role"], "blocking": blocking, "kept": kept }))
    }

    /// Until it is cancelled.
    async fn wait(self: Arc<Self>, call: Call, _: NoParams) -> Result<Value, MethodError> {
        call.interim(&json!({ "waiting": true }))?;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(json!({}))
    }
}

/// A word sent and heard.
async fn exchange() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (there, here) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    let (mut there, (mut here, _)) = (there?, here?);
    here.write_all(b"moon").await?;
    drop(here);
    let mut word = String::new();
    there.read_to_string(&mut word).await?;
    Ok(word)
}
