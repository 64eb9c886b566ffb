/*
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
 * Generated from plugin-api/src/abi.rs and abi/http.rs by `cargo run -p clawhost-tests --bin header`.
 */
#ifndef GWP_H
#define GWP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The interface. */
#define GWP_MAGIC              0x31505747u  /* `GWP1` in memory, little-endian. */
#define GWP_ABI_MINOR          0u           /* For messages to people: the minor version this side was built against. */

/* Results. */
#define GWP_OK                 0            /* Done. */
#define GWP_INVALID            (-1)         /* An argument is wrong. */
#define GWP_UNSUPPORTED        (-2)         /* Not offered. */
#define GWP_CONFIG             (-3)         /* The configuration is wrong; `fail` said why. */
#define GWP_GONE               (-4)         /* The call, timer, subscription or instance is no more. */
#define GWP_BUSY               (-5)         /* Too much at once; try later. */
#define GWP_DENIED             (-6)         /* Not granted. */
#define GWP_TOO_LARGE          (-7)         /* Over a size limit. */
#define GWP_NOT_FOUND          (-8)         /* No such method, key or connection. */
#define GWP_PANIC              (-9)         /* The other side panicked. */

/* Kinds of `reply`, and of what the sink of gwp_invoke_v1 hears. */
#define GWP_INTERIM            1            /* A `res` now, more to come. */
#define GWP_FINAL              2            /* The json is the payload. */
#define GWP_ERROR              3            /* The json is an `ErrorShape`. */
#define GWP_ERROR_PAYLOAD      4            /* The json is `{"error","payload"}`. */

/* Kinds that other sinks hear. */
#define GWP_SINK_EVENT         10           /* events: `{"event","payload","conns"?}` */
#define GWP_SINK_FOUND         20           /* kv get: the value. */
#define GWP_SINK_ABSENT        21           /* kv get: nothing there. */
#define GWP_SINK_ENTRY         22           /* kv scan: `{"key","value"}` */
#define GWP_SINK_END           23           /* kv scan: no more. */
#define GWP_SINK_DURABLE       24           /* kv write: on disk. */
#define GWP_SINK_CONFLICT      25           /* kv write: a condition failed; the value there, as it is. */
#define GWP_SINK_FAILED        26           /* kv write: why. */
#define GWP_SINK_CALLER        30           /* caller: the record. */

/* Reasons of `cancel`. */
#define GWP_CANCEL_DISCONNECT  1            /* The connection went. */
#define GWP_CANCEL_TIMEOUT     2            /* The deadline passed. */
#define GWP_CANCEL_STOP        3            /* The instance stops. */
#define GWP_CANCEL_ASKED       4            /* The invoker asked. */
#define GWP_CANCEL_REVOKED     5            /* The caller's authority was revoked. */

/* Flags of gwp_request. */
#define GWP_REQ_LOCAL          1u           /* The connection is local. */
#define GWP_REQ_ADMIN          2u           /* The caller holds `operator.admin`. */
#define GWP_REQ_NODE           4u           /* The caller's role is node. */

/* Flags of gwp_event. */
#define GWP_EV_DROP_IF_SLOW    1u           /* A slow consumer may miss it; otherwise it is closed. */
#define GWP_EV_STATE_VERSION   2u           /* Stamp the current snapshot versions. */

/* Flags of gwp_kv_op. */
#define GWP_KV_DELETE          1u           /* Delete instead of set. */
#define GWP_KV_IF_ABSENT       2u           /* Only if nothing is there. */
#define GWP_KV_IF_EQUAL        4u           /* Only if `expected` is there. */

/* A bit of gwp_principal. */
#define GWP_OWN_GRANTS         UINT64_C(0x8000000000000000) /* See gwp_principal: own grants, that caller's account. */

