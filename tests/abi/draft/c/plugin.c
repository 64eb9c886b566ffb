/* What a plugin in C can ask of its host, each thing once. Built against the header beside this folder, and kept. */
#include "gwp.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METHOD(name, more) "{\"name\":\"" name "\",\"role\":\"operator\",\"scopes\":[],\"params\":{}" more "}"

static const char MANIFEST[] =
    "{\"manifest\":1,\"id\":\"abi-c\",\"version\":\"1.0.0\","
    "\"http\":[{\"path\":\"/abi\",\"verbs\":[\"GET\",\"POST\"],\"maxBody\":65536,\"admit\":\"anyone\"},"
    "{\"path\":\"/abi/ws\",\"verbs\":[\"GET\"],\"maxBody\":4096,\"admit\":\"anyone\",\"upgrade\":true}],"
    "\"requires\":[\"" GWP_EXT_EXEC "\",\"" GWP_EXT_KV "\"],\"invokes\":[\"elsewhere\"],\"hears\":[\"outside\"],"
    "\"config\":{\"type\":\"object\",\"properties\":{\"refuse\":{\"type\":\"string\"}},\"additionalProperties\":false},"
    "\"methods\":["
    METHOD("abi.echo", "") "," METHOD("abi.steps", ",\"replies\":\"interim\"") "," METHOD("abi.refuse", "") ","
    METHOD("abi.both", "") "," METHOD("abi.ask", "") "," METHOD("abi.keep", "") "," METHOD("abi.keep_new", "") ","
    METHOD("abi.kept", "") "," METHOD("abi.entries", "") "," METHOD("abi.forget", "") "," METHOD("abi.later", "") ","
    METHOD("abi.soon", "") "," METHOD("abi.blocking", "") "," METHOD("abi.wait", "") "," METHOD("abi.cancelled", "") ","
    METHOD("abi.tell", "") "," METHOD("abi.tell_me", "") "," METHOD("abi.who", "") ","
    METHOD("abi.trace", "") "," METHOD("abi.publish", "") "],"
    "\"events\":[{\"name\":\"abi.told\",\"role\":\"operator\",\"scopes\":[]},"
    "{\"name\":\"abi.heard\",\"role\":\"operator\",\"scopes\":[]}]}";

typedef struct instance {
    const gwp_host *host;
    const gwp_exec_v1 *exec;
    const gwp_invoke_v1 *invoke;
    const gwp_kv_v1 *kv;
    const gwp_events_v1 *events;
    const gwp_caller_v1 *caller;
    const gwp_snapshot_v1 *snapshot;
    const gwp_http_v1 *http;
    uint64_t subscription;
    int subscribed;
    uint32_t cancelled;
} instance;

/* A call whose answer comes from a callback, with a copy of its parameters. */
typedef struct pending {
    instance *self;
    gwp_call call;
    gwp_principal authority;
    size_t len;
    char json[1];
} pending;

static gwp_bytes text(const char *string) {
    gwp_bytes bytes;
    bytes.ptr = (const uint8_t *)string;
    bytes.len = strlen(string);
    return bytes;
}

static int is(gwp_bytes bytes, const char *string) {
    return bytes.len == strlen(string) && memcmp(bytes.ptr, string, bytes.len) == 0;
}

static void reply(instance *self, gwp_call call, int32_t kind, gwp_bytes json) {
    self->host->reply(self->host, call, kind, json);
}

static void refuse(instance *self, gwp_call call, const char *message) {
    char json[256];
    snprintf(json, sizeof json, "{\"code\":\"UNAVAILABLE\",\"message\":\"%s\"}", message);
    reply(self, call, GWP_ERROR, text(json));
}

static pending *later(instance *self, const gwp_request *request) {
    pending *kept = malloc(sizeof *kept + request->params.len);
    if (kept == NULL) abort();
    kept->self = self;
    kept->call = request->call;
    kept->authority = 0;
    kept->len = request->params.len;
    if (kept->len > 0) memcpy(kept->json, request->params.ptr, kept->len);
    return kept;
}