/* Kinds of `write` and `event` of HTTP. */
#define GWP_HTTP_BODY          40           /* A part of the body, either way. */
#define GWP_HTTP_END           41           /* The body has ended. */
#define GWP_HTTP_TEXT          42           /* A message of text, either way. */
#define GWP_HTTP_BINARY        43           /* A message of bytes, either way. */
#define GWP_HTTP_WRITABLE      44           /* There is room to write again. */
#define GWP_HTTP_CLOSED        45           /* It is over, and nothing follows; `{"why"}`, and `code`, `reason`. */

/* Flags of gwp_http_request. */
#define GWP_HTTP_REQ_LOCAL     1u           /* The client is local. */
#define GWP_HTTP_REQ_UPGRADE   2u           /* It asks for a WebSocket. */
#define GWP_HTTP_REQ_BODY      4u           /* A body follows. */

/* A value of body_len. */
#define GWP_HTTP_LENGTH_UNKNOWN UINT64_C(0xffffffffffffffff) /* Of a body whose length nobody knows yet. */

/* Ids of extensions, for `extension` of gwp_host. */
#define GWP_EXT_EXEC           "gwp.exec/1"     /* gwp_exec_v1 */
#define GWP_EXT_INVOKE         "gwp.invoke/1"   /* gwp_invoke_v1 */
#define GWP_EXT_KV             "gwp.kv/1"       /* gwp_kv_v1 */
#define GWP_EXT_EVENTS         "gwp.events/1"   /* gwp_events_v1 */
#define GWP_EXT_CALLER         "gwp.caller/1"   /* gwp_caller_v1 */
#define GWP_EXT_SNAPSHOT       "gwp.snapshot/1" /* gwp_snapshot_v1 */
#define GWP_EXT_HTTP           "gwp.http/1"     /* gwp_http_v1 */

typedef struct gwp_bytes gwp_bytes;
typedef struct gwp_request gwp_request;
typedef struct gwp_event gwp_event;
typedef struct gwp_kv_op gwp_kv_op;
typedef struct gwp_host gwp_host;
typedef struct gwp_plugin gwp_plugin;
typedef struct gwp_entry gwp_entry;
typedef struct gwp_exec_v1 gwp_exec_v1;
typedef struct gwp_invoke_v1 gwp_invoke_v1;
typedef struct gwp_kv_v1 gwp_kv_v1;
typedef struct gwp_events_v1 gwp_events_v1;
typedef struct gwp_caller_v1 gwp_caller_v1;
typedef struct gwp_snapshot_v1 gwp_snapshot_v1;
typedef struct gwp_http_request gwp_http_request;
typedef struct gwp_http_v1 gwp_http_v1;
typedef struct gwp_http_plugin_v1 gwp_http_plugin_v1;

/* Text, UTF-8 without a NUL at its end; `{NULL, 0}` means absent. Lent for the length of the call that passes it. */
struct gwp_bytes {
  /* First byte. */
  const uint8_t *ptr;
  /* Number of bytes. */
  size_t len;
};

/* One request; 0 is never valid; never reused in a process. */
typedef uint64_t gwp_call;

/* A call to a method. A field may be read if it ends within `size`. */
struct gwp_request {
  /* Size of this record as its filler knows it. */
  uint32_t size;
  /* `GWP_REQ_...` */
  uint32_t flags;
  /* The number to answer to. */
  gwp_call call;
  /* The connection; 0 is the host itself or another plugin. */
  uint64_t conn;
  /* Milliseconds from now; 0 is none. */
  uint64_t deadline_ms;
  /* The method's name. */
  gwp_bytes method;
  /* JSON text, valid against the method's schema. */
  gwp_bytes params;
  /* Absent unless the method takes one. */
  gwp_bytes idempotency_key;
  /* The trace that the call belongs to, a W3C `traceparent`; absent without one. */
  gwp_bytes traceparent;
};

/* An event to publish. */
struct gwp_event {
  /* Size of this record as its filler knows it. */
  uint32_t size;
  /* `GWP_EV_...` */
  uint32_t flags;
  /* The event's name, declared in the manifest. */
  gwp_bytes name;
  /* JSON text. */
  gwp_bytes payload;
  /* NULL: broadcast, numbered; else to these connections, unnumbered. */
  const uint64_t *conns;
  /* How many. */
  size_t n_conns;
};

/* One write of a batch. */
struct gwp_kv_op {
  /* Size of this record as its filler knows it; in an array the first one's is the stride. */
  uint32_t size;
  /* `GWP_KV_...` */
  uint32_t flags;
  /* The key. */
  gwp_bytes key;
  /* The new value. */
  gwp_bytes value;
  /* What must be there, with GWP_KV_IF_EQUAL. */
  gwp_bytes expected;
};

/* The host as one plugin instance sees it. The table stays readable until the process ends. */
struct gwp_host {
  /* Size of this table. */
  uint32_t size;
  /* Minor version of the host. */
  uint32_t abi_minor;
  /* The host's; not for the plugin. */
  void *ctx;
  /* `[any]` The table behind an id, or NULL. */
  const void *(*extension)(const gwp_host *host, gwp_bytes id);
  /* `[any]` Answers a call; kinds `GWP_INTERIM` to `GWP_ERROR_PAYLOAD`. */
  int32_t (*reply)(const gwp_host *host, gwp_call call, int32_t kind, gwp_bytes json);
  /* `[any]` Publishes an event. */
  int32_t (*emit)(const gwp_host *host, const gwp_event *event);
  /* `[any]` Writes to the host's log; levels 1 error to 5 trace; `fields` is a JSON object or absent. */
  int32_t (*log)(const gwp_host *host,
                 int32_t level,
                 gwp_bytes target,
                 gwp_bytes message,
                 gwp_bytes fields);
  /* Only inside `create` and `start`: why it fails, for the operator. */
  void (*fail)(const gwp_host *host, gwp_bytes why);
};

/* A callback without arguments. */
typedef void (*gwp_fn)(void *user);

/* One running instance, filled by `create`. */
struct gwp_plugin {
  /* Size of this table. */
  uint32_t size;
  /* None defined. */
  uint32_t flags;
  /* The plugin's; handed back in each call. */
  void *self;
  /* `[control]` Goes live. */
  int32_t (*start)(void *self);
  /* `[worker]` A request. */
  void (*call)(void *self, const gwp_request *request);
  /* `[worker]` The call has ended without the plugin; `GWP_CANCEL_...`. */
  void (*cancel)(void *self, gwp_call call, int32_t reason);
  /* `[control]` No new work of its own; calls are still answered. */
  void (*quiesce)(void *self, gwp_fn done, void *user);
  /* `[control]` The end; no call comes after it. */
  void (*stop)(void *self, gwp_fn done, void *user);
  /* `[control]` After `done` of `stop`. */
  void (*destroy)(void *self);
  /* `[any]` The plugin's own tables by id, or NULL. */
  const void *(*extension)(void *self, gwp_bytes id);
};

/* What a plugin exports as `gwp_entry_v1`. */
struct gwp_entry {
  /* GWP_MAGIC. */
  uint32_t magic;
  /* Size of this table. */
  uint32_t size;
  /* Minor version the plugin was built against. */
  uint32_t abi_minor;
  /* None defined. */
  uint32_t flags;
  /* `[control]` The manifest; pure, static, the same bytes every time. */
  void (*manifest)(gwp_bytes *out);
  /* `[control]` Makes an instance, without outward effect. Until it has returned, whatever would have one
     (`emit`, `invoke`, `subscribe`, `write`, `publish`) answers `GWP_DENIED`, and jobs wait. */
  int32_t (*create)(const gwp_host *host, gwp_bytes setup_json, gwp_plugin *out);
};

/* `gwp.exec/1`: run on a worker, soon or after; or where it may block. All `[any]`. */
struct gwp_exec_v1 {
  /* Runs exactly once, soon. */
  int32_t (*soon)(const gwp_host *host, gwp_fn func, void *user);
  /* Runs exactly once after `ms`, unless cancelled. */
  int32_t (*after)(const gwp_host *host, uint64_t ms, gwp_fn func, void *user, uint64_t *timer);
  /* 0: the callback will not run any more. */
  int32_t (*cancel)(const gwp_host *host, uint64_t timer);
  /* Runs exactly once where it may block. */
  int32_t (*blocking)(const gwp_host *host, gwp_fn func, void *user);
};