/* A host that took the callback answers later; one that did not is answered for now. */
static void taken(pending *kept, int32_t code) {
    if (code == GWP_OK) return;
    refuse(kept->self, kept->call, "the host did not take it");
    free(kept);
}

static void finish(void *user) {
    pending *kept = user;
    gwp_bytes json;
    json.ptr = (const uint8_t *)kept->json;
    json.len = kept->len;
    reply(kept->self, kept->call, GWP_FINAL, json);
    free(kept);
}

static void asked(void *user, int32_t kind, gwp_bytes json) {
    pending *kept = user;
    if (kind == GWP_INTERIM) return;
    kept->self->caller->release(kept->self->host, kept->authority);
    reply(kept->self, kept->call, kind, json);
    free(kept);
}

static void ask(instance *self, const gwp_request *request) {
    pending *kept = later(self, request);
    gwp_call started;
    int32_t code = self->caller->retain(self->host, request->call, &kept->authority);
    if (code == GWP_OK)
        code = self->invoke->start(self->host, kept->authority, text("elsewhere"), request->params, 0, asked, kept,
                                   &started);
    taken(kept, code);
}

static void durable(void *user, int32_t kind, gwp_bytes json) {
    pending *kept = user;
    (void)json;
    if (kind == GWP_SINK_DURABLE) reply(kept->self, kept->call, GWP_FINAL, text("{\"durable\":true}"));
    else refuse(kept->self, kept->call, kind == GWP_SINK_CONFLICT ? "another value is there" : "the write failed");
    free(kept);
}

static void keep(instance *self, const gwp_request *request, uint32_t flags) {
    gwp_kv_op ops[2];
    pending *kept = later(self, request);
    memset(ops, 0, sizeof ops);
    ops[0].size = ops[1].size = sizeof ops[0];
    ops[0].flags = ops[1].flags = flags;
    ops[0].key = text("kept/value");
    ops[1].key = text("kept/copy");
    ops[0].value = ops[1].value = request->params;
    taken(kept, self->kv->write(self->host, ops, 2, durable, kept));
}

static void got(void *user, int32_t kind, gwp_bytes json) {
    pending *asking = user;
    reply(asking->self, asking->call, GWP_FINAL, kind == GWP_SINK_FOUND ? json : text("null"));
}

static void counted(void *user, int32_t kind, gwp_bytes json) {
    uint32_t *entries = user;
    (void)json;
    if (kind == GWP_SINK_ENTRY) ++*entries;
}

static void described(void *user, int32_t kind, gwp_bytes json) {
    pending *asking = user;
    if (kind == GWP_SINK_CALLER) reply(asking->self, asking->call, GWP_FINAL, json);
}

static void heard(void *user, int32_t kind, gwp_bytes json) {
    instance *self = user;
    gwp_event event;
    if (kind != GWP_SINK_EVENT) return;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.flags = GWP_EV_DROP_IF_SLOW;
    event.name = text("abi.heard");
    event.payload = json;
    self->host->emit(self->host, &event);
}

static void tell(instance *self, const gwp_request *request, int everyone) {
    gwp_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.name = text("abi.told");
    event.payload = request->params;
    event.conns = everyone ? NULL : &request->conn;
    event.n_conns = everyone ? 0 : 1;
    if (self->host->emit(self->host, &event) == GWP_OK) reply(self, request->call, GWP_FINAL, text("{}"));
    else refuse(self, request->call, "the host did not take it");
}

static void number(instance *self, gwp_call call, const char *name, uint32_t value) {
    char json[64];
    snprintf(json, sizeof json, "{\"%s\":%u}", name, (unsigned)value);
    reply(self, call, GWP_FINAL, text(json));
}