/* Whose authority: a retained caller, or 0 for the plugin's own grants. With GWP_OWN_GRANTS set, the plugin's own
   grants on the account of that caller's call: its depth counts on and its cancellation reaches the new call. */
typedef uint64_t gwp_principal;

/* A callback that hears a value; its kind is one of the `GWP_...` sink kinds. */
typedef void (*gwp_sink)(void *user, int32_t kind, gwp_bytes json);

/* `gwp.invoke/1`: call another method. All `[any]`. */
struct gwp_invoke_v1 {
  /* Starts a call; the sink hears reply kinds, the last one once. */
  int32_t (*start)(const gwp_host *host,
                   gwp_principal authority,
                   gwp_bytes method,
                   gwp_bytes params,
                   uint64_t timeout_ms,
                   gwp_sink sink,
                   void *user,
                   gwp_call *out);
  /* 0: the sink will not run any more. */
  int32_t (*cancel)(const gwp_host *host, gwp_call call);
};

/* `gwp.kv/1`: the plugin's own small state, mirrored in memory. All `[any]`. */
struct gwp_kv_v1 {
  /* The sink is called inside. */
  int32_t (*get)(const gwp_host *host, gwp_bytes key, gwp_sink sink, void *user);
  /* The sink is called inside, once a key and once at the end. */
  int32_t (*scan)(const gwp_host *host, gwp_bytes prefix, gwp_sink sink, void *user);
  /* All or nothing; `durable` is called once, later. */
  int32_t (*write)(const gwp_host *host,
                   const gwp_kv_op *ops,
                   size_t n,
                   gwp_sink durable,
                   void *user);
};

/* `gwp.events/1`: hear events, in order, one at a time per subscription. All `[any]`. */
struct gwp_events_v1 {
  /* A name, or a prefix and `*`. */
  int32_t (*subscribe)(const gwp_host *host,
                       gwp_bytes name_or_prefix_star,
                       gwp_sink sink,
                       void *user,
                       uint64_t *out);
  /* 0: the sink will not run any more. */
  int32_t (*unsubscribe)(const gwp_host *host, uint64_t subscription);
};

/* `gwp.caller/1`: who asks; without credentials. All `[any]`. */
struct gwp_caller_v1 {
  /* The sink is called inside. */
  int32_t (*get)(const gwp_host *host, gwp_call call, gwp_sink sink, void *user);
  /* The authority outlives call and connection, not revocation. */
  int32_t (*retain)(const gwp_host *host, gwp_call call, gwp_principal *out);
  /* Gives it back. */
  int32_t (*release)(const gwp_host *host, gwp_principal authority);
};

/* `gwp.snapshot/1`: what hello-ok shows, never awaited. `[any]` */
struct gwp_snapshot_v1 {
  /* Stores the latest value and raises that key's version. */
  int32_t (*publish)(const gwp_host *host, gwp_bytes key, gwp_bytes json);
};

/* One request and its answer; 0 is never valid; never reused in a process. */
typedef uint64_t gwp_exchange;

/* An HTTP request. A field may be read if it ends within `size`. */
struct gwp_http_request {
  /* Size of this record as its filler knows it. */
  uint32_t size;
  /* `GWP_HTTP_REQ_...` */
  uint32_t flags;
  /* The number to answer to. */
  gwp_exchange exchange;
  /* Bytes of the body, if they are known beforehand; all bits set if not. */
  uint64_t body_len;
  /* `GET`, `POST`, ... */
  gwp_bytes verb;
  /* The path as it was sent, without query, and without a capability before it. */
  gwp_bytes path;
  /* What follows `?`; absent without one. */
  gwp_bytes query;
  /* The path of the row of the manifest that it came by. */
  gwp_bytes route;
  /* The rest, as a JSON object: see `HttpHead` in the catalogue. */
  gwp_bytes head;
};