static void call(void *user, const gwp_request *request) {
    instance *self = user;
    const gwp_host *host = self->host;
    gwp_bytes method = request->method;
    pending inside;
    uint32_t entries = 0;
    inside.self = self;
    inside.call = request->call;
    if (is(method, "abi.echo")) reply(self, request->call, GWP_FINAL, request->params);
    else if (is(method, "abi.steps")) {
        reply(self, request->call, GWP_INTERIM, text("{\"step\":1}"));
        reply(self, request->call, GWP_INTERIM, text("{\"step\":2}"));
        reply(self, request->call, GWP_FINAL, text("{\"step\":3}"));
    }
    else if (is(method, "abi.refuse")) refuse(self, request->call, "as asked");
    else if (is(method, "abi.both"))
        reply(self, request->call, GWP_ERROR_PAYLOAD,
              text("{\"error\":{\"code\":\"UNAVAILABLE\",\"message\":\"as asked\"},\"payload\":{\"kept\":true}}"));
    else if (is(method, "abi.ask")) ask(self, request);
    else if (is(method, "abi.keep")) keep(self, request, 0);
    else if (is(method, "abi.keep_new")) keep(self, request, GWP_KV_IF_ABSENT);
    else if (is(method, "abi.forget")) keep(self, request, GWP_KV_DELETE);
    else if (is(method, "abi.kept")) self->kv->get(host, text("kept/value"), got, &inside);
    else if (is(method, "abi.entries")) {
        self->kv->scan(host, text("kept/"), counted, &entries);
        number(self, request->call, "entries", entries);
    }
    else if (is(method, "abi.later")) {
        pending *kept = later(self, request);
        uint64_t timer;
        taken(kept, self->exec->after(host, 60000, finish, kept, &timer));
    }
    else if (is(method, "abi.soon")) {
        pending *kept = later(self, request);
        taken(kept, self->exec->soon(host, finish, kept));
    }
    else if (is(method, "abi.blocking")) {
        pending *kept = later(self, request);
        taken(kept, self->exec->blocking(host, finish, kept));
    }
    else if (is(method, "abi.wait")) { /* Until it is cancelled. */ }
    else if (is(method, "abi.cancelled"))
        number(self, request->call, "cancelled", __atomic_load_n(&self->cancelled, __ATOMIC_ACQUIRE));
    else if (is(method, "abi.tell")) tell(self, request, 1);
    else if (is(method, "abi.tell_me")) tell(self, request, 0);
    else if (is(method, "abi.who")) self->caller->get(host, request->call, described, &inside);
    else if (is(method, "abi.trace")) {
        char json[96];
        gwp_bytes trace;
        memset(&trace, 0, sizeof trace);
        /* A host of an earlier minor knows a shorter record. */
        if (request->size >= offsetof(gwp_request, traceparent) + sizeof trace) trace = request->traceparent;
        snprintf(json, sizeof json, "{\"trace\":\"%.*s\"}", (int)trace.len, trace.len ? (const char *)trace.ptr : "");
        reply(self, request->call, GWP_FINAL, text(json));
    }
    else if (is(method, "abi.publish")) {
        self->snapshot->publish(host, text("health"), request->params);
        reply(self, request->call, GWP_FINAL, text("{}"));
    }
    else refuse(self, request->call, "no such method");
}

static void cancel(void *user, gwp_call call, int32_t reason) {
    instance *self = user;
    (void)call;
    if (reason != GWP_CANCEL_STOP) __atomic_add_fetch(&self->cancelled, 1, __ATOMIC_ACQ_REL);
}

static int32_t start(void *user) {
    instance *self = user;
    int32_t code = self->events->subscribe(self->host, text("outside"), heard, self, &self->subscription);
    self->subscribed = code == GWP_OK;
    self->host->log(self->host, 3, text("abi-c"), text("it is live"), text("{\"built\":\"once\"}"));
    return code;
}