/* `gwp.http/1` of the host. All `[any]`. Each answers `GWP_GONE` once the exchange is over. */
struct gwp_http_v1 {
  /* Begins the answer: a status and the headers, `[["name","value"],...]` as JSON. Status 101 takes an upgrade. */
  int32_t (*head)(const gwp_host *host, gwp_exchange exchange, uint32_t status, gwp_bytes headers);
  /* More of the answer, or a message; `kind` is `GWP_HTTP_BODY`, `GWP_HTTP_TEXT` or `GWP_HTTP_BINARY`. `GWP_BUSY`:
     too much waits, nothing was taken, and `GWP_HTTP_WRITABLE` will tell when there is room. */
  int32_t (*write)(const gwp_host *host, gwp_exchange exchange, int32_t kind, gwp_bytes data);
  /* The answer is complete, or the WebSocket is closed with this code and reason (0: 1000). */
  int32_t (*end)(const gwp_host *host, gwp_exchange exchange, uint32_t code, gwp_bytes reason);
  /* Lets this many more bytes of the body, or of messages, come. A WebSocket begins with its row's `maxBody`. */
  int32_t (*read)(const gwp_host *host, gwp_exchange exchange, uint64_t bytes);
  /* Cuts the connection: the peer sees that the answer is not whole. */
  int32_t (*abort)(const gwp_host *host, gwp_exchange exchange);
};

/* `gwp.http/1` of a plugin, which its `extension` gives. */
struct gwp_http_plugin_v1 {
  /* `[worker]` A request. */
  void (*request)(void *self, const gwp_http_request *request);
  /* `[worker]` What happens to an exchange, in order, one at a time; kinds `GWP_HTTP_BODY` to `GWP_HTTP_CLOSED`. */
  void (*event)(void *self, gwp_exchange exchange, int32_t kind, gwp_bytes data);
};

/* What a plugin defines: `const gwp_entry gwp_entry_v1 = { GWP_MAGIC, sizeof(gwp_entry), ... };` */
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

/* The layout, on machines of 64 bits. */
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
GWP_SIZE(gwp_bytes, 16);
GWP_OFFSET(gwp_bytes, ptr, 0);
GWP_OFFSET(gwp_bytes, len, 8);
GWP_SIZE(gwp_request, 96);
GWP_OFFSET(gwp_request, size, 0);
GWP_OFFSET(gwp_request, flags, 4);
GWP_OFFSET(gwp_request, call, 8);
GWP_OFFSET(gwp_request, conn, 16);
GWP_OFFSET(gwp_request, deadline_ms, 24);
GWP_OFFSET(gwp_request, method, 32);
GWP_OFFSET(gwp_request, params, 48);
GWP_OFFSET(gwp_request, idempotency_key, 64);
GWP_OFFSET(gwp_request, traceparent, 80);
GWP_SIZE(gwp_event, 56);
GWP_OFFSET(gwp_event, size, 0);
GWP_OFFSET(gwp_event, flags, 4);
GWP_OFFSET(gwp_event, name, 8);
GWP_OFFSET(gwp_event, payload, 24);
GWP_OFFSET(gwp_event, conns, 40);
GWP_OFFSET(gwp_event, n_conns, 48);
GWP_SIZE(gwp_kv_op, 56);
GWP_OFFSET(gwp_kv_op, size, 0);
GWP_OFFSET(gwp_kv_op, flags, 4);
GWP_OFFSET(gwp_kv_op, key, 8);
GWP_OFFSET(gwp_kv_op, value, 24);
GWP_OFFSET(gwp_kv_op, expected, 40);
GWP_SIZE(gwp_host, 56);
GWP_OFFSET(gwp_host, size, 0);
GWP_OFFSET(gwp_host, abi_minor, 4);
GWP_OFFSET(gwp_host, ctx, 8);
GWP_OFFSET(gwp_host, extension, 16);
GWP_OFFSET(gwp_host, reply, 24);
GWP_OFFSET(gwp_host, emit, 32);
GWP_OFFSET(gwp_host, log, 40);
GWP_OFFSET(gwp_host, fail, 48);
GWP_SIZE(gwp_plugin, 72);
GWP_OFFSET(gwp_plugin, size, 0);
GWP_OFFSET(gwp_plugin, flags, 4);
GWP_OFFSET(gwp_plugin, self, 8);
GWP_OFFSET(gwp_plugin, start, 16);
GWP_OFFSET(gwp_plugin, call, 24);
GWP_OFFSET(gwp_plugin, cancel, 32);
GWP_OFFSET(gwp_plugin, quiesce, 40);
GWP_OFFSET(gwp_plugin, stop, 48);
GWP_OFFSET(gwp_plugin, destroy, 56);
GWP_OFFSET(gwp_plugin, extension, 64);
GWP_SIZE(gwp_entry, 32);
GWP_OFFSET(gwp_entry, magic, 0);
GWP_OFFSET(gwp_entry, size, 4);
GWP_OFFSET(gwp_entry, abi_minor, 8);
GWP_OFFSET(gwp_entry, flags, 12);
GWP_OFFSET(gwp_entry, manifest, 16);
GWP_OFFSET(gwp_entry, create, 24);
GWP_SIZE(gwp_exec_v1, 32);
GWP_OFFSET(gwp_exec_v1, soon, 0);
GWP_OFFSET(gwp_exec_v1, after, 8);
GWP_OFFSET(gwp_exec_v1, cancel, 16);
GWP_OFFSET(gwp_exec_v1, blocking, 24);
GWP_SIZE(gwp_invoke_v1, 16);
GWP_OFFSET(gwp_invoke_v1, start, 0);
GWP_OFFSET(gwp_invoke_v1, cancel, 8);
GWP_SIZE(gwp_kv_v1, 24);
GWP_OFFSET(gwp_kv_v1, get, 0);
GWP_OFFSET(gwp_kv_v1, scan, 8);
GWP_OFFSET(gwp_kv_v1, write, 16);
GWP_SIZE(gwp_events_v1, 16);
GWP_OFFSET(gwp_events_v1, subscribe, 0);
GWP_OFFSET(gwp_events_v1, unsubscribe, 8);
GWP_SIZE(gwp_caller_v1, 24);
GWP_OFFSET(gwp_caller_v1, get, 0);
GWP_OFFSET(gwp_caller_v1, retain, 8);
GWP_OFFSET(gwp_caller_v1, release, 16);
GWP_SIZE(gwp_snapshot_v1, 8);
GWP_OFFSET(gwp_snapshot_v1, publish, 0);
GWP_SIZE(gwp_http_request, 104);
GWP_OFFSET(gwp_http_request, size, 0);
GWP_OFFSET(gwp_http_request, flags, 4);
GWP_OFFSET(gwp_http_request, exchange, 8);
GWP_OFFSET(gwp_http_request, body_len, 16);
GWP_OFFSET(gwp_http_request, verb, 24);
GWP_OFFSET(gwp_http_request, path, 40);
GWP_OFFSET(gwp_http_request, query, 56);
GWP_OFFSET(gwp_http_request, route, 72);
GWP_OFFSET(gwp_http_request, head, 88);
GWP_SIZE(gwp_http_v1, 40);
GWP_OFFSET(gwp_http_v1, head, 0);
GWP_OFFSET(gwp_http_v1, write, 8);
GWP_OFFSET(gwp_http_v1, end, 16);
GWP_OFFSET(gwp_http_v1, read, 24);
GWP_OFFSET(gwp_http_v1, abort, 32);
GWP_SIZE(gwp_http_plugin_v1, 16);
GWP_OFFSET(gwp_http_plugin_v1, request, 0);
GWP_OFFSET(gwp_http_plugin_v1, event, 8);
#undef GWP_OFFSET
#undef GWP_SIZE
#undef GWP_ASSERT
#endif

#endif /* GWP_H */