static void quiesce(void *user, gwp_fn done, void *their) {
    instance *self = user;
    if (self->subscribed) self->events->unsubscribe(self->host, self->subscription);
    self->subscribed = 0;
    done(their);
}

static void stop(void *user, gwp_fn done, void *their) { quiesce(user, done, their); }
static void destroy(void *user) { free(user); }

/* Says back what it is sent: the path for a GET, the body for a POST, each message of a WebSocket. */
static void http_request(void *user, const gwp_http_request *asked) {
    instance *self = user;
    const gwp_http_v1 *http = self->http;
    if (asked->flags & GWP_HTTP_REQ_UPGRADE) {
        http->head(self->host, asked->exchange, 101, text(""));
        http->write(self->host, asked->exchange, GWP_HTTP_TEXT, text("hello"));
        return;
    }
    http->head(self->host, asked->exchange, 200, text("[[\"content-type\",\"text/plain\"]]"));
    if (asked->flags & GWP_HTTP_REQ_BODY) {
        http->read(self->host, asked->exchange, UINT64_MAX);
        return;
    }
    http->write(self->host, asked->exchange, GWP_HTTP_BODY, asked->path);
    http->end(self->host, asked->exchange, 0, text(""));
}

static void http_event(void *user, gwp_exchange exchange, int32_t kind, gwp_bytes data) {
    instance *self = user;
    switch (kind) {
    case GWP_HTTP_BODY:
    case GWP_HTTP_TEXT:
    case GWP_HTTP_BINARY:
        self->http->write(self->host, exchange, kind, data);
        self->http->read(self->host, exchange, data.len);
        break;
    case GWP_HTTP_END: self->http->end(self->host, exchange, 0, text("")); break;
    default: break;
    }
}

static const gwp_http_plugin_v1 HTTP = { http_request, http_event };

static const void *extension(void *user, gwp_bytes id) {
    (void)user;
    return is(id, GWP_EXT_HTTP) ? &HTTP : NULL;
}

static void manifest(gwp_bytes *out) { *out = text(MANIFEST); }

static int contains(gwp_bytes json, const char *what) {
    size_t len = strlen(what), at;
    for (at = 0; at + len <= json.len; ++at)
        if (memcmp(json.ptr + at, what, len) == 0) return 1;
    return 0;
}

static int32_t create(const gwp_host *host, gwp_bytes setup_json, gwp_plugin *out) {
    gwp_plugin plugin;
    instance *self;
    if (contains(setup_json, "\"refuse\"")) {
        host->fail(host, text("refuse: as configured"));
        return GWP_CONFIG;
    }
    if (out->size < sizeof plugin) return GWP_UNSUPPORTED;
    self = calloc(1, sizeof *self);
    if (self == NULL) return GWP_BUSY;
    self->host = host;
    self->exec = host->extension(host, text(GWP_EXT_EXEC));
    self->invoke = host->extension(host, text(GWP_EXT_INVOKE));
    self->kv = host->extension(host, text(GWP_EXT_KV));
    self->events = host->extension(host, text(GWP_EXT_EVENTS));
    self->caller = host->extension(host, text(GWP_EXT_CALLER));
    self->snapshot = host->extension(host, text(GWP_EXT_SNAPSHOT));
    self->http = host->extension(host, text(GWP_EXT_HTTP));
    memset(&plugin, 0, sizeof plugin);
    plugin.size = sizeof plugin;
    plugin.self = self;
    plugin.start = start;
    plugin.call = call;
    plugin.cancel = cancel;
    plugin.quiesce = quiesce;
    plugin.stop = stop;
    plugin.destroy = destroy;
    plugin.extension = extension;
    *out = plugin;
    return GWP_OK;
}

const gwp_entry gwp_entry_v1 = { GWP_MAGIC, sizeof(gwp_entry), GWP_ABI_MINOR, 0, manifest, create };
